/* Messages of ALPC ports: sending, receiving, answering, in every mode of NtAlpcSendWaitReceivePort. */
#include "surface.h"

static NTSTATUS datagram(HANDLE port, unsigned length, unsigned fill)
{
    struct message message;
    fill_message(&message, length, fill);
    return send_message(port, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL);
}

static void send_datagram(void)
{
    struct scene scene;
    struct message message;

    usual_scene(&scene);
    EXPECT(datagram(scene.k, 3, 1), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_DATAGRAM);
    SAME(flags_of(&message), 0);
    HOLDS(is_filled(&message, 3, 1));
    SAME((uintptr_t)message.header.ClientId.UniqueProcess, own_process_id());
    SAME((uintptr_t)message.header.ClientId.UniqueThread, own_thread_id());
    /* The low sixteen flags do not count. */
    fill_message(&message, 3, 1);
    EXPECT(send_message(scene.k, 0x10003, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_DATAGRAM);
}

static void async_request(void)
{
    struct scene scene;
    struct message message, received;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &received, NULL, LPC_REQUEST);
    SAME(flags_of(&received), LPC_CONTINUATION_REQUIRED);
    HOLDS(message.header.MessageId && !(message.header.MessageId & 0x80000000));
    SAME(message.header.MessageId, received.header.MessageId);
    EXPECT(reply_message(scene.c, &received, 2, 9), STATUS_SUCCESS);
    take(scene.k, &received, NULL, LPC_REPLY);
    SAME(received.header.MessageId, message.header.MessageId);
    SAME(flags_of(&received), 0);
    HOLDS(is_filled(&received, 2, 9));
}

