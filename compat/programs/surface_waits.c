/* Waiting for ports, and waits that an APC may end. */
#include "surface.h"

static void waitable_scene(struct scene *scene, int server, int client)
{
    prepare_scene(scene);
    if (server) scene->server.Flags |= ALPC_PORFLG_WAITABLE_PORT;
    if (client) scene->client.Flags |= ALPC_PORFLG_WAITABLE_PORT;
}

static void server_port(void)
{
    struct scene scene;
    struct message message;

    waitable_scene(&scene, 1, 0);
    make_server(&scene);
    EXPECT(wait_for(scene.c, 1), STATUS_TIMEOUT);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_UNSUCCESSFUL, STATUS_TIMEOUT);
    start_connect(&scene);
    EXPECT(wait_for(scene.c, 0), STATUS_SUCCESS);
    accept_client(&scene);
    EXPECT(wait_for(scene.c, 1), STATUS_TIMEOUT);
    for (unsigned i = 0; i < 3; i++) {
        fill_message(&message, 4, i);
        EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    }
    EXPECT(wait_for(scene.c, 0), STATUS_SUCCESS);
    EVENTUALLY(wait_for(scene.c, 1) == STATUS_SUCCESS);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(wait_for(scene.c, 0), STATUS_SUCCESS);
        EXPECT(poll_message(scene.c, &message, NULL), STATUS_SUCCESS);
        HOLDS(is_filled(&message, 4, i));
    }
    EXPECT(wait_for(scene.c, 1), STATUS_TIMEOUT);
}

static void client_port(void)
{
    struct scene scene;
    struct message message;

    waitable_scene(&scene, 0, 1);
    make_server(&scene);
    start_connect(&scene);
    EXPECT(wait_for(scene.k, 1), STATUS_TIMEOUT);
    accept_client(&scene);
    EXPECT(wait_for(scene.k, 0), STATUS_SUCCESS);
    EXPECT(poll_message(scene.k, &message, NULL), STATUS_SUCCESS);
    SAME(type_of(&message), LPC_INTERNAL_CONNECTION_REPLY);
    EXPECT(wait_for(scene.k, 1), STATUS_TIMEOUT);
    shut(scene.s);
    EXPECT(wait_for(scene.k, 0), STATUS_SUCCESS);
}

static void empty_port(void)
{
    struct scene scene;
    struct message message;

    waitable_scene(&scene, 0, 1);
    make_server(&scene);
    start_connect(&scene);
    shut(scene.c);
    EXPECT(wait_for(scene.k, 0), STATUS_SUCCESS);
    EXPECT(poll_message(scene.k, &message, NULL), STATUS_SUCCESS);
    SAME(type_of(&message), LPC_CANCEL_MESSAGE);
    EXPECT(poll_message(scene.k, &message, NULL), STATUS_UNSUCCESSFUL);
}

