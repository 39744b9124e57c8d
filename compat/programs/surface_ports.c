/* ALPC ports: creating, connecting, accepting, disconnecting, closing. */
#include "surface.h"

#define UNTOUCHED ((HANDLE)(uintptr_t)0x5a5a5a5a)

/* ---- Creating ---- */

static void create_unnamed(void)
{
    ALPC_PORT_ATTRIBUTES attributes;
    struct nt_name name;
    HANDLE port = NULL;

    EXPECT(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS);
    keep(port);
    usual_attributes(&attributes);
    EXPECT(NtAlpcCreatePort(&port, NULL, &attributes), STATUS_SUCCESS);
    keep(port);
    fresh_name(&name);
    EXPECT(NtAlpcCreatePort(&port, &name.attributes, NULL), STATUS_SUCCESS);
    keep(port);
}

static void create_only_limit(void)
{
    struct scene scene;

    prepare_scene(&scene);
    memset(&scene.server, 0, sizeof scene.server);
    memset(&scene.client, 0, sizeof scene.client);
    scene.server.MaxMessageLength = scene.client.MaxMessageLength = sizeof(struct message);
    connect_scene(&scene);
    {
        struct request *request = start_request(scene.k, 8, 3);
        struct message message;
        take(scene.c, &message, NULL, LPC_REQUEST);
        EXPECT(reply_message(scene.c, &message, 4, 7), STATUS_SUCCESS);
        EXPECT(finish_request(request), STATUS_SUCCESS);
        HOLDS(is_filled(&request->received, 4, 7));
    }
}

static void create_every_flag(void)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        ALPC_PORT_ATTRIBUTES attributes;
        HANDLE port = UNTOUCHED;
        usual_attributes(&attributes);
        attributes.Flags = 1u << bit;
        if (attributes.Flags == ALPC_PORFLG_SYSTEM_PROCESS) {
            EXPECT(NtAlpcCreatePort(&port, NULL, &attributes), STATUS_INVALID_PARAMETER);
            HOLDS(port == UNTOUCHED);
        } else {
            EXPECT(NtAlpcCreatePort(&port, NULL, &attributes), STATUS_SUCCESS);
            EXPECT(NtClose(port), STATUS_SUCCESS);
        }
    }
}

static void create_limits(void)
{
    static const struct { SIZE_T limit; int works; } rows[] = { { 0, 0 }, { sizeof(PORT_MESSAGE) - 1, 0 }, { sizeof(PORT_MESSAGE), 1 }, { 0xffff, 1 }, { 0x10000, 0 } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ALPC_PORT_ATTRIBUTES attributes;
        HANDLE port = UNTOUCHED;
        usual_attributes(&attributes);
        attributes.MaxMessageLength = rows[i].limit;
        if (rows[i].works) {
            EXPECT(NtAlpcCreatePort(&port, NULL, &attributes), STATUS_SUCCESS);
            EXPECT(NtClose(port), STATUS_SUCCESS);
        } else {
            EXPECT(NtAlpcCreatePort(&port, NULL, &attributes), STATUS_INVALID_PARAMETER);
            HOLDS(port == UNTOUCHED);
        }
    }
}

