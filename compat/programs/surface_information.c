/* What ports tell and are told: every class of NtAlpcQueryInformation and NtAlpcSetInformation. */
#include "surface.h"

static void basic_lengths(void)
{
    struct scene scene;
    unsigned char buffer[sizeof(ALPC_BASIC_INFORMATION) + 16];
    const ULONG size = sizeof(ALPC_BASIC_INFORMATION);

    usual_scene(&scene);
    for (ULONG length = 0; length <= sizeof buffer; length++) {
        ULONG needed = 0x5a5a5a5a;
        memset(buffer, 0x5a, sizeof buffer);
        EXPECT(NtAlpcQueryInformation(scene.c, AlpcBasicInformation, buffer, length, &needed), length < size ? STATUS_INFO_LENGTH_MISMATCH : STATUS_SUCCESS);
        SAME(needed, size);
        for (ULONG i = length < size ? 0 : size; i < sizeof buffer; i++) SAME(buffer[i], 0x5a);
    }
    EXPECT(NtAlpcQueryInformation(scene.c, AlpcBasicInformation, buffer, size, NULL), STATUS_SUCCESS);
}

static void basic_bad_pages(void)
{
    struct scene scene;
    unsigned char *none = pages(4096, 0), *fixed = pages(4096, 1);
    ULONG length = 0, size = sizeof(ALPC_BASIC_INFORMATION);
    ALPC_BASIC_INFORMATION information;

    usual_scene(&scene);
    EXPECT(NtAlpcQueryInformation(scene.c, AlpcBasicInformation, none, size, &length), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcQueryInformation(scene.c, AlpcBasicInformation, fixed, size, &length), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcQueryInformation(scene.c, AlpcBasicInformation, NULL, size, &length), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcQueryInformation(scene.c, AlpcBasicInformation, &information, size, (ULONG *)(void *)none), STATUS_ACCESS_VIOLATION);
    HOLDS(!can_read(none) && can_read(fixed) && !can_write(fixed) && !fixed[0]);
}

static void query_fails(void)
{
    static const ALPC_PORT_INFORMATION_CLASS set_only[] = {
        AlpcPortInformation, AlpcAssociateCompletionPortInformation, AlpcMessageZoneInformation, AlpcRegisterCompletionListInformation,
        AlpcUnregisterCompletionListInformation, AlpcAdjustCompletionListConcurrencyCountInformation, AlpcRegisterCallbackInformation,
        AlpcCompletionListRundownInformation, (ALPC_PORT_INFORMATION_CLASS)13, (ALPC_PORT_INFORMATION_CLASS)0x7fffffff,
    };
    struct scene scene;
    unsigned char buffer[128];
    ULONG length = 0;

    usual_scene(&scene);
    for (size_t i = 0; i < sizeof set_only / sizeof *set_only; i++)
        EXPECT(NtAlpcQueryInformation(scene.c, set_only[i], buffer, sizeof buffer, &length), STATUS_INVALID_INFO_CLASS, STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcQueryInformation(new_event(0), AlpcBasicInformation, buffer, sizeof buffer, &length), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcQueryInformation((HANDLE)(uintptr_t)0xdead0, AlpcBasicInformation, buffer, sizeof buffer, &length), STATUS_INVALID_HANDLE);
}

static void connected_sid(void)
{
    struct scene scene;
    unsigned char sid[68] = { 0 };
    unsigned length;

    usual_scene(&scene);
    length = own_sid(sid, sizeof sid);
    HOLDS(length);
    EXPECT(NtAlpcQueryInformation(scene.k, AlpcConnectedSIDInformation, sid, length, NULL), STATUS_SUCCESS);
    memcpy(sid, "\1\1\0\0\0\0\0\1\0\0\0\0", 12);     /* S-1-1-0 */
    EXPECT(NtAlpcQueryInformation(scene.k, AlpcConnectedSIDInformation, sid, 12, NULL), STATUS_SERVER_SID_MISMATCH);
}

/* ---- Who a blocked thread waits for ---- */

static HANDLE sender_thread(struct scene *scene, struct message *message)
{
    OBJECT_ATTRIBUTES unnamed;
    HANDLE thread = NULL;
    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    EXPECT(NtAlpcOpenSenderThread(&thread, scene->c, &message->header, 0, THREAD_QUERY_INFORMATION, &unnamed), STATUS_SUCCESS);
    return keep(thread);
}

