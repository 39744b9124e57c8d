/* Opening the process and the thread that sent a message. */
#include "surface.h"

static OBJECT_ATTRIBUTES *unnamed(void)
{
    static OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, NULL, 0, NULL, NULL);
    return &attributes;
}

static void open_sync(void)
{
    struct scene scene;
    struct message message;
    HANDLE process = NULL, thread = NULL;

    usual_scene(&scene);
    start_request(scene.k, 4, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    for (unsigned form = 0; form < 2; form++) {
        HANDLE port = form ? scene.s : scene.c;
        EXPECT(NtAlpcOpenSenderProcess(&process, port, &message.header, 0, PROCESS_QUERY_INFORMATION, unnamed()), STATUS_SUCCESS);
        keep(process);
        SAME(process_of(process), own_process_id());
        EXPECT(NtAlpcOpenSenderThread(&thread, port, &message.header, 0, THREAD_QUERY_INFORMATION, unnamed()), STATUS_SUCCESS);
        keep(thread);
        SAME(thread_of(thread), (uintptr_t)message.header.ClientId.UniqueThread);
        HOLDS(thread_of(thread) != own_thread_id());
    }
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void open_async(void)
{
    struct scene scene;
    struct message message;
    HANDLE handle = NULL;

    usual_scene(&scene);
    for (unsigned datagram = 0; datagram < 2; datagram++) {
        fill_message(&message, 4, 1);
        EXPECT(send_message(scene.k, datagram ? ALPC_MSGFLG_RELEASE_MESSAGE : 0, &message, NULL), STATUS_SUCCESS);
        EXPECT(receive_message(scene.c, &message, NULL), STATUS_SUCCESS);
        /* A plain datagram does not live on once it is received. */
        if (!datagram) {
            EXPECT(NtAlpcOpenSenderProcess(&handle, scene.c, &message.header, 0, PROCESS_QUERY_INFORMATION, unnamed()), STATUS_SUCCESS);
            keep(handle);
            SAME(process_of(handle), own_process_id());
            EXPECT(NtAlpcOpenSenderThread(&handle, scene.c, &message.header, 0, THREAD_QUERY_INFORMATION, unnamed()), STATUS_ACCESS_DENIED);
        } else EXPECT_ERROR(NtAlpcOpenSenderThread(&handle, scene.c, &message.header, 0, THREAD_QUERY_INFORMATION, unnamed()));
    }
}

static void open_fails(void)
{
    typedef NTSTATUS (NTAPI *opener)(PHANDLE, HANDLE, PPORT_MESSAGE, ULONG, ACCESS_MASK, POBJECT_ATTRIBUTES);
    static const opener openers[] = { NtAlpcOpenSenderProcess, NtAlpcOpenSenderThread };
    const ACCESS_MASK access = 0x0440;
    struct scene scene;
    struct message message, other;
    struct nt_name name;
    HANDLE handle = NULL, event = new_event(0);

    usual_scene(&scene);
    start_request(scene.k, 4, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    fresh_name(&name);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(openers[i](&handle, scene.c, &message.header, 0, access, &name.attributes), STATUS_INVALID_PARAMETER_MIX);
        EXPECT(openers[i](NULL, scene.c, &message.header, 0, access, unnamed()), STATUS_ACCESS_VIOLATION);
        EXPECT(openers[i](&handle, scene.c, pages(4096, 0), 0, access, unnamed()), STATUS_ACCESS_VIOLATION);
        EXPECT(openers[i](&handle, scene.c, &message.header, 0, access, pages(4096, 0)), STATUS_ACCESS_VIOLATION);
        EXPECT(openers[i](&handle, event, &message.header, 0, access, unnamed()), STATUS_OBJECT_TYPE_MISMATCH);
        EXPECT(openers[i](&handle, (HANDLE)(uintptr_t)0xdead0, &message.header, 0, access, unnamed()), STATUS_INVALID_HANDLE);
        other = message;
        other.header.MessageId = 0x7ffffff0;
        EXPECT(openers[i](&handle, scene.c, &other.header, 0, access, unnamed()), STATUS_INVALID_MESSAGE, STATUS_REQUEST_CANCELED);
    }
    other = message;
    other.header.ClientId.UniqueProcess = (HANDLE)(uintptr_t)4;
    EXPECT(NtAlpcOpenSenderProcess(&handle, scene.c, &other.header, 0, access, unnamed()), STATUS_INVALID_CID);
    other = message;
    other.header.ClientId.UniqueThread = (HANDLE)(uintptr_t)4;
    EXPECT(NtAlpcOpenSenderThread(&handle, scene.c, &other.header, 0, access, unnamed()), STATUS_ACCESS_DENIED);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++)
        EXPECT(openers[i](&handle, scene.c, &message.header, 0, access, unnamed()), STATUS_INVALID_MESSAGE, STATUS_REQUEST_CANCELED);
    HOLDS(!handle);
}

static const struct check sender_checks[] = {
    { "sender-of-sync-request", "NtAlpcOpenSenderProcess NtAlpcOpenSenderThread J-01 J-02 J-03", open_sync },
    { "sender-of-async-message", "NtAlpcOpenSenderProcess !NtAlpcOpenSenderThread J-04", open_async },
    { "sender-open-fails", "!NtAlpcOpenSenderProcess !NtAlpcOpenSenderThread J-05 J-06 J-07 M-03", open_fails },
};
CHECK_GROUP(sender);
