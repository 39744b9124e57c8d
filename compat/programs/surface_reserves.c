/* Resource reserves: messages that are paid for in advance. */
#include "surface.h"

static ULONG make_reserve(HANDLE port, SIZE_T size)
{
    ULONG id = 0;
    EXPECT(NtAlpcCreateResourceReserve(port, 0, size, &id), STATUS_SUCCESS);
    HOLDS(id & ALPC_RESERVE_ID_TAG);
    return id;
}

static void life(void)
{
    struct scene scene;
    ULONG id;

    usual_scene(&scene);
    id = make_reserve(scene.k, 0x100);
    EXPECT(NtAlpcDeleteResourceReserve(scene.k, 0, id), STATUS_SUCCESS);
    EXPECT(NtAlpcDeleteResourceReserve(scene.k, 0, id), STATUS_INVALID_HANDLE);
}

static void sizes(void)
{
    static const struct { SIZE_T size; NTSTATUS status; } rows[] = {
        { 0, STATUS_INVALID_PARAMETER }, { 1, STATUS_INVALID_PARAMETER }, { 23, STATUS_INVALID_PARAMETER }, { 24, STATUS_INVALID_PARAMETER },
        { 39, STATUS_INVALID_PARAMETER }, { 40, STATUS_SUCCESS }, { 41, STATUS_SUCCESS }, { 0xffd7, STATUS_SUCCESS },
        { 0xffd8, STATUS_BUFFER_OVERFLOW }, { ~(SIZE_T)0, STATUS_BUFFER_OVERFLOW },
    };
    struct scene scene;

    prepare_scene(&scene);
    scene.server.MaxMessageLength = scene.client.MaxMessageLength = 0xffff;
    connect_scene(&scene);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ULONG ids[3] = { 0x5a5a5a5a, 0x5a5a5a5a, 0x5a5a5a5a };
        EXPECT(NtAlpcCreateResourceReserve(scene.k, 0, rows[i].size, &ids[1]), rows[i].status);
        HOLDS((ids[1] == 0x5a5a5a5a) == (rows[i].status != STATUS_SUCCESS));
        HOLDS(ids[0] == 0x5a5a5a5a && ids[2] == 0x5a5a5a5a);
    }
}

static void fails(void)
{
    struct scene scene;
    ULONG id = 0;

    usual_scene(&scene);
    EXPECT(NtAlpcCreateResourceReserve(scene.k, 1, 0x100, &id), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCreateResourceReserve(scene.k, 0, 0x100, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreateResourceReserve(scene.k, 0, 0x100, pages(4096, 1)), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreateResourceReserve(new_event(0), 0, 0x100, &id), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcCreateResourceReserve((HANDLE)(uintptr_t)0xdead0, 0, 0x100, &id), STATUS_INVALID_HANDLE);
    HOLDS(!id);
    EXPECT(NtAlpcDeleteResourceReserve(scene.k, 1, 0x80000004), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcDeleteResourceReserve(scene.k, 0, 0x80000f00), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcDeleteResourceReserve(new_event(0), 0, 0x80000004), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcDeleteResourceReserve((HANDLE)(uintptr_t)0xdead0, 0, 0x80000004), STATUS_INVALID_HANDLE);
}

static void used(void)
{
    struct scene scene;
    struct message message, received, reply;
    ULONG id;

    usual_scene(&scene);
    id = make_reserve(scene.k, 0x100);
    for (unsigned round = 0; round < 3; round++) {
        answer_message(&message, id, 4, round);
        EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
        take(scene.c, &received, NULL, LPC_REQUEST);
        HOLDS(is_filled(&received, 4, round));
        /* While its message lives it cannot be used again. */
        answer_message(&message, id, 4, 9);
        EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_RESOURCE_IN_USE);
        EXPECT(reply_message(scene.c, &received, 1, 1), STATUS_SUCCESS);
        take(scene.k, &reply, NULL, LPC_REPLY);
    }
    EXPECT(NtAlpcDeleteResourceReserve(scene.k, 0, id), STATUS_SUCCESS);
}

struct sender { HANDLE port; ULONG id; struct message message, reply; NTSTATUS status; };

static void run_sender(void *argument)
{
    struct sender *sender = argument;
    SIZE_T length = sizeof sender->reply;
    answer_message(&sender->message, sender->id, 4, 1);
    sender->status = NtAlpcSendWaitReceivePort(sender->port, ALPC_MSGFLG_SYNC_REQUEST, &sender->message.header, NULL, &sender->reply.header, &length, NULL, NULL);
}

static void used_in_sync_request(void)
{
    struct scene scene;
    struct sender *sender = keep_memory(sizeof *sender);
    struct message received, answer, again;
    thread_handle thread;

    usual_scene(&scene);
    sender->port = scene.k;
    sender->id = make_reserve(scene.k, 0x100);
    thread = keep_thread(run_sender, sender);
    take(scene.c, &received, NULL, LPC_REQUEST);
    /* A reply without RELEASE keeps the message alive, and the reserve in use. */
    answer_message(&answer, received.header.MessageId, 2, 2);
    EXPECT(send_message(scene.c, 0, &answer, NULL), STATUS_SUCCESS);
    join(thread);
    EXPECT(sender->status, STATUS_SUCCESS);
    HOLDS(is_filled(&sender->reply, 2, 2));
    answer_message(&again, sender->id, 4, 1);
    EXPECT(send_message(scene.k, 0, &again, NULL), STATUS_RESOURCE_IN_USE);
}

static void unknown(void)
{
    struct scene scene;
    struct message message;

    usual_scene(&scene);
    answer_message(&message, 0x80000f00, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_OBJECTID_NOT_FOUND);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

static const struct check reserves_checks[] = {
    { "reserve-life", "NtAlpcCreateResourceReserve NtAlpcDeleteResourceReserve !NtAlpcDeleteResourceReserve I-13 I-20", life },
    { "reserve-sizes", "NtAlpcCreateResourceReserve !NtAlpcCreateResourceReserve I-15", sizes },
    { "reserve-fails", "!NtAlpcCreateResourceReserve !NtAlpcDeleteResourceReserve I-14 M-03", fails },
    { "reserve-used", "NtAlpcSendWaitReceivePort !NtAlpcSendWaitReceivePort I-17 I-18", used },
    { "reserve-in-sync-request", "NtAlpcSendWaitReceivePort !NtAlpcSendWaitReceivePort I-16 I-17", used_in_sync_request },
    { "reserve-unknown", "!NtAlpcSendWaitReceivePort I-19", unknown },
};
CHECK_GROUP(reserves);