static void sync_request(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    usual_scene(&scene);
    request = start_request(scene.k, 5, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    HOLDS(is_filled(&message, 5, 1));
    SAME((uintptr_t)message.header.ClientId.UniqueThread, request->thread);
    EXPECT(reply_message(scene.c, &message, 2, 9), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    SAME(type_of(&request->received), LPC_REPLY);
    SAME(flags_of(&request->received), 0);
    SAME(request->received.header.MessageId, message.header.MessageId);
    HOLDS(is_filled(&request->received, 2, 9));
    SAME(request->length, H + 2);
}

static void continuing_reply(void)
{
    struct scene scene;
    struct request *request;
    struct message message, answer;

    usual_scene(&scene);
    request = start_request(scene.k, 5, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    answer_message(&answer, message.header.MessageId, 2, 9);
    EXPECT(send_message(scene.c, 0, &answer, NULL), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    SAME((USHORT)request->received.header.u2.s2.Type, ALPC_REQUEST);
    /* The client ends it. */
    EXPECT(reply_message(scene.k, &request->received, 0, 0), STATUS_SUCCESS);
}

static void server_question(void)
{
    struct scene scene;
    struct message message;

    usual_scene(&scene);
    fill_message(&message, 3, 1);
    EXPECT(send_message(scene.s, 0, &message, NULL), STATUS_SUCCESS);
    take(scene.k, &message, NULL, LPC_REQUEST);
    EXPECT(reply_message(scene.k, &message, 4, 7), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_REPLY);
    HOLDS(is_filled(&message, 4, 7));
    EXPECT(datagram(scene.s, 2, 5), STATUS_SUCCESS);
    take(scene.k, &message, NULL, LPC_DATAGRAM);
    HOLDS(is_filled(&message, 2, 5));
}

static void requests_not_allowed(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    scene.client.Flags = 0;
    connect_scene(&scene);
    fill_message(&message, 3, 1);
    EXPECT(send_message(scene.s, 0, &message, NULL), STATUS_LPC_REQUESTS_NOT_ALLOWED);
    /* A new message that says it is a reply. */
    fill_message(&message, 3, 1);
    message.header.u2.s2.Type = LPC_REPLY;
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_LPC_REQUESTS_NOT_ALLOWED);
}

static void reply_forms(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    usual_scene(&scene);
    request = start_request(scene.k, 5, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(reply_message(scene.s, &message, 2, 9), STATUS_SUCCESS);                             /* through S */
    EXPECT(finish_request(request), STATUS_SUCCESS);
    request = start_request(scene.k, 5, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS); /* as it was received */
    EXPECT(finish_request(request), STATUS_SUCCESS);
    HOLDS(is_filled(&request->received, 5, 1));
}

static void reply_and_receive(void)
{
    struct scene scene;
    struct request *first, *second;
    struct message message, answer;
    LARGE_INTEGER timeout = { .QuadPart = -20ll * 10000000 };
    SIZE_T length = sizeof message;

    usual_scene(&scene);
    first = start_request(scene.k, 5, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    second = start_request(scene.k, 6, 2);
    answer_message(&answer, message.header.MessageId, 1, 3);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &answer.header, NULL, &message.header, &length, NULL, &timeout), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 6, 2));
    EXPECT(finish_request(first), STATUS_SUCCESS);
    HOLDS(is_filled(&first->received, 1, 3));
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(second), STATUS_SUCCESS);
}

static void reply_errors(void)
{
    struct scene scene, foreign;
    struct message message;
    struct request *request;

    usual_scene(&scene);
    usual_scene(&foreign);
    answer_message(&message, 0x7ffffff0, 0, 0);
    EXPECT(send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_INVALID_MESSAGE);
    request = start_request(scene.k, 5, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(reply_message(foreign.c, &message, 0, 0), STATUS_ACCESS_DENIED, STATUS_INVALID_MESSAGE);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_INVALID_MESSAGE);
}

static void wrong_callback_id(void)
{
    struct scene scene;
    struct message message, answer;
    struct request *request;

    usual_scene(&scene);
    request = start_request(scene.k, 5, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    answer_message(&answer, message.header.MessageId, 0, 0);
    answer.header.CallbackId = message.header.CallbackId + 0x1000;
    EXPECT(send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &answer, NULL), STATUS_INVALID_MESSAGE);
    answer.header.CallbackId = 0;
    EXPECT(send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &answer, NULL), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void flag_errors(void)
{
    struct scene scene;
    struct message message, reply;
    SIZE_T length = sizeof reply;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(NtAlpcSendWaitReceivePort(scene.k, ALPC_MSGFLG_SYNC_REQUEST, &message.header, NULL, NULL, NULL, NULL, NULL), STATUS_LPC_RECEIVE_BUFFER_EXPECTED);
    EXPECT(NtAlpcSendWaitReceivePort(scene.k, ALPC_MSGFLG_SYNC_REQUEST, NULL, NULL, &reply.header, &length, NULL, NULL), STATUS_INVALID_PARAMETER_2);
    EXPECT(NtAlpcSendWaitReceivePort(scene.k, ALPC_MSGFLG_SYNC_REQUEST | ALPC_MSGFLG_RELEASE_MESSAGE, &message.header, NULL, &reply.header, &length, NULL, NULL), STATUS_INVALID_PARAMETER_2);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_INTERNAL_REJECT, &message, NULL), STATUS_INVALID_PARAMETER_2);
}

static void handle_errors(void)
{
    struct message message, reply;
    SIZE_T length = sizeof reply;
    struct scene scene;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(new_event(0), 0, &message, NULL), STATUS_OBJECT_TYPE_MISMATCH);
    shut(scene.k);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_INVALID_HANDLE);
    answer_message(&message, 1, 0, 0);
    EXPECT(NtAlpcSendWaitReceivePort((HANDLE)(uintptr_t)0xdead0, ALPC_MSGFLG_SYNC_REQUEST, &message.header, NULL, &reply.header, &length, NULL, NULL), STATUS_INVALID_HANDLE);
}