static void server_information(void)
{
    struct scene scene;
    struct request *request;
    struct message message;
    union { ALPC_SERVER_INFORMATION information; unsigned char bytes[700]; } *buffer = keep_memory(sizeof *buffer);
    ULONG length = 0;
    HANDLE thread;

    usual_scene(&scene);
    request = start_request(scene.k, 4, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    thread = sender_thread(&scene, &message);
    /* The message may be here a moment before its sender waits. */
    for (unsigned tries = 0; tries < 1000; tries++) {
        buffer->information.In.ThreadHandle = thread;
        if (NtAlpcQueryInformation(NULL, AlpcServerInformation, buffer, sizeof(ALPC_SERVER_INFORMATION), &length) != STATUS_SUCCESS) break;
        sleep_ms(2);
    }
    buffer->information.In.ThreadHandle = thread;
    EXPECT(NtAlpcQueryInformation(NULL, AlpcServerInformation, buffer, sizeof(ALPC_SERVER_INFORMATION), &length), STATUS_INFO_LENGTH_MISMATCH);
    HOLDS(length >= sizeof(ALPC_SERVER_INFORMATION) + scene.name.string.Length && length <= sizeof *buffer);
    buffer->information.In.ThreadHandle = thread;
    EXPECT(NtAlpcQueryInformation(NULL, AlpcServerInformation, buffer, sizeof *buffer, &length), STATUS_SUCCESS);
    HOLDS(buffer->information.Out.ThreadBlocked);
    SAME((uintptr_t)buffer->information.Out.ConnectedProcessId, own_process_id());
    SAME(buffer->information.Out.ConnectionPortName.Length, scene.name.string.Length);
    HOLDS((unsigned char *)buffer->information.Out.ConnectionPortName.Buffer >= buffer->bytes + sizeof(ALPC_SERVER_INFORMATION)
          && (unsigned char *)buffer->information.Out.ConnectionPortName.Buffer < buffer->bytes + sizeof *buffer);
    HOLDS(!memcmp(buffer->information.Out.ConnectionPortName.Buffer, scene.name.characters, scene.name.string.Length));
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void server_information_idle(void)
{
    union { ALPC_SERVER_INFORMATION information; unsigned char bytes[700]; } *buffer = keep_memory(sizeof *buffer);
    ULONG length = 0;

    buffer->information.In.ThreadHandle = NtCurrentThread();
    EXPECT(NtAlpcQueryInformation(NULL, AlpcServerInformation, buffer, sizeof *buffer, &length), STATUS_SUCCESS);
    HOLDS(!buffer->information.Out.ThreadBlocked);
    buffer->information.In.ThreadHandle = (HANDLE)(uintptr_t)0xdead0;
    EXPECT(NtAlpcQueryInformation(NULL, AlpcServerInformation, buffer, sizeof *buffer, &length), STATUS_INVALID_HANDLE);
}

static void server_session(void)
{
    struct scene scene;
    ALPC_SERVER_SESSION_INFORMATION information = { 0x5a5a5a5a, 0 };
    ULONG length = 0;

    usual_scene(&scene);
    EXPECT(NtAlpcQueryInformation(scene.k, AlpcServerSessionInformation, &information, sizeof information, &length), STATUS_SUCCESS);
    SAME(information.ProcessId, own_process_id());
    HOLDS(information.SessionId != 0x5a5a5a5a);
    EXPECT(NtAlpcQueryInformation(scene.k, AlpcServerSessionInformation, &information, sizeof information - 1, &length), STATUS_INFO_LENGTH_MISMATCH);
}

static void port_references(void)
{
    struct scene scene;
    struct message message, received;
    ULONG count = 0, length = 0;

    usual_scene(&scene);
    /* Nothing is tracked: nothing to wait for. */
    EXPECT(NtAlpcQueryInformation(scene.k, AlpcWaitForPortReferences, &count, sizeof count, &length), STATUS_SUCCESS);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_TRACK_PORT_REFERENCES, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &received, NULL, LPC_REQUEST);
    EXPECT(reply_message(scene.c, &received, 0, 0), STATUS_SUCCESS);
    take(scene.k, &received, NULL, LPC_REPLY);
    count = 0;
    EXPECT(NtAlpcQueryInformation(scene.k, AlpcWaitForPortReferences, &count, sizeof count, &length), STATUS_SUCCESS);
}

static void port_references_fail(void)
{
    struct scene scene;
    ULONG count = 0, length = 0;
    usual_scene(&scene);
    EXPECT(NtAlpcQueryInformation(scene.k, AlpcWaitForPortReferences, &count, 2, &length), STATUS_INFO_LENGTH_MISMATCH);
}

/* ---- Setting ---- */

static void port_attributes(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    scene.client.Flags = 0;
    connect_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.s, 0, &message, NULL), STATUS_LPC_REQUESTS_NOT_ALLOWED);
    scene.client.Flags = ALPC_PORFLG_ALLOW_LPC_REQUESTS;
    EXPECT(NtAlpcSetInformation(scene.k, AlpcPortInformation, &scene.client, sizeof scene.client), STATUS_SUCCESS);
    for (unsigned tries = 0; tries < 200; tries++) {
        fill_message(&message, 4, 1);
        if (send_message(scene.s, 0, &message, NULL) == STATUS_SUCCESS) break;
        sleep_ms(10);
    }
    take(scene.k, &message, NULL, LPC_REQUEST);
    SAME(basic_information(scene.k).Flags & ALPC_PORFLG_ALLOW_LPC_REQUESTS, ALPC_PORFLG_ALLOW_LPC_REQUESTS);
}