static void many_objects(void)
{
    struct scene first, second;
    HANDLE objects[3];
    struct message message;
    LARGE_INTEGER timeout = { .QuadPart = -20ll * 10000000 }, now = { .QuadPart = 0 };

    NEED(wait_many);
    waitable_scene(&first, 1, 0);
    connect_scene(&first);
    waitable_scene(&second, 1, 0);
    connect_scene(&second);
    objects[0] = new_event(0);
    objects[1] = first.c;
    objects[2] = second.c;
    EXPECT(host.wait_many(3, objects, WaitAny, FALSE, &now), STATUS_TIMEOUT);
    fill_message(&message, 4, 1);
    EXPECT(send_message(second.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    SAME(host.wait_many(3, objects, WaitAny, FALSE, &timeout), 2);
    EXPECT(host.wait_many(2, objects + 1, WaitAll, FALSE, &now), STATUS_TIMEOUT);
    fill_message(&message, 4, 1);
    EXPECT(send_message(first.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    EXPECT(host.wait_many(2, objects + 1, WaitAll, FALSE, &timeout), STATUS_SUCCESS);
}

static void wait_packet(void)
{
    struct scene scene;
    struct message message;
    HANDLE completion = new_completion_port(), packet_handle = NULL;
    struct packet packet;
    BOOLEAN already = TRUE;

    if (!host.create_packet || !host.associate_packet || !host.cancel_packet) leave_out("this world has no wait completion packets");
    waitable_scene(&scene, 1, 0);
    connect_scene(&scene);
    EXPECT(host.create_packet(&packet_handle, 0x1f0001, NULL), STATUS_SUCCESS);
    keep(packet_handle);
    EXPECT(host.associate_packet(packet_handle, completion, scene.c, (PVOID)(uintptr_t)7, (PVOID)(uintptr_t)8, STATUS_SUCCESS, 9, &already), STATUS_SUCCESS);
    HOLDS(!already);
    EXPECT(next_packet(completion, &packet, 1), STATUS_TIMEOUT);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    EXPECT(next_packet(completion, &packet, 0), STATUS_SUCCESS);
    HOLDS(packet.key == (PVOID)(uintptr_t)7 && packet.context == (PVOID)(uintptr_t)8 && packet.information == 9);
}

/* ---- Alertable waits ---- */

struct alertable { HANDLE port; int request; struct message message, reply; NTSTATUS status; volatile int started, called; volatile unsigned long long thread; };

#ifdef _WIN32

static volatile struct alertable *current;

static VOID NTAPI apc(PVOID first, PVOID second, PVOID third)
{
    (void)first, (void)second, (void)third;
    current->called = 1;
}

static void run_alertable(void *argument)
{
    struct alertable *a = argument;
    SIZE_T length = sizeof a->reply;
    LARGE_INTEGER timeout = { .QuadPart = -30ll * 10000000 };
    a->thread = own_thread_id();
    a->started = 1;
    fill_message(&a->message, 4, 1);
    a->status = NtAlpcSendWaitReceivePort(a->port, ALPC_MSGFLG_WAIT_ALERTABLE | (a->request ? ALPC_MSGFLG_SYNC_REQUEST : 0), a->request ? &a->message.header : NULL,
                                          NULL, &a->reply.header, &length, NULL, &timeout);
}

static void queue_apc(struct alertable *a)
{
    HANDLE thread = OpenThread(THREAD_SET_CONTEXT, FALSE, (DWORD)a->thread);
    HOLDS(thread);
    keep(thread);
    NEED(queue_apc);
    current = a;
    EXPECT(host.queue_apc(thread, (PVOID)apc, NULL, NULL, NULL), STATUS_SUCCESS);
}

static void alertable(void)
{
    for (int request = 0; request < 2; request++) {
        struct scene scene;
        struct alertable *a = keep_memory(sizeof *a);
        struct message message;
        thread_handle thread;

        usual_scene(&scene);
        a->port = request ? scene.k : scene.c;
        a->request = request;
        thread = keep_thread(run_alertable, a);
        EVENTUALLY(a->started);
        sleep_ms(100);
        queue_apc(a);
        join(thread);
        EXPECT(a->status, STATUS_USER_APC);
        HOLDS(a->called);
        if (!request) continue;
        /* The message stays in flight. */
        take(scene.c, &message, NULL, LPC_REQUEST);
        HOLDS(is_filled(&message, 4, 1));
    }
}

#else

/* Nothing queues APCs to a Linux thread; the flag is taken and changes nothing. */
static void alertable(void)
{
    struct scene scene;
    struct message message, reply;
    SIZE_T length = sizeof reply;
    LARGE_INTEGER soon = { .QuadPart = -10 * 10000 };

    usual_scene(&scene);
    EXPECT(NtAlpcSendWaitReceivePort(scene.c, ALPC_MSGFLG_WAIT_ALERTABLE, NULL, NULL, &reply.header, &length, NULL, &soon), STATUS_TIMEOUT);
    fill_message(&message, 4, 1);
    EXPECT(NtAlpcSendWaitReceivePort(scene.k, ALPC_MSGFLG_SYNC_REQUEST | ALPC_MSGFLG_WAIT_ALERTABLE, &message.header, NULL, &reply.header, &length, NULL, &soon), STATUS_TIMEOUT);
}

#endif

static void alertable_reply(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    for (unsigned i = 0; i < 2; i++) {
        usual_scene(&scene);
        request = start_request_flags(scene.k, i ? ALPC_MSGFLG_WAIT_ALERTABLE : ALPC_MSGFLG_WAIT_USER_MODE | ALPC_MSGFLG_SIGNAL_ALERTABLE, 4, 1);
        take(scene.c, &message, NULL, LPC_REQUEST);
        EXPECT(reply_message(scene.c, &message, 3, 5), STATUS_SUCCESS);
        EXPECT(finish_request(request), STATUS_SUCCESS);
        HOLDS(is_filled(&request->received, 3, 5));
    }
}

static const struct check waits_checks[] = {
    { "wait-server-port", "NtWaitForSingleObject NtAlpcSendWaitReceivePort E-47 E-48", server_port },
    { "wait-client-port", "NtWaitForSingleObject E-49 E-50", client_port },
    { "wait-empty-port", "!NtAlpcSendWaitReceivePort E-47", empty_port },
    { "wait-many-objects", "NtWaitForMultipleObjects", many_objects },
    { "wait-completion-packet", "NtAssociateWaitCompletionPacket", wait_packet },
    { "wait-alertable", "NtAlpcSendWaitReceivePort", alertable },
    { "wait-alertable-reply", "NtAlpcSendWaitReceivePort", alertable_reply },
};
CHECK_GROUP(waits);