static void length_errors(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    scene.server.MaxMessageLength = H + 0x20;
    connect_scene(&scene);
    EXPECT(datagram(scene.k, 0x21, 1), STATUS_PORT_MESSAGE_TOO_LONG);
    fill_message(&message, 4, 1);
    message.header.u1.s1.TotalLength = (USHORT)(H - 4);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_INVALID_PARAMETER);
    fill_message(&message, 8, 1);
    message.header.u1.s1.TotalLength = (USHORT)(H + 16);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_INVALID_PARAMETER);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
    EXPECT(datagram(scene.k, 0x20, 1), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_DATAGRAM);
}

static void longest_message(void)
{
    struct scene scene;
    struct { PORT_MESSAGE header; unsigned char body[0xffd7]; } *sent = keep_memory(0x10000), *received = keep_memory(0x10000);
    SIZE_T length = 0xffff;

    prepare_scene(&scene);
    scene.server.MaxMessageLength = scene.client.MaxMessageLength = AlpcMaxAllowedMessageLength();
    connect_scene(&scene);
    sent->header.u1.s1.DataLength = 0xffd7;
    sent->header.u1.s1.TotalLength = 0xffff;
    for (unsigned i = 0; i < 0xffd7; i++) sent->body[i] = (unsigned char)(i * 7);
    EXPECT(NtAlpcSendWaitReceivePort(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &sent->header, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &received->header, &length, NULL, NULL), STATUS_SUCCESS);
    HOLDS(!memcmp(sent->body, received->body, 0xffd7));
    /* Then a small one: exact lengths, in order. */
    EXPECT(datagram(scene.k, 0, 0), STATUS_SUCCESS);
    length = H;
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &received->header, &length, NULL, NULL), STATUS_SUCCESS);
    SAME((USHORT)received->header.u1.s1.TotalLength, H);
}

static void receive_short(void)
{
    struct scene scene;
    struct message message;
    SIZE_T length = H + 4;
    LARGE_INTEGER now = { .QuadPart = 0 };

    usual_scene(&scene);
    EXPECT(datagram(scene.k, 16, 1), STATUS_SUCCESS);
    memset(&message, 0x5a, sizeof message);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, &length, NULL, &now), STATUS_BUFFER_TOO_SMALL);
    SAME(length, H + 16);
    for (unsigned i = 0; i < H + 16; i++) SAME(((unsigned char *)&message)[i], 0x5a);
    length = H + 32;
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, &length, NULL, &now), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 16, 1));
    HOLDS(length == H + 32 || (!strict && length == H + 16));
}

static void receive_timeouts(void)
{
    struct scene scene;
    struct message message;
    SIZE_T length = sizeof message;
    LARGE_INTEGER timeout = { .QuadPart = 0 };

    usual_scene(&scene);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, NULL, NULL, &timeout), STATUS_TIMEOUT);
    timeout.QuadPart = -1;
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, &length, NULL, &timeout), STATUS_TIMEOUT);
    timeout.QuadPart = 1;       /* long ago */
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, &length, NULL, &timeout), STATUS_TIMEOUT);
    /* Without a length the buffer counts as large enough. */
    EXPECT(datagram(scene.k, 16, 1), STATUS_SUCCESS);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, NULL, NULL, &timeout), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 16, 1));
}

static void bad_pointers(void)
{
    struct scene scene;
    struct message message;
    unsigned char *none = pages(4096, 0);
    SIZE_T length = sizeof message;
    LARGE_INTEGER now = { .QuadPart = 0 };

    usual_scene(&scene);
    EXPECT(NtAlpcSendWaitReceivePort(scene.k, 0, (PORT_MESSAGE *)(void *)none, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
    EXPECT(datagram(scene.k, 16, 1), STATUS_SUCCESS);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, (PORT_MESSAGE *)(void *)none, &length, NULL, &now), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, (SIZE_T *)(void *)none, NULL, &now), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, &length, (ALPC_MESSAGE_ATTRIBUTES *)(void *)none, &now), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, &length, NULL, (LARGE_INTEGER *)(void *)none), STATUS_ACCESS_VIOLATION);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 16, 1));
}