static void create_bad_pointers(void)
{
    struct nt_name name;
    HANDLE port = NULL;

    fresh_name(&name);
    EXPECT(NtAlpcCreatePort(NULL, &name.attributes, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreatePort(pages(4096, 1), &name.attributes, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreatePort(&port, pages(4096, 0), NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreatePort(&port, &name.attributes, pages(4096, 0)), STATUS_ACCESS_VIOLATION);
    /* Nothing was left behind. */
    EXPECT(NtAlpcCreatePort(&port, &name.attributes, NULL), STATUS_SUCCESS);
    keep(port);
}

static void create_collision(void)
{
    struct scene scene;
    HANDLE second = UNTOUCHED;

    prepare_scene(&scene);
    make_server(&scene);
    EXPECT(NtAlpcCreatePort(&second, &scene.name.attributes, &scene.server), STATUS_OBJECT_NAME_COLLISION);
    HOLDS(second == UNTOUCHED);
    start_connect(&scene);
    accept_client(&scene);
    shut(scene.c);
    EXPECT(NtAlpcCreatePort(&second, &scene.name.attributes, &scene.server), STATUS_SUCCESS);
    keep(second);
}

static void create_bad_names(void)
{
    struct nt_name name;
    HANDLE port = UNTOUCHED;

    make_name(&name, "\\No Such Directory\\port");
    EXPECT(NtAlpcCreatePort(&port, &name.attributes, NULL), STATUS_OBJECT_PATH_NOT_FOUND);
    fresh_name(&name);
    name.string.Length--;
    EXPECT(NtAlpcCreatePort(&port, &name.attributes, NULL), STATUS_OBJECT_NAME_INVALID);
    fresh_name(&name);
    name.attributes.Length--;
    EXPECT(NtAlpcCreatePort(&port, &name.attributes, NULL), STATUS_INVALID_PARAMETER);
    HOLDS(port == UNTOUCHED);
}

static void create_type(void)
{
    struct { UNICODE_STRING name; WCHAR rest[400]; } *type = keep_memory(sizeof *type);
    ULONG basic[20] = { 0 }, length = 0;
    const char *wanted = "ALPC Port";
    struct scene scene;

    NEED(query_object);
    usual_scene(&scene);
    for (unsigned i = 0; i < 3; i++) {
        HANDLE port = i == 0 ? scene.c : i == 1 ? scene.s : scene.k;
        EXPECT(host.query_object(port, 2 /* ObjectTypeInformation */, type, sizeof *type, &length), STATUS_SUCCESS);
        SAME(type->name.Length, strlen(wanted) * sizeof(WCHAR));
        for (size_t k = 0; k < strlen(wanted); k++) SAME(type->name.Buffer[k], wanted[k]);
        EXPECT(host.query_object(port, 0 /* ObjectBasicInformation */, basic, 56, &length), STATUS_SUCCESS);
        SAME(basic[0], 0);
        SAME(basic[1], PORT_ALL_ACCESS);
    }
}

static void create_basic_information(void)
{
    struct scene scene;

    prepare_scene(&scene);
    make_server(&scene);
    SAME(basic_information(scene.c).Flags & ALPC_PORFLG_ALLOW_LPC_REQUESTS, ALPC_PORFLG_ALLOW_LPC_REQUESTS);
    SAME(basic_information(scene.c).SequenceNo, 0);
    HOLDS(!basic_information(scene.c).PortContext);
}

/* Names relative to a directory object. */
static void relative_names(void)
{
    HANDLE directory = NULL, port, client;
    OBJECT_ATTRIBUTES unnamed, relative;
    struct nt_name name;
    ALPC_PORT_ATTRIBUTES attributes;
    struct message message;

    if (!host.create_directory) leave_out("this world has no directory objects");
    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    {
        char text[80];
        snprintf(text, sizeof text, "\\BaseNamedObjects\\surface-%lu", own_process_id());
        make_name(&name, text);
    }
    EXPECT(host.create_directory(&directory, 0xf000f, &name.attributes), STATUS_SUCCESS);
    keep(directory);
    make_name(&name, "port");
    InitializeObjectAttributes(&relative, &name.string, OBJ_CASE_INSENSITIVE, directory, NULL);
    usual_attributes(&attributes);
    EXPECT(NtAlpcCreatePort(&port, &relative, &attributes), STATUS_SUCCESS);
    keep(port);
    EXPECT(NtAlpcConnectPortEx(&client, &relative, NULL, &attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(client);
    take(port, &message, NULL, LPC_CONNECTION_REQUEST);
}

/* ---- Connecting ---- */

static void connect_async(void)
{
    struct scene scene;
    struct message request, message;
    SIZE_T length = 256;

    prepare_scene(&scene);
    make_server(&scene);
    fill_message(&request, 8, 1);
    message = request;
    EXPECT(NtAlpcConnectPort(&scene.k, &scene.name.string, NULL, &scene.client, 0, NULL, &request.header, &length, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(scene.k);
    HOLDS(!memcmp(&request, &message, H + 8) && length == 256);
    take(scene.c, &message, NULL, LPC_CONNECTION_REQUEST);
    SAME((USHORT)message.header.u2.s2.Type, ALPC_CONNECTION_REQUEST);
    HOLDS(is_filled(&message, 8, 1));
    HOLDS(message.header.MessageId);
    SAME((uintptr_t)message.header.ClientId.UniqueProcess, own_process_id());
    SAME((uintptr_t)message.header.ClientId.UniqueThread, own_thread_id());
    scene.request_id = message.header.MessageId;
    answer_message(&message, scene.request_id, 4, 0x61);
    EXPECT(NtAlpcAcceptConnectPort(&scene.s, scene.c, 0, NULL, &scene.server, NULL, &message.header, NULL, TRUE), STATUS_SUCCESS);
    keep(scene.s);
    take(scene.k, &message, NULL, LPC_INTERNAL_CONNECTION_REPLY);
    SAME(message.header.MessageId, scene.request_id);
    HOLDS(is_filled(&message, 4, 0x61));
    SAME((uintptr_t)message.header.ClientId.UniqueProcess, own_process_id());
    SAME((uintptr_t)message.header.ClientId.UniqueThread, own_thread_id());
}

static void connect_minimal(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    EXPECT(NtAlpcConnectPort(&scene.k, &scene.name.string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(scene.k);
    take(scene.c, &message, NULL, LPC_CONNECTION_REQUEST);
    SAME(length_of(&message), 0);
}

static void connect_pending(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    start_connect(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_LPC_REQUESTS_NOT_ALLOWED);
    accept_client(&scene);
    /* It may send before it has received the connection reply. */
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_DATAGRAM);
}

/* A synchronous connect in a thread of its own. */
struct connector {
    struct scene *scene;
    struct message message;
    SIZE_T length;
    HANDLE port;
    PSID sid;
    LARGE_INTEGER timeout;
    NTSTATUS status;
    thread_handle body;
};

static void run_connector(void *argument)
{
    struct connector *connector = argument;
    connector->status = NtAlpcConnectPort(&connector->port, &connector->scene->name.string, NULL, &connector->scene->client, ALPC_SYNC_CONNECTION,
                                          connector->sid, &connector->message.header, &connector->length, NULL, NULL, &connector->timeout);
}

static struct connector *start_connector(struct scene *scene, SIZE_T length)
{
    struct connector *connector = keep_memory(sizeof *connector);
    connector->scene = scene;
    connector->length = length;
    connector->port = UNTOUCHED;
    connector->timeout.QuadPart = -30ll * 10000000;
    fill_message(&connector->message, 8, 1);
    connector->body = keep_thread(run_connector, connector);
    return connector;
}

static void connect_sync(void)
{
    struct scene *scene = keep_memory(sizeof *scene);
    struct connector *connector;
    struct message message;

    prepare_scene(scene);
    make_server(scene);
    connector = start_connector(scene, 256);
    take(scene->c, &message, NULL, LPC_CONNECTION_REQUEST);
    HOLDS(is_filled(&message, 8, 1));
    answer_message(&message, message.header.MessageId, 4, 0x61);
    EXPECT(NtAlpcAcceptConnectPort(&scene->s, scene->c, 0, NULL, &scene->server, NULL, &message.header, NULL, TRUE), STATUS_SUCCESS);
    keep(scene->s);
    join(connector->body);
    EXPECT(connector->status, STATUS_SUCCESS);
    keep(connector->port);
    SAME(type_of(&connector->message), LPC_INTERNAL_CONNECTION_REPLY);
    HOLDS(is_filled(&connector->message, 4, 0x61));
    SAME(connector->length, H + 4);
    /* Nothing is queued after it. */
    EXPECT(poll_message(connector->port, &message, NULL), STATUS_TIMEOUT);
}

static void refuse(struct scene *scene)
{
    struct message message;
    HANDLE port = UNTOUCHED;

    take(scene->c, &message, NULL, LPC_CONNECTION_REQUEST);
    answer_message(&message, message.header.MessageId, 0, 0);
    EXPECT(NtAlpcAcceptConnectPort(&port, scene->c, 0, NULL, NULL, NULL, &message.header, NULL, FALSE), STATUS_SUCCESS);
    HOLDS(port == UNTOUCHED);
}

static void connect_refused_async(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    start_connect(&scene);
    refuse(&scene);
    EXPECT(receive_message(scene.k, &message, NULL), STATUS_PORT_CONNECTION_REFUSED);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_PORT_CONNECTION_REFUSED);
}

static void connect_refused_sync(void)
{
    struct scene *scene = keep_memory(sizeof *scene);
    struct connector *connector;
    struct message sent;

    prepare_scene(scene);
    make_server(scene);
    connector = start_connector(scene, 256);
    fill_message(&sent, 8, 1);
    refuse(scene);
    join(connector->body);
    EXPECT(connector->status, STATUS_PORT_CONNECTION_REFUSED);
    HOLDS(connector->port == UNTOUCHED && connector->length == 256 && !memcmp(&connector->message, &sent, H + 8));
}

static void refuse_without_handle(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    start_connect(&scene);
    take(scene.c, &message, NULL, LPC_CONNECTION_REQUEST);
    EXPECT(NtAlpcAcceptConnectPort(NULL, scene.c, 0, NULL, NULL, NULL, &message.header, NULL, FALSE), STATUS_SUCCESS, STATUS_ACCESS_VIOLATION);
}

static void connect_timeout(void)
{
    struct scene scene;
    struct message message;
    SIZE_T length = sizeof message;
    LARGE_INTEGER soon = { .QuadPart = -100 * 10000 };
    HANDLE port = UNTOUCHED;
    NTSTATUS status;

    prepare_scene(&scene);
    make_server(&scene);
    fill_message(&message, 0, 0);
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, &scene.client, ALPC_SYNC_CONNECTION, NULL, &message.header, &length, NULL, NULL, &soon), STATUS_TIMEOUT);
    HOLDS(port == UNTOUCHED);
    /* The server sees nothing, or a request that it cannot accept any more. */
    status = poll_message(scene.c, &message, NULL);
    if (status == STATUS_SUCCESS && type_of(&message) == LPC_CONNECTION_REQUEST)
        EXPECT(NtAlpcAcceptConnectPort(&port, scene.c, 0, NULL, NULL, NULL, &message.header, NULL, TRUE), STATUS_REQUEST_CANCELED);
    else if (status != STATUS_SUCCESS) EXPECT(status, STATUS_TIMEOUT);
}

static void connect_bad_names(void)
{
    struct nt_name name;
    HANDLE port = UNTOUCHED;

    fresh_name(&name);
    EXPECT(NtAlpcConnectPort(&port, &name.string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    name.string.Length--;
    EXPECT(NtAlpcConnectPort(&port, &name.string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_OBJECT_NAME_INVALID);
    EXPECT(NtAlpcConnectPort(&port, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, STATUS_INVALID_PARAMETER,
           STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_PATH_SYNTAX_BAD);
    HOLDS(port == UNTOUCHED);
}

static void connect_server_sid(void)
{
    unsigned char sid[68] = { 0 };
    struct scene scene;
    struct message message;
    HANDLE port = UNTOUCHED;

    prepare_scene(&scene);
    make_server(&scene);
    HOLDS(own_sid(sid, sizeof sid));
    EXPECT(NtAlpcConnectPort(&scene.k, &scene.name.string, NULL, &scene.client, 0, sid, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(scene.k);
    take(scene.c, &message, NULL, LPC_CONNECTION_REQUEST);
    memcpy(sid, "\1\1\0\0\0\0\0\1\0\0\0\0", 12);     /* S-1-1-0 */
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, &scene.client, 0, sid, NULL, NULL, NULL, NULL, NULL), STATUS_SERVER_SID_MISMATCH);
    sid[0] = 0x55;
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, &scene.client, 0, sid, NULL, NULL, NULL, NULL, NULL), STATUS_INVALID_SID);
    HOLDS(port == UNTOUCHED);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

static void connect_quality(void)
{
    struct scene scene;
    HANDLE port = UNTOUCHED;

    prepare_scene(&scene);
    make_server(&scene);
    scene.client.SecurityQos.ContextTrackingMode = 2;
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, &scene.client, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_INVALID_PARAMETER);
    scene.client.SecurityQos.ContextTrackingMode = 0;
    scene.client.SecurityQos.ImpersonationLevel = (SECURITY_IMPERSONATION_LEVEL)4;
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, &scene.client, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_BAD_IMPERSONATION_LEVEL);
    HOLDS(port == UNTOUCHED);
}

static void connect_lengths(void)
{
    struct scene scene;
    struct message message;
    SIZE_T length = sizeof message;
    HANDLE port = UNTOUCHED;

    prepare_scene(&scene);
    scene.server.MaxMessageLength = H + 16;
    make_server(&scene);
    fill_message(&message, 32, 1);
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, &scene.client, 0, NULL, &message.header, &length, NULL, NULL, NULL), STATUS_PORT_MESSAGE_TOO_LONG);
    fill_message(&message, 8, 1);
    message.header.u1.s1.TotalLength = (USHORT)(H + 16);
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, &scene.client, 0, NULL, &message.header, &length, NULL, NULL, NULL), STATUS_INVALID_PARAMETER);
    HOLDS(port == UNTOUCHED);
}

static void connect_short_buffer(void)
{
    struct scene *scene = keep_memory(sizeof *scene);
    struct connector *connector;
    struct message message;
    HANDLE port = NULL;

    prepare_scene(scene);
    make_server(scene);
    connector = start_connector(scene, H + 8);
    take(scene->c, &message, NULL, LPC_CONNECTION_REQUEST);
    answer_message(&message, message.header.MessageId, 16, 0x61);
    EXPECT(NtAlpcAcceptConnectPort(&port, scene->c, 0, NULL, NULL, NULL, &message.header, NULL, TRUE), STATUS_SUCCESS);
    keep(port);
    join(connector->body);
    EXPECT(connector->status, STATUS_BUFFER_TOO_SMALL);
    SAME(connector->length, H + 16);
    HOLDS(connector->port == UNTOUCHED && connector->message.body[0] == 1);
}

static void connect_ex(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    EXPECT(NtAlpcConnectPortEx(&scene.k, &scene.name.attributes, NULL, &scene.client, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(scene.k);
    accept_client(&scene);
    take(scene.k, &message, NULL, LPC_INTERNAL_CONNECTION_REPLY);
}

/* A self-relative descriptor whose access list grants PORT_CONNECT to one SID. */
static void *descriptor_for(const unsigned char *sid, unsigned length)
{
    unsigned char *bytes = keep_memory(200);
    struct { UCHAR Revision, Sbz1; USHORT Control; ULONG Owner, Group, Sacl, Dacl; } *descriptor = (void *)bytes;
    ACL *list = (void *)(bytes + sizeof *descriptor);
    ACCESS_ALLOWED_ACE *entry = (void *)(list + 1);

    descriptor->Revision = 1;
    descriptor->Control = SE_DACL_PRESENT | SE_SELF_RELATIVE;
    descriptor->Dacl = sizeof *descriptor;
    list->AclRevision = ACL_REVISION;
    list->AclSize = (USHORT)(sizeof *list + 8 + length);
    list->AceCount = 1;
    entry->Header.AceType = ACCESS_ALLOWED_ACE_TYPE;
    entry->Header.AceSize = (USHORT)(8 + length);
    entry->Mask = PORT_CONNECT;
    memcpy(&entry->SidStart, sid, length);
    return bytes;
}

static void connect_ex_requirements(void)
{
    static const unsigned char nobody[] = "\1\2\0\0\0\0\0\5\40\0\0\0\x22\2\0\0";   /* S-1-5-32-546, guests */
    unsigned char sid[68] = { 0 };
    struct scene scene;
    unsigned length = own_sid(sid, sizeof sid);
    HANDLE port = UNTOUCHED;

    prepare_scene(&scene);
    make_server(&scene);
    EXPECT(NtAlpcConnectPortEx(&scene.k, &scene.name.attributes, NULL, &scene.client, 0, descriptor_for(sid, length), NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(scene.k);
    EXPECT(NtAlpcConnectPortEx(&port, &scene.name.attributes, NULL, &scene.client, 0, descriptor_for(nobody, 16), NULL, NULL, NULL, NULL, NULL), STATUS_SERVER_SID_MISMATCH);
    HOLDS(port == UNTOUCHED);
}

static void connect_ex_nameless(void)
{
    OBJECT_ATTRIBUTES unnamed;
    struct scene scene;
    HANDLE port = UNTOUCHED;

    prepare_scene(&scene);
    make_server(&scene);
    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    EXPECT(NtAlpcConnectPortEx(&port, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcConnectPortEx(&port, &unnamed, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_INVALID_PARAMETER);
    scene.name.attributes.Length--;
    EXPECT(NtAlpcConnectPortEx(&port, &scene.name.attributes, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_INVALID_PARAMETER);
    HOLDS(port == UNTOUCHED);
}

/* ---- Accepting ---- */

static void accept_by_id(void)
{
    for (unsigned form = 0; form < 3; form++) {
        struct scene scene;
        struct message message, answer;

        prepare_scene(&scene);
        make_server(&scene);
        start_connect(&scene);
        take(scene.c, &message, NULL, LPC_CONNECTION_REQUEST);
        answer = message;                                       /* as it was received */
        if (form) answer_message(&answer, message.header.MessageId, 0, 0);
        if (form == 2) answer.header.CallbackId = message.header.CallbackId;
        EXPECT(NtAlpcAcceptConnectPort(&scene.s, scene.c, 0, NULL, &scene.server, NULL, &answer.header, NULL, TRUE), STATUS_SUCCESS);
        keep(scene.s);
        take(scene.k, &message, NULL, LPC_INTERNAL_CONNECTION_REPLY);
    }
}

static void accept_tolerated_flags(void)
{
    static const ULONG flags[] = { 0x20000, 0x40000000 };
    for (unsigned i = 0; i < 2; i++) {
        struct scene scene;
        struct message message;
        prepare_scene(&scene);
        make_server(&scene);
        start_connect(&scene);
        take(scene.c, &message, NULL, LPC_CONNECTION_REQUEST);
        EXPECT(NtAlpcAcceptConnectPort(&scene.s, scene.c, flags[i], NULL, &scene.server, NULL, &message.header, NULL, TRUE), STATUS_SUCCESS);
        keep(scene.s);
    }
}

static void accept_unknown(void)
{
    struct scene scene;
    struct message message;
    HANDLE port = UNTOUCHED;

    usual_scene(&scene);
    answer_message(&message, 0x7ffffff0, 0, 0);
    EXPECT(NtAlpcAcceptConnectPort(&port, scene.c, 0, NULL, NULL, NULL, &message.header, NULL, TRUE), STATUS_INVALID_MESSAGE, STATUS_INVALID_PARAMETER);
    answer_message(&message, scene.request_id, 0, 0);
    EXPECT(NtAlpcAcceptConnectPort(&port, scene.c, 0, NULL, NULL, NULL, &message.header, NULL, TRUE), STATUS_INVALID_MESSAGE, STATUS_INVALID_PARAMETER);
    EXPECT_ERROR(NtAlpcAcceptConnectPort(&port, scene.k, 0, NULL, NULL, NULL, &message.header, NULL, TRUE));
    HOLDS(port == UNTOUCHED);
}

static void accept_gone(void)
{
    struct scene scene;
    struct message message, notice;
    HANDLE port = UNTOUCHED;

    prepare_scene(&scene);
    make_server(&scene);
    start_connect(&scene);
    take(scene.c, &message, NULL, LPC_CONNECTION_REQUEST);
    shut(scene.k);
    take(scene.c, &notice, NULL, LPC_CANCEL_MESSAGE);
    SAME(notice.header.MessageId, message.header.MessageId);
    EXPECT(NtAlpcAcceptConnectPort(&port, scene.c, 0, NULL, NULL, NULL, &message.header, NULL, TRUE), STATUS_REQUEST_CANCELED);
    EXPECT(NtAlpcAcceptConnectPort(&port, scene.c, 0, NULL, NULL, NULL, &message.header, NULL, TRUE), STATUS_INVALID_MESSAGE);
    HOLDS(port == UNTOUCHED);
}

static void accept_context(void)
{
    struct scene scene;
    struct message message;
    struct attributes attributes;

    usual_scene(&scene);
    HOLDS(basic_information(scene.s).PortContext == PORT_CONTEXT);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    make_attributes(&attributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    take(scene.c, &message, &attributes, LPC_DATAGRAM);
    HOLDS(context_attribute(&attributes)->PortContext == PORT_CONTEXT);
}

static void accept_listener_closed(void)
{
    struct scene scene;
    struct message message;

    prepare_scene(&scene);
    make_server(&scene);
    start_connect(&scene);
    shut(scene.c);
    take(scene.k, &message, NULL, LPC_CANCEL_MESSAGE);
    SAME(length_of(&message), 0);
    SAME((uintptr_t)message.header.ClientId.UniqueProcess, own_process_id());
    EXPECT_ERROR(poll_message(scene.k, &message, NULL));
}

/* ---- Disconnecting and closing ---- */

static void disconnect_own(void)
{
    struct scene scene;
    struct message message;

    usual_scene(&scene);
    EXPECT(NtAlpcDisconnectPort(scene.k, 0), STATUS_SUCCESS);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_PORT_DISCONNECTED);
    EXPECT(NtAlpcDisconnectPort(scene.k, 0), STATUS_PORT_DISCONNECTED);
    take(scene.c, &message, NULL, LPC_PORT_CLOSED);
}

static void disconnect_flags(void)
{
    struct scene scene;

    usual_scene(&scene);
    EXPECT(NtAlpcDisconnectPort(scene.k, 2), STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED);
    EXPECT(NtAlpcDisconnectPort(scene.k, ALPC_DISCONNECT_PORT_FLG_SKIP_PENDING_FLUSH), STATUS_SUCCESS);
}

static void disconnect_server(void)
{
    struct scene scene;
    struct message message;

    usual_scene(&scene);
    EXPECT(NtAlpcDisconnectPort(scene.s, 0), STATUS_SUCCESS);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS, STATUS_PORT_DISCONNECTED);
}

static void close_client(void)
{
    struct scene scene;
    struct message message;
    struct attributes attributes;

    usual_scene(&scene);
    shut(scene.k);
    make_attributes(&attributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    take(scene.c, &message, &attributes, LPC_PORT_CLOSED);
    SAME(flags_of(&message), 0);
    SAME(length_of(&message), 8);
    HOLDS(context_attribute(&attributes)->PortContext == PORT_CONTEXT);
}

static void close_with_datagram(void)
{
    struct scene scene;
    struct message message;

    usual_scene(&scene);
    fill_message(&message, 3, 0x61);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    shut(scene.k);
    take(scene.c, &message, NULL, LPC_CANCEL_MESSAGE);
    SAME(length_of(&message), 0);
    SAME(flags_of(&message), 0);
    take(scene.c, &message, NULL, LPC_PORT_CLOSED);
}

static void close_with_requests(void)
{
    struct scene scene;
    struct message message;
    unsigned cancelled = 0, closed = 0;

    usual_scene(&scene);
    for (unsigned i = 0; i < 2; i++) {
        fill_message(&message, 3, i);
        EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
        take(scene.c, &message, NULL, LPC_REQUEST);
    }
    shut(scene.k);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(receive_message(scene.c, &message, NULL), STATUS_SUCCESS);
        SAME(flags_of(&message), 0);
        cancelled += type_of(&message) == LPC_CANCEL_MESSAGE;
        closed += type_of(&message) == LPC_PORT_CLOSED;
    }
    SAME(cancelled, 2);
    SAME(closed, 1);
}

static void close_server(void)
{
    struct scene scene;
    struct message message;
    HANDLE port = UNTOUCHED;

    usual_scene(&scene);
    shut(scene.s);
    fill_message(&message, 3, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_PORT_DISCONNECTED);
    usual_scene(&scene);
    shut(scene.c);
    fill_message(&message, 3, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_PORT_DISCONNECTED);
    EXPECT(NtAlpcConnectPort(&port, &scene.name.string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
}

static void close_during_request(void)
{
    struct scene scene;
    struct message message;
    struct request *request;

    usual_scene(&scene);
    request = start_request(scene.k, 4, 1);
    take(scene.c, &message, NULL, LPC_REQUEST);
    shut(scene.s);
    shut(scene.c);
    EXPECT(finish_request(request), STATUS_MESSAGE_LOST, STATUS_PORT_DISCONNECTED, STATUS_LPC_REPLY_LOST);
}

struct receiver { HANDLE port; struct message message; NTSTATUS status; };

static void run_receiver(void *argument)
{
    struct receiver *receiver = argument;
    SIZE_T length = sizeof receiver->message;
    receiver->status = NtAlpcSendWaitReceivePort(receiver->port, 0, NULL, NULL, &receiver->message.header, &length, NULL, NULL);
}

static void close_under_receiver(void)
{
    struct receiver *receiver = keep_memory(sizeof *receiver);
    struct scene scene;
    thread_handle thread;

    usual_scene(&scene);
    receiver->port = scene.c;
    thread = keep_thread(run_receiver, receiver);
    sleep_ms(100);
    shut(scene.c);
    join(thread);
    EXPECT(receiver->status, STATUS_PORT_CLOSED, STATUS_INVALID_HANDLE);
}

static void close_duplicate(void)
{
    struct scene scene;
    struct message message;
    HANDLE second = NULL;

    NEED(duplicate);
    usual_scene(&scene);
    EXPECT(host.duplicate(NtCurrentProcess(), scene.k, NtCurrentProcess(), &second, 0, 0, DUPLICATE_SAME_ACCESS), STATUS_SUCCESS);
    keep(second);
    shut(scene.k);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
    shut(second);
    take(scene.c, &message, NULL, LPC_PORT_CLOSED);
}

static const struct check ports_checks[] = {
    { "create-unnamed", "NtAlpcCreatePort A-01", create_unnamed },
    { "create-only-limit", "NtAlpcCreatePort A-12", create_only_limit },
    { "create-every-flag", "NtAlpcCreatePort !NtAlpcCreatePort A-07", create_every_flag },
    { "create-limits", "!NtAlpcCreatePort A-08 A-09 A-11", create_limits },
    { "create-bad-pointers", "!NtAlpcCreatePort A-04", create_bad_pointers },
    { "create-collision", "!NtAlpcCreatePort NtClose A-05 A-06", create_collision },
    { "create-bad-names", "!NtAlpcCreatePort A-15", create_bad_names },
    { "create-type", "NtQueryObject A-02", create_type },
    { "create-basic-information", "NtAlpcQueryInformation class:AlpcBasicInformation A-13", create_basic_information },
    { "create-relative-name", "NtAlpcCreatePort NtAlpcConnectPortEx A-14", relative_names },
    { "connect-async", "NtAlpcConnectPort NtAlpcAcceptConnectPort D-02 D-03 D-06 E-37", connect_async },
    { "connect-minimal", "NtAlpcConnectPort D-01", connect_minimal },
    { "connect-pending", "!NtAlpcSendWaitReceivePort D-04 D-05", connect_pending },
    { "connect-sync", "NtAlpcConnectPort D-07", connect_sync },
    { "connect-refused-async", "NtAlpcAcceptConnectPort !NtAlpcSendWaitReceivePort D-08", connect_refused_async },
    { "connect-refused-sync", "!NtAlpcConnectPort D-09", connect_refused_sync },
    { "connect-refused-without-handle", "NtAlpcAcceptConnectPort D-33", refuse_without_handle },
    { "connect-timeout", "!NtAlpcConnectPort D-10", connect_timeout },
    { "connect-bad-names", "!NtAlpcConnectPort D-11", connect_bad_names },
    { "connect-server-sid", "NtAlpcConnectPort !NtAlpcConnectPort D-12 D-13 D-14", connect_server_sid },
    { "connect-quality-of-service", "!NtAlpcConnectPort", connect_quality },
    { "connect-lengths", "!NtAlpcConnectPort D-15 D-16", connect_lengths },
    { "connect-short-buffer", "!NtAlpcConnectPort D-17", connect_short_buffer },
    { "connect-ex", "NtAlpcConnectPortEx D-19", connect_ex },
    { "connect-ex-requirements", "NtAlpcConnectPortEx !NtAlpcConnectPortEx D-20 D-21", connect_ex_requirements },
    { "connect-ex-nameless", "!NtAlpcConnectPortEx D-22", connect_ex_nameless },
    { "accept-by-id", "NtAlpcAcceptConnectPort D-23 D-24 D-25", accept_by_id },
    { "accept-tolerated-flags", "NtAlpcAcceptConnectPort", accept_tolerated_flags },
    { "accept-unknown", "!NtAlpcAcceptConnectPort D-26 D-27 D-36", accept_unknown },
    { "accept-client-gone", "!NtAlpcAcceptConnectPort D-28 D-29", accept_gone },
    { "accept-port-context", "NtAlpcAcceptConnectPort attr:CONTEXT class:AlpcBasicInformation D-31 D-32", accept_context },
    { "accept-listener-closed", "NtClose D-30", accept_listener_closed },
    { "disconnect-own", "NtAlpcDisconnectPort !NtAlpcDisconnectPort G-06 G-07 G-10", disconnect_own },
    { "disconnect-flags", "NtAlpcDisconnectPort !NtAlpcDisconnectPort G-08 G-09", disconnect_flags },
    { "disconnect-server", "NtAlpcDisconnectPort G-11", disconnect_server },
    { "close-client", "NtClose attr:CONTEXT G-01 G-18", close_client },
    { "close-with-datagram", "NtClose G-02", close_with_datagram },
    { "close-with-requests", "NtClose G-03", close_with_requests },
    { "close-server", "NtClose !NtAlpcSendWaitReceivePort G-05 G-14 G-15", close_server },
    { "close-during-request", "NtClose G-12", close_during_request },
    { "close-under-receiver", "NtClose !NtAlpcSendWaitReceivePort G-13", close_under_receiver },
    { "close-duplicate", "NtClose NtDuplicateObject G-17", close_duplicate },
};
CHECK_GROUP(ports);
