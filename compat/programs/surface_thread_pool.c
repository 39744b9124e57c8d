/* The thread pool's completion of ALPC ports. */
#include "surface.h"

/* What a callback has seen and shall do. */
struct served {
    HANDLE port;
    volatile unsigned calls, running, messages;
    PTP_ALPC alpc;
    PVOID apc_context;
    int four_arguments;
    volatile int hold;              /* stay in the callback until it is 0 */
    int reply_at_end, reply_now;    /* answer by TpCallbackSendAlpcMessageOnCompletion */
    volatile int returned;
    struct message message;
    NTSTATUS send_status, pending_status;
};

/* TpCallbackSendPendingAlpcMessage takes the instance; no public prototype says so. */
static NTSTATUS send_pending(PTP_CALLBACK_INSTANCE instance)
{
    static void *volatile address;
    address = (void *)(uintptr_t)TpCallbackSendPendingAlpcMessage;
    return ((NTSTATUS (NTAPI *)(PTP_CALLBACK_INSTANCE))address)(instance);
}

static void serve(PTP_CALLBACK_INSTANCE instance, struct served *served, PTP_ALPC alpc)
{
    LARGE_INTEGER now = { .QuadPart = 0 };
    SIZE_T length;
    struct message message;

    __atomic_add_fetch(&served->running, 1, __ATOMIC_SEQ_CST);
    served->alpc = alpc;
    for (;;) {
        length = sizeof message;
        if (NtAlpcSendWaitReceivePort(served->port, 0, NULL, NULL, &message.header, &length, NULL, &now) != STATUS_SUCCESS) break;
        served->message = message;
        __atomic_add_fetch(&served->messages, 1, __ATOMIC_SEQ_CST);
        if (type_of(&message) == LPC_REQUEST && (served->reply_at_end || served->reply_now)) {
            static struct message reply;
            answer_message(&reply, message.header.MessageId, 3, 5);
            served->send_status = TpCallbackSendAlpcMessageOnCompletion((HANDLE)instance, served->port, ALPC_MSGFLG_RELEASE_MESSAGE, &reply.header);
            if (served->reply_now) served->pending_status = send_pending(instance);
        }
    }
    __atomic_add_fetch(&served->calls, 1, __ATOMIC_SEQ_CST);
    while (served->hold) sleep_ms(5);
    served->returned = 1;
    __atomic_sub_fetch(&served->running, 1, __ATOMIC_SEQ_CST);
}

static VOID NTAPI callback(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_ALPC alpc) { serve(instance, context, alpc); }

static VOID NTAPI callback_ex(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_ALPC alpc, PVOID apc_context)
{
    struct served *served = context;
    served->four_arguments = 1;
    served->apc_context = apc_context;
    serve(instance, served, alpc);
}

/* A callback may outlive the check that made it. */
static struct served *make_served(HANDLE port)
{
    struct served *served = calloc(1, sizeof *served);
    if (!served) give_up(__FILE__, __LINE__, "no memory");
    served->port = port;
    return served;
}

static void called(void)
{
    struct scene scene;
    struct served *served;
    PTP_ALPC alpc = NULL;

    prepare_scene(&scene);
    make_server(&scene);
    served = make_served(scene.c);
    EXPECT(TpAllocAlpcCompletion(&alpc, scene.c, callback, served, NULL), STATUS_SUCCESS);
    HOLDS(alpc);
    start_connect(&scene);
    EVENTUALLY(served->calls);
    HOLDS(served->alpc == alpc);
    EVENTUALLY(type_of(&served->message) == LPC_CONNECTION_REQUEST);
    EXPECT(NtAlpcAcceptConnectPort(&scene.s, scene.c, 0, NULL, &scene.server, NULL, &served->message.header, NULL, TRUE), STATUS_SUCCESS);
    keep(scene.s);
    TpWaitForAlpcCompletion(alpc);
    SAME(served->running, 0);
    TpReleaseAlpcCompletion(alpc);
}

static void called_ex(void)
{
    struct scene scene;
    struct served *served;
    struct message message;
    PTP_ALPC alpc = NULL;

    usual_scene(&scene);
    served = make_served(scene.c);
    EXPECT(TpAllocAlpcCompletionEx(&alpc, scene.c, callback_ex, served, NULL), STATUS_SUCCESS);
    for (unsigned i = 0; i < 200; i++) {
        fill_message(&message, 4, i);
        EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    }
    EVENTUALLY(served->messages == 200);
    EVENTUALLY(served->calls);
    HOLDS(served->four_arguments);
    TpWaitForAlpcCompletion(alpc);
    TpReleaseAlpcCompletion(alpc);
}