static void order_and_sequence(void)
{
    struct scene scene;
    struct message message;
    struct attributes attributes;
    ULONG sequence = 0, callback = 0;

    usual_scene(&scene);
    for (unsigned i = 0; i < 1000; i++) EXPECT(datagram(scene.k, 2 + i % 64, i), STATUS_SUCCESS);
    for (unsigned i = 0; i < 1000; i++) {
        make_attributes(&attributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
        take(scene.c, &message, &attributes, LPC_DATAGRAM);
        HOLDS(is_filled(&message, 2 + i % 64, i));
        SAME(context_attribute(&attributes)->Sequence, i ? sequence + 1 : context_attribute(&attributes)->Sequence);
        sequence = context_attribute(&attributes)->Sequence;
        SAME(context_attribute(&attributes)->MessageId, message.header.MessageId);
        HOLDS(!i || message.header.CallbackId > callback);
        callback = message.header.CallbackId;
    }
}

static void two_clients(void)
{
    struct scene scene, other;
    struct message message;
    struct attributes attributes;
    PVOID const second = (PVOID)(uintptr_t)0x77;

    usual_scene(&scene);
    connect_client_of(&scene, &other, second);
    EXPECT(datagram(scene.k, 4, 1), STATUS_SUCCESS);
    EXPECT(datagram(other.k, 4, 2), STATUS_SUCCESS);
    EXPECT(datagram(scene.k, 4, 3), STATUS_SUCCESS);
    for (unsigned i = 1; i <= 3; i++) {
        make_attributes(&attributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
        take(scene.c, &message, &attributes, LPC_DATAGRAM);
        HOLDS(is_filled(&message, 4, i));
        HOLDS(context_attribute(&attributes)->PortContext == (i == 2 ? second : PORT_CONTEXT));
    }
    /* Each communication port gives its own client's messages. */
    fill_message(&message, 4, 0x11);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    fill_message(&message, 4, 0x22);
    EXPECT(send_message(other.k, 0, &message, NULL), STATUS_SUCCESS);
    EXPECT(poll_message(other.s, &message, NULL), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 4, 0x22));
    EXPECT(poll_message(scene.s, &message, NULL), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 4, 0x11));
}

