/* NtAlpcCancelMessage, from both sides of a message. */
#include "surface.h"

static ALPC_CONTEXT_ATTR by_id(ULONG id)
{
    ALPC_CONTEXT_ATTR context;
    memset(&context, 0, sizeof context);
    context.MessageId = id;
    return context;
}

/* A request that the server has received, with its CONTEXT. */
static ALPC_CONTEXT_ATTR take_request(struct scene *scene, struct message *message)
{
    struct attributes received;
    make_attributes(&received, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    take(scene->c, message, &received, LPC_REQUEST);
    return *context_attribute(&received);
}

static void order_of_checks(void)
{
    HANDLE bad = (HANDLE)(uintptr_t)0xdead0;
    ALPC_CONTEXT_ATTR none = by_id(0), some = by_id(1);
    struct scene scene;

    usual_scene(&scene);
    EXPECT(NtAlpcCancelMessage(bad, 0x10, &some), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCancelMessage(scene.k, ALPC_CANCELFLG_FLUSH, &some), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCancelMessage(bad, 0, &none), STATUS_MESSAGE_NOT_FOUND);
    EXPECT(NtAlpcCancelMessage(bad, 0, &some), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcCancelMessage(new_event(0), 0, &some), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcCancelMessage(scene.k, 0, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCancelMessage(scene.k, 0, pages(4096, 0)), STATUS_ACCESS_VIOLATION);
}

static void unknown(void)
{
    static const ULONG ids[] = { 0xffffffff, 0x7ffffff0 };
    struct scene scene;

    usual_scene(&scene);
    for (unsigned i = 0; i < 2; i++) {
        ALPC_CONTEXT_ATTR context = by_id(ids[i]);
        EXPECT(NtAlpcCancelMessage(scene.k, 0, &context), STATUS_INVALID_MESSAGE);
        EXPECT(NtAlpcCancelMessage(scene.c, 0, &context), STATUS_INVALID_MESSAGE);
    }
}

static void queued_request(void)
{
    struct scene scene;
    struct message message, notice;
    ALPC_CONTEXT_ATTR context;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    context = by_id(message.header.MessageId);
    EXPECT(NtAlpcCancelMessage(scene.k, 0, &context), STATUS_PENDING);
    take(scene.c, &notice, NULL, LPC_CANCEL_MESSAGE);
    SAME(notice.header.MessageId, message.header.MessageId);
    SAME(length_of(&notice), 0);
    SAME(flags_of(&notice), 0);
}

static void receiver_tries(void)
{
    struct scene scene;
    struct request *request;
    struct message message;
    ALPC_CONTEXT_ATTR context;

    usual_scene(&scene);
    request = start_request(scene.k, 4, 1);
    context = take_request(&scene, &message);
    EXPECT(NtAlpcCancelMessage(scene.c, ALPC_CANCELFLG_TRY_CANCEL, &context), STATUS_MESSAGE_RETRIEVED);
    sleep_ms(50);
    HOLDS(!request->done);
    EXPECT(reply_message(scene.c, &message, 1, 2), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void receiver_cancels(void)
{
    for (unsigned form = 0; form < 3; form++) {
        struct scene scene;
        struct request *request;
        struct message message;
        ALPC_CONTEXT_ATTR context;
        NTSTATUS status;

        usual_scene(&scene);
        request = start_request(scene.k, 4, 1);
        context = take_request(&scene, &message);
        if (form == 1) context = by_id(context.MessageId);
        status = NtAlpcCancelMessage(form == 2 ? scene.s : scene.c, 0, &context);
        EXPECT(status, STATUS_PENDING, STATUS_MESSAGE_RETRIEVED, STATUS_SUCCESS);
        /* Sources differ: lost, or a notice in place of the reply. */
        status = finish_request(request);
        if (status == STATUS_SUCCESS && !strict) SAME(type_of(&request->received), LPC_CANCEL_MESSAGE);
        else EXPECT(status, STATUS_MESSAGE_LOST);
        EXPECT(NtAlpcCancelMessage(scene.c, 0, &context), STATUS_REQUEST_CANCELED);
        EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_REQUEST_CANCELED);
        EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_INVALID_MESSAGE);
    }
}

static void receiver_cancels_async(void)
{
    struct scene scene;
    struct message message, notice;
    ALPC_CONTEXT_ATTR context;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    context = take_request(&scene, &notice);
    HOLDS(NT_SUCCESS(NtAlpcCancelMessage(scene.c, 0, &context)));
    take(scene.k, &notice, NULL, LPC_CANCEL_MESSAGE);
    SAME(notice.header.MessageId, message.header.MessageId);
    SAME(length_of(&notice), 0);
}

static void context_compare(void)
{
    struct scene scene;
    struct request *request;
    struct message message;
    ALPC_CONTEXT_ATTR context, other;

    usual_scene(&scene);
    request = start_request(scene.k, 4, 1);
    context = take_request(&scene, &message);
    other = context;
    other.MessageContext = (PVOID)(uintptr_t)0x1234;
    EXPECT(NtAlpcCancelMessage(scene.s, ALPC_CANCELFLG_NO_CONTEXT_CHECK, &other), STATUS_CONTEXT_MISMATCH);
    sleep_ms(50);
    HOLDS(!request->done);
    HOLDS(NT_SUCCESS(NtAlpcCancelMessage(scene.s, 0, &context)));
    finish_request(request);
}

static void sender_cancels_received(void)
{
    struct scene scene;
    struct message message, received;
    ALPC_CONTEXT_ATTR context;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &received, NULL, LPC_REQUEST);
    context = by_id(message.header.MessageId);
    EXPECT(NtAlpcCancelMessage(scene.k, ALPC_CANCELFLG_TRY_CANCEL, &context), STATUS_MESSAGE_RETRIEVED);
    HOLDS(NT_SUCCESS(NtAlpcCancelMessage(scene.k, 0, &context)));
    EXPECT(reply_message(scene.c, &received, 0, 0), STATUS_REQUEST_CANCELED, STATUS_INVALID_MESSAGE);
}

static void cancel_as_release(void)
{
    struct scene scene;
    struct message message;
    struct attributes sent, received;
    ALPC_DATA_VIEW_ATTR view;
    ALPC_HANDLE section = NULL;
    SIZE_T actual = 0;

    usual_scene(&scene);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, NULL, 1, &section, &actual), STATUS_SUCCESS);
    memset(&view, 0, sizeof view);
    view.SectionHandle = section;
    view.ViewSize = 0x1000;
    EXPECT(NtAlpcCreateSectionView(scene.k, 0, &view), STATUS_SUCCESS);
    make_attributes(&sent, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    *view_attribute(&sent) = view;
    sent.header.ValidAttributes = ALPC_MESSAGE_VIEW_ATTRIBUTE;
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, &sent), STATUS_SUCCESS);
    make_attributes(&received, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    take(scene.c, &message, &received, LPC_DATAGRAM);
    SAME(flags_of(&message), LPC_CONTINUATION_REQUIRED);
    HOLDS(NT_SUCCESS(NtAlpcCancelMessage(scene.c, 0, context_attribute(&received))));
    EXPECT(poll_message(scene.k, &message, NULL), STATUS_TIMEOUT);
}

