/* Ports with a completion port: packets for messages that nobody waits for. */
#include "surface.h"

#define KEY ((PVOID)(uintptr_t)0x1234)

static NTSTATUS associate(HANDLE port, HANDLE completion, PVOID key)
{
    ALPC_PORT_ASSOCIATE_COMPLETION_PORT information = { key, completion };
    return NtAlpcSetInformation(port, AlpcAssociateCompletionPortInformation, &information, sizeof information);
}

static NTSTATUS datagram(HANDLE port, unsigned length, unsigned fill)
{
    struct message message;
    fill_message(&message, length, fill);
    return send_message(port, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL);
}

static void one_packet(void)
{
    struct scene scene;
    HANDLE completion = new_completion_port();
    struct packet packet;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    EXPECT(associate(scene.c, completion, KEY), STATUS_SUCCESS);
    EXPECT(next_packet(completion, &packet, 1), STATUS_TIMEOUT);
    start_connect(&scene);
    EXPECT(next_packet(completion, &packet, 0), STATUS_SUCCESS);
    HOLDS(packet.key == KEY && !packet.context);
    SAME(packet.status, STATUS_SUCCESS);
    SAME(packet.information, 0);
    EXPECT(next_packet(completion, &packet, 1), STATUS_TIMEOUT);
    accept_client(&scene);
    /* The association covers every client of the port. */
    EXPECT(datagram(scene.k, 4, 1), STATUS_SUCCESS);
    EXPECT(next_packet(completion, &packet, 0), STATUS_SUCCESS);
    HOLDS(packet.key == KEY);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_SUCCESS);
    SAME(type_of(&message), LPC_DATAGRAM);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
    EXPECT(next_packet(completion, &packet, 1), STATUS_TIMEOUT);
}

static void associate_fails(void)
{
    struct scene scene;
    HANDLE completion = new_completion_port();
    ALPC_PORT_ASSOCIATE_COMPLETION_PORT information = { KEY, completion };

    usual_scene(&scene);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcAssociateCompletionPortInformation, &information, sizeof information - 1), STATUS_INFO_LENGTH_MISMATCH);
    EXPECT(associate(scene.c, NULL, KEY), STATUS_INVALID_PARAMETER, STATUS_INVALID_HANDLE);
    EXPECT(associate(scene.c, new_event(0), KEY), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(associate(scene.c, (HANDLE)(uintptr_t)0xdead0, KEY), STATUS_INVALID_HANDLE);
    EXPECT(associate(scene.c, completion, KEY), STATUS_SUCCESS);
    EXPECT(associate(scene.c, completion, KEY), STATUS_PORT_ALREADY_SET);
}

static void queued_before(void)
{
    struct scene scene;
    HANDLE completion = new_completion_port();
    struct packet packet;

    usual_scene(&scene);
    EXPECT(datagram(scene.k, 4, 1), STATUS_SUCCESS);
    EXPECT(datagram(scene.k, 4, 2), STATUS_SUCCESS);
    EXPECT(associate(scene.c, completion, KEY), STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++) EXPECT(next_packet(completion, &packet, 0), STATUS_SUCCESS);
    EXPECT(next_packet(completion, &packet, 1), STATUS_TIMEOUT);
}

struct receiver { HANDLE port; struct message message; NTSTATUS status; };

static void run_receiver(void *argument)
{
    struct receiver *receiver = argument;
    receiver->status = receive_message(receiver->port, &receiver->message, NULL);
}

static void blocked_receiver(void)
{
    struct receiver *receiver = keep_memory(sizeof *receiver);
    struct scene scene;
    HANDLE completion = new_completion_port();
    struct packet packet;
    thread_handle thread;

    usual_scene(&scene);
    EXPECT(associate(scene.c, completion, KEY), STATUS_SUCCESS);
    receiver->port = scene.c;
    thread = keep_thread(run_receiver, receiver);
    sleep_ms(200);      /* until it is blocked */
    EXPECT(datagram(scene.k, 4, 1), STATUS_SUCCESS);
    join(thread);
    EXPECT(receiver->status, STATUS_SUCCESS);
    EXPECT(next_packet(completion, &packet, 1), STATUS_TIMEOUT);
}