static void message_context(void)
{
    struct scene scene;
    struct attributes *sent = keep_memory(sizeof *sent), *received = keep_memory(sizeof *received), seen;
    struct request *request;
    struct message message;

    usual_scene(&scene);
    make_attributes(sent, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    make_attributes(received, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    make_attributes(&seen, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    sent->header.ValidAttributes = ALPC_MESSAGE_CONTEXT_ATTRIBUTE;
    context_attribute(sent)->MessageContext = (PVOID)(uintptr_t)0x77;
    request = start_request_with(scene.k, 4, 1, sent, received);
    take(scene.c, &message, &seen, LPC_REQUEST);
    HOLDS(context_attribute(&seen)->MessageContext != (PVOID)(uintptr_t)0x77);
    SAME(context_attribute(&seen)->CallbackId, message.header.CallbackId);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    HOLDS(context_attribute(received)->MessageContext == (PVOID)(uintptr_t)0x77);
}

static void request_timeout(void)
{
    struct scene scene;
    struct message message, reply, late;
    SIZE_T length = sizeof reply;
    LARGE_INTEGER soon = { .QuadPart = -50 * 10000 };

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(NtAlpcSendWaitReceivePort(scene.k, ALPC_MSGFLG_SYNC_REQUEST, &message.header, NULL, &reply.header, &length, NULL, &soon), STATUS_TIMEOUT);
    /* It was never received: it is gone, or shows as cancelled. */
    if (poll_message(scene.c, &late, NULL) == STATUS_SUCCESS) SAME(type_of(&late), LPC_CANCEL_MESSAGE);
    /* The port is as good as before. */
    EXPECT(datagram(scene.k, 4, 2), STATUS_SUCCESS);
    take(scene.c, &late, NULL, LPC_DATAGRAM);
}

struct late { HANDLE port; struct message message, reply; NTSTATUS status; };

static void run_late(void *argument)
{
    struct late *late = argument;
    SIZE_T length = sizeof late->reply;
    LARGE_INTEGER soon = { .QuadPart = -200 * 10000 };
    fill_message(&late->message, 4, 1);
    late->status = NtAlpcSendWaitReceivePort(late->port, ALPC_MSGFLG_SYNC_REQUEST, &late->message.header, NULL, &late->reply.header, &length, NULL, &soon);
}

static void late_reply(void)
{
    struct scene scene;
    struct message message;
    struct late *late = keep_memory(sizeof *late);
    thread_handle thread;

    usual_scene(&scene);
    late->port = scene.k;
    thread = keep_thread(run_late, late);
    take(scene.c, &message, NULL, LPC_REQUEST);
    join(thread);
    EXPECT(late->status, STATUS_TIMEOUT);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_REQUEST_CANCELED);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_INVALID_MESSAGE);
}

/* Ten datagrams, then a request; when it is answered, all have been received. */
static void flush(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    usual_scene(&scene);
    for (unsigned i = 0; i < 10; i++) EXPECT(datagram(scene.k, 4, i), STATUS_SUCCESS);
    request = start_request(scene.k, 4, 99);
    for (unsigned i = 0; i < 10; i++) { take(scene.c, &message, NULL, LPC_DATAGRAM); HOLDS(is_filled(&message, 4, i)); }
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(reply_message(scene.s, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static const struct check messages_checks[] = {
    { "send-datagram", "NtAlpcSendWaitReceivePort E-04 E-22 E-37", send_datagram },
    { "send-async-request", "NtAlpcSendWaitReceivePort E-05 E-06 E-10 E-36", async_request },
    { "send-sync-request", "NtAlpcSendWaitReceivePort E-07", sync_request },
    { "send-continuing-reply", "NtAlpcSendWaitReceivePort E-08 E-09", continuing_reply },
    { "send-server-question", "NtAlpcSendWaitReceivePort E-11 E-12 E-13", server_question },
    { "send-requests-not-allowed", "!NtAlpcSendWaitReceivePort E-14 E-17", requests_not_allowed },
    { "reply-forms", "NtAlpcSendWaitReceivePort E-15 E-16", reply_forms },
    { "reply-and-receive", "NtAlpcSendWaitReceivePort E-44", reply_and_receive },
    { "reply-errors", "!NtAlpcSendWaitReceivePort E-39 E-40 E-41", reply_errors },
    { "reply-wrong-callback-id", "!NtAlpcSendWaitReceivePort E-46", wrong_callback_id },
    { "send-flag-errors", "!NtAlpcSendWaitReceivePort E-18 E-19 E-20 E-21", flag_errors },
    { "send-handle-errors", "!NtAlpcSendWaitReceivePort E-23 M-02", handle_errors },
    { "send-length-errors", "!NtAlpcSendWaitReceivePort E-24 E-25 E-28 E-29", length_errors },
    { "send-longest-message", "NtAlpcSendWaitReceivePort AlpcMaxAllowedMessageLength E-26 E-27 M-10", longest_message },
    { "receive-short-buffer", "!NtAlpcSendWaitReceivePort E-30 E-31", receive_short },
    { "receive-timeouts", "NtAlpcSendWaitReceivePort E-01 E-02 E-03", receive_timeouts },
    { "send-bad-pointers", "!NtAlpcSendWaitReceivePort E-51 E-52", bad_pointers },
    { "receive-order", "NtAlpcSendWaitReceivePort attr:CONTEXT E-32 E-34 E-36", order_and_sequence },
    { "receive-two-clients", "NtAlpcSendWaitReceivePort attr:CONTEXT E-33 E-38", two_clients },
    { "send-message-context", "NtAlpcSendWaitReceivePort attr:CONTEXT E-35", message_context },
    { "request-timeout", "!NtAlpcSendWaitReceivePort E-42", request_timeout },
    { "reply-late", "!NtAlpcSendWaitReceivePort E-43", late_reply },
    { "send-flush", "NtAlpcSendWaitReceivePort M-04", flush },
};
CHECK_GROUP(messages);