static void foreign(void)
{
    struct scene scene, other;
    struct message message;
    ALPC_CONTEXT_ATTR context;

    usual_scene(&scene);
    connect_client_of(&scene, &other, NULL);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    context = by_id(message.header.MessageId);
    EXPECT(NtAlpcCancelMessage(other.k, 0, &context), STATUS_ACCESS_DENIED, STATUS_INVALID_MESSAGE);
    take(scene.c, &message, NULL, LPC_REQUEST);
}

static const struct check cancel_checks[] = {
    { "cancel-order-of-checks", "!NtAlpcCancelMessage F-01 F-02 F-03 M-03", order_of_checks },
    { "cancel-unknown", "!NtAlpcCancelMessage F-04", unknown },
    { "cancel-queued", "NtAlpcCancelMessage F-05", queued_request },
    { "cancel-receiver-tries", "NtAlpcCancelMessage F-06", receiver_tries },
    { "cancel-receiver", "NtAlpcCancelMessage !NtAlpcCancelMessage F-07 F-08 F-10", receiver_cancels },
    { "cancel-receiver-async", "NtAlpcCancelMessage", receiver_cancels_async },
    { "cancel-context-compare", "!NtAlpcCancelMessage F-09", context_compare },
    { "cancel-sender-of-received", "NtAlpcCancelMessage", sender_cancels_received },
    { "cancel-as-release", "NtAlpcCancelMessage F-11", cancel_as_release },
    { "cancel-foreign", "!NtAlpcCancelMessage F-12", foreign },
};
CHECK_GROUP(cancel);