static void port_attributes_fail(void)
{
    struct scene scene;
    struct { ALPC_PORT_ATTRIBUTES attributes; unsigned char more[16]; } buffer;

    usual_scene(&scene);
    memset(&buffer, 0, sizeof buffer);
    buffer.attributes = scene.client;
    for (ULONG length = 0; length <= sizeof buffer; length++)
        EXPECT(NtAlpcSetInformation(scene.k, AlpcPortInformation, &buffer, length), length == sizeof buffer.attributes ? STATUS_SUCCESS : STATUS_INFO_LENGTH_MISMATCH);
    EXPECT(NtAlpcSetInformation(scene.k, AlpcPortInformation, pages(4096, 0), sizeof buffer.attributes), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcSetInformation(scene.k, AlpcPortInformation, NULL, sizeof buffer.attributes), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcSetInformation(new_event(0), AlpcPortInformation, &buffer, sizeof buffer.attributes), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcSetInformation((HANDLE)(uintptr_t)0xdead0, AlpcPortInformation, &buffer, sizeof buffer.attributes), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcSetInformation(NULL, AlpcPortInformation, &buffer, sizeof buffer.attributes), STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER);
}

static void message_zone(void)
{
    struct scene scene;
    ALPC_PORT_MESSAGE_ZONE_INFORMATION zones[2];

    usual_scene(&scene);
    memset(zones, 0, sizeof zones);
    for (ULONG length = 0; length <= sizeof zones; length++)
        EXPECT(NtAlpcSetInformation(scene.c, AlpcMessageZoneInformation, zones, length), length == sizeof *zones ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER);
}

static void set_fails(void)
{
    static const ALPC_PORT_INFORMATION_CLASS query_only[] = {
        AlpcBasicInformation, AlpcConnectedSIDInformation, AlpcServerInformation, AlpcWaitForPortReferences, AlpcServerSessionInformation,
        (ALPC_PORT_INFORMATION_CLASS)13, (ALPC_PORT_INFORMATION_CLASS)0x7fffffff,
    };
    struct scene scene;
    ALPC_REGISTER_CALLBACK callback = { &scene, &scene };
    unsigned char buffer[128] = { 0 };

    usual_scene(&scene);
    for (size_t i = 0; i < sizeof query_only / sizeof *query_only; i++)
        EXPECT(NtAlpcSetInformation(scene.c, query_only[i], buffer, sizeof buffer), STATUS_INVALID_INFO_CLASS, STATUS_INVALID_PARAMETER);
    /* For kernel mode alone */
    EXPECT_ERROR(NtAlpcSetInformation(scene.c, AlpcRegisterCallbackInformation, &callback, sizeof callback));
}

static const struct check information_checks[] = {
    { "information-basic-lengths", "NtAlpcQueryInformation !NtAlpcQueryInformation class:AlpcBasicInformation !class:AlpcBasicInformation K-01", basic_lengths },
    { "information-basic-bad-pages", "!NtAlpcQueryInformation !class:AlpcBasicInformation K-02", basic_bad_pages },
    { "information-query-fails", "!NtAlpcQueryInformation K-08 M-03", query_fails },
    { "information-connected-sid", "NtAlpcQueryInformation class:AlpcConnectedSIDInformation !class:AlpcConnectedSIDInformation K-06", connected_sid },
    { "information-server", "NtAlpcQueryInformation class:AlpcServerInformation !class:AlpcServerInformation K-03 K-04", server_information },
    { "information-server-idle", "class:AlpcServerInformation !class:AlpcServerInformation K-05", server_information_idle },
    { "information-server-session", "class:AlpcServerSessionInformation !class:AlpcServerSessionInformation K-07", server_session },
    { "information-port-references", "class:AlpcWaitForPortReferences", port_references },
    { "information-port-references-fail", "!class:AlpcWaitForPortReferences", port_references_fail },
    { "information-port-attributes", "NtAlpcSetInformation class:AlpcPortInformation K-09", port_attributes },
    { "information-port-attributes-fail", "!NtAlpcSetInformation !class:AlpcPortInformation K-10 M-03", port_attributes_fail },
    { "information-message-zone", "class:AlpcMessageZoneInformation !class:AlpcMessageZoneInformation K-17", message_zone },
    { "information-set-fails", "!NtAlpcSetInformation !class:AlpcRegisterCallbackInformation", set_fails },
};
CHECK_GROUP(information);