static void alloc_fails(void)
{
    struct scene scene;
    struct served *served;
    PTP_ALPC alpc = NULL, second = NULL;

    usual_scene(&scene);
    served = make_served(scene.c);
    EXPECT(TpAllocAlpcCompletion(&alpc, new_event(0), callback, served, NULL), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(TpAllocAlpcCompletion(&alpc, (HANDLE)(uintptr_t)0xdead0, callback, served, NULL), STATUS_INVALID_HANDLE);
    EXPECT(TpAllocAlpcCompletionEx(&alpc, new_event(0), callback_ex, served, NULL), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(TpAllocAlpcCompletionEx(&alpc, (HANDLE)(uintptr_t)0xdead0, callback_ex, served, NULL), STATUS_INVALID_HANDLE);
    HOLDS(!alpc);
    EXPECT(TpAllocAlpcCompletion(&alpc, scene.c, callback, served, NULL), STATUS_SUCCESS);
    EXPECT(TpAllocAlpcCompletion(&second, scene.c, callback, served, NULL), STATUS_PORT_ALREADY_SET);
    TpReleaseAlpcCompletion(alpc);
}

struct waiter { PTP_ALPC alpc; volatile int done; };

static void run_waiter(void *argument)
{
    struct waiter *waiter = argument;
    TpWaitForAlpcCompletion(waiter->alpc);
    waiter->done = 1;
}

static void wait_and_release(void)
{
    struct scene scene;
    struct served *served;
    struct waiter *waiter = calloc(1, sizeof *waiter);
    struct message message;
    ALPC_PORT_ASSOCIATE_COMPLETION_PORT information = { NULL, new_completion_port() };
    thread_handle thread;

    usual_scene(&scene);
    served = make_served(scene.c);
    served->hold = 1;
    EXPECT(TpAllocAlpcCompletion(&waiter->alpc, scene.c, callback, served, NULL), STATUS_SUCCESS);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    EVENTUALLY(served->calls);
    thread = keep_thread(run_waiter, waiter);
    sleep_ms(100);
    HOLDS(!waiter->done || (served->hold = 0));
    served->hold = 0;
    join(thread);
    HOLDS(served->returned);
    TpReleaseAlpcCompletion(waiter->alpc);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcAssociateCompletionPortInformation, &information, sizeof information), STATUS_PORT_ALREADY_SET);
}

static void send_on_completion(void)
{
    for (unsigned now = 0; now < 2; now++) {
        struct scene scene;
        struct served *served;
        struct request *request;
        PTP_ALPC alpc = NULL;

        usual_scene(&scene);
        served = make_served(scene.c);
        served->hold = 1;
        served->reply_at_end = !now;
        served->reply_now = (int)now;
        EXPECT(TpAllocAlpcCompletion(&alpc, scene.c, callback, served, NULL), STATUS_SUCCESS);
        request = start_request(scene.k, 4, 1);
        EVENTUALLY(served->calls);
        EXPECT(served->send_status, STATUS_SUCCESS);
        if (now) {
            EXPECT(served->pending_status, STATUS_SUCCESS);
            EVENTUALLY(request->done);
        } else {
            sleep_ms(100);
            HOLDS(!request->done || (served->hold = 0));
        }
        served->hold = 0;
        EXPECT(finish_request(request), STATUS_SUCCESS);
        HOLDS(is_filled(&request->received, 3, 5));
        TpWaitForAlpcCompletion(alpc);
        TpReleaseAlpcCompletion(alpc);
    }
}

static void send_fails(void)
{
    struct message message;
    fill_message(&message, 4, 1);
    /* Outside of a callback there is no instance. */
    EXPECT_ERROR(TpCallbackSendAlpcMessageOnCompletion(NULL, NULL, 0, &message.header));
    EXPECT_ERROR(send_pending(NULL));
}

static VOID NTAPI list_callback(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_ALPC alpc)
{
    struct served *served = context;
    PORT_MESSAGE *message;
    void *list = (void *)served->apc_context;

    (void)instance, (void)alpc;
    while ((message = AlpcGetMessageFromCompletionList(list, NULL))) {
        AlpcFreeCompletionListMessage(list, message);
        __atomic_add_fetch(&served->calls, 1, __ATOMIC_SEQ_CST);
    }
}

static void with_list(void)
{
    struct scene scene;
    struct served *served;
    struct message message;
    PTP_ALPC alpc = NULL;
    void *list = pages(0x10000, 2);

    usual_scene(&scene);
    served = make_served(scene.c);
    served->apc_context = list;
    EXPECT(TpAllocAlpcCompletion(&alpc, scene.c, list_callback, served, NULL), STATUS_SUCCESS);
    EXPECT(AlpcRegisterCompletionList(scene.c, list, 0x10000, 1, 0), STATUS_SUCCESS);
    TpAlpcRegisterCompletionList(alpc);
    for (unsigned i = 0; i < 50; i++) {
        fill_message(&message, 4, i);
        EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    }
    EVENTUALLY(served->calls == 50);
    TpAlpcUnregisterCompletionList(alpc);
    TpWaitForAlpcCompletion(alpc);
    TpReleaseAlpcCompletion(alpc);
}

static const struct check thread_pool_checks[] = {
    { "pool-callback", "TpAllocAlpcCompletion TpWaitForAlpcCompletion TpReleaseAlpcCompletion K-28", called },
    { "pool-callback-ex", "TpAllocAlpcCompletionEx K-29", called_ex },
    { "pool-alloc-fails", "!TpAllocAlpcCompletion !TpAllocAlpcCompletionEx", alloc_fails },
    { "pool-wait-and-release", "TpWaitForAlpcCompletion TpReleaseAlpcCompletion K-30", wait_and_release },
    { "pool-send-on-completion", "TpCallbackSendAlpcMessageOnCompletion TpCallbackSendPendingAlpcMessage K-31", send_on_completion },
    { "pool-send-fails", "!TpCallbackSendAlpcMessageOnCompletion !TpCallbackSendPendingAlpcMessage", send_fails },
    { "pool-with-list", "TpAlpcRegisterCompletionList TpAlpcUnregisterCompletionList K-32", with_list },
};
CHECK_GROUP(thread_pool);