static void client_port(void)
{
    struct scene scene;
    HANDLE completion = new_completion_port();
    struct packet packet;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    start_connect(&scene);
    EXPECT(associate(scene.k, completion, KEY), STATUS_SUCCESS);
    accept_client(&scene);
    EXPECT(next_packet(completion, &packet, 0), STATUS_SUCCESS);
    HOLDS(packet.key == KEY);
    EXPECT(poll_message(scene.k, &message, NULL), STATUS_SUCCESS);
    SAME(type_of(&message), LPC_INTERNAL_CONNECTION_REPLY);
}

/* Two threads that serve one completion port, as a server's pool does; nothing is lost. */
struct worker { HANDLE completion, port; volatile unsigned *served; };

static void run_worker(void *argument)
{
    struct worker *worker = argument;
    struct packet packet;
    struct message message;

    for (;;) {
        if (next_packet(worker->completion, &packet, 0) != STATUS_SUCCESS || packet.key != KEY) return;
        while (poll_message(worker->port, &message, NULL) == STATUS_SUCCESS)
            if (type_of(&message) == LPC_REQUEST) {
                __atomic_add_fetch(worker->served, 1, __ATOMIC_SEQ_CST);    /* before the client can look */
                reply_message(worker->port, &message, length_of(&message), message.body[0]);
            }
    }
}

static void served_by_pool(void)
{
    struct scene scene;
    HANDLE completion = new_completion_port();
    unsigned *served = keep_memory(sizeof *served);
    thread_handle threads[2];

    usual_scene(&scene);
    NEED(set_completion);
    EXPECT(associate(scene.c, completion, KEY), STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++) {
        struct worker *worker = keep_memory(sizeof *worker);
        *worker = (struct worker){ completion, scene.c, served };
        threads[i] = keep_thread(run_worker, worker);
    }
    for (unsigned i = 0; i < 500; i++) {
        struct message message, reply;
        SIZE_T length = sizeof reply;
        LARGE_INTEGER timeout = { .QuadPart = -20ll * 10000000 };
        fill_message(&message, 4, i);
        EXPECT(NtAlpcSendWaitReceivePort(scene.k, ALPC_MSGFLG_SYNC_REQUEST, &message.header, NULL, &reply.header, &length, NULL, &timeout), STATUS_SUCCESS);
        HOLDS(is_filled(&reply, 4, i));
    }
    SAME(*served, 500);
    for (unsigned i = 0; i < 2; i++) EXPECT(host.set_completion(completion, 0, 0, STATUS_SUCCESS, 0), STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++) join(threads[i]);
}

/* The association keeps the completion port, whatever becomes of its handle. */
static void handle_closed(void)
{
    struct scene scene;
    HANDLE completion = new_completion_port(), second = NULL;
    struct packet packet;

    NEED(duplicate);
    usual_scene(&scene);
    EXPECT(host.duplicate(NtCurrentProcess(), completion, NtCurrentProcess(), &second, 0, 0, DUPLICATE_SAME_ACCESS), STATUS_SUCCESS);
    keep(second);
    EXPECT(associate(scene.c, completion, KEY), STATUS_SUCCESS);
    shut(completion);
    EXPECT(datagram(scene.k, 4, 1), STATUS_SUCCESS);
    EXPECT(next_packet(second, &packet, 0), STATUS_SUCCESS);
}

static const struct check completion_checks[] = {
    { "completion-packet", "NtAlpcSetInformation class:AlpcAssociateCompletionPortInformation K-11 K-16", one_packet },
    { "completion-associate-fails", "!NtAlpcSetInformation !class:AlpcAssociateCompletionPortInformation K-12 K-13", associate_fails },
    { "completion-queued-before", "class:AlpcAssociateCompletionPortInformation K-14", queued_before },
    { "completion-blocked-receiver", "class:AlpcAssociateCompletionPortInformation K-15", blocked_receiver },
    { "completion-client-port", "class:AlpcAssociateCompletionPortInformation", client_port },
    { "completion-served-by-pool", "class:AlpcAssociateCompletionPortInformation", served_by_pool },
    { "completion-handle-closed", "class:AlpcAssociateCompletionPortInformation", handle_closed },
};
CHECK_GROUP(completion);
