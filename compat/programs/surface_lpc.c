/* The legacy LPC calls: creating, connecting, accepting, requests, replies, notices. */
#include "surface.h"

#define UNTOUCHED ((HANDLE)(uintptr_t)0x5a5a5a5a)

static void create(void)
{
    struct nt_name name;
    HANDLE port = NULL;
    struct { UNICODE_STRING name; WCHAR rest[400]; } *type = keep_memory(sizeof *type);
    ULONG length = 0;

    fresh_name(&name);
    EXPECT(NtCreatePort(&port, &name.attributes, 100, 100, 0), STATUS_SUCCESS);
    keep(port);
    NEED(query_object);
    EXPECT(host.query_object(port, 2, type, sizeof *type, &length), STATUS_SUCCESS);
    SAME(type->name.Length, 9 * sizeof(WCHAR));
    EXPECT(NtCreatePort(&port, NULL, 64, 256, 0), STATUS_SUCCESS);
    keep(port);
}

static void create_fails(void)
{
    struct nt_name name;
    HANDLE port = UNTOUCHED;

    fresh_name(&name);
    EXPECT(NtCreatePort(&port, &name.attributes, 0xffff, 256, 0), STATUS_INVALID_PARAMETER_3);
    EXPECT(NtCreatePort(&port, &name.attributes, 64, 0x7fffffff, 0), STATUS_INVALID_PARAMETER_4, STATUS_INVALID_PARAMETER);
    EXPECT(NtCreatePort(pages(4096, 0), &name.attributes, 64, 256, 0), STATUS_ACCESS_VIOLATION);
    EXPECT(NtCreateWaitablePort(pages(4096, 0), &name.attributes, 64, 256, 0), STATUS_ACCESS_VIOLATION);
    HOLDS(port == UNTOUCHED);
    EXPECT(NtCreatePort(&port, &name.attributes, 64, 256, 0), STATUS_SUCCESS);
    keep(port);
    EXPECT(NtCreatePort(&port, &name.attributes, 64, 256, 0), STATUS_OBJECT_NAME_COLLISION);
    EXPECT(NtCreateWaitablePort(&port, &name.attributes, 64, 256, 0), STATUS_OBJECT_NAME_COLLISION);
    make_name(&name, "\\No Such Directory\\port");
    EXPECT(NtCreatePort(&port, &name.attributes, 64, 256, 0), STATUS_OBJECT_PATH_NOT_FOUND);
}

/* ---- Connecting ---- */

/* A client that connects in a thread of its own. */
struct connector {
    struct nt_name name;
    SECURITY_QUALITY_OF_SERVICE quality;
    ULONG limit, length;
    unsigned char information[128], sid[68];
    int secure, plain;
    HANDLE port;
    NTSTATUS status;
    volatile unsigned long long thread;
    volatile int done;
    thread_handle body;
};

static void run_connector(void *argument)
{
    struct connector *c = argument;
    c->thread = own_thread_id();
    if (c->plain) c->status = NtConnectPort(&c->port, &c->name.string, &c->quality, NULL, NULL, NULL, NULL, NULL);
    else if (c->secure) c->status = NtSecureConnectPort(&c->port, &c->name.string, &c->quality, NULL, c->sid, NULL, &c->limit, c->information, &c->length);
    else c->status = NtConnectPort(&c->port, &c->name.string, &c->quality, NULL, NULL, &c->limit, c->information, &c->length);
    c->done = 1;
}

static struct connector *new_connector(struct nt_name *name, ULONG length)
{
    struct connector *c = keep_memory(sizeof *c);
    c->name = *name;
    c->name.string.Buffer = c->name.characters;
    c->quality.Length = sizeof c->quality;
    c->quality.ImpersonationLevel = SecurityImpersonation;
    c->quality.ContextTrackingMode = SECURITY_DYNAMIC_TRACKING;
    c->length = length;
    c->port = UNTOUCHED;
    for (ULONG i = 0; i < length && i < sizeof c->information; i++) c->information[i] = (unsigned char)(i + 1);
    return c;
}

static HANDLE listener(struct nt_name *name, ULONG limit)
{
    HANDLE port = NULL;
    fresh_name(name);
    EXPECT(NtCreatePort(&port, &name->attributes, 64, limit, 0), STATUS_SUCCESS);
    return keep(port);
}

static void connect_and_complete(void)
{
    struct nt_name name;
    HANDLE port = listener(&name, 200), server = NULL;
    struct connector *c = new_connector(&name, 12);
    struct message message;

    c->body = keep_thread(run_connector, c);
    EXPECT(NtListenPort(port, &message.header), STATUS_SUCCESS);
    SAME((USHORT)message.header.u2.s2.Type, LPC_CONNECTION_REQUEST);
    HOLDS(is_filled(&message, 12, 1));
    HOLDS(message.header.MessageId);
    SAME((uintptr_t)message.header.ClientId.UniqueProcess, own_process_id());
    SAME((uintptr_t)message.header.ClientId.UniqueThread, c->thread);
    SAME(message.header.ClientViewSize, 0);
    message.header.u1.s1.DataLength = 5;
    message.header.u1.s1.TotalLength = (USHORT)(H + 5);
    memcpy(message.body, "hello", 5);
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, NULL, NULL), STATUS_SUCCESS);
    keep(server);
    sleep_ms(100);
    HOLDS(!c->done);        /* until the server completes it */
    EXPECT(NtCompleteConnectPort(server), STATUS_SUCCESS);
    join(c->body);
    EXPECT(c->status, STATUS_SUCCESS);
    keep(c->port);
    SAME(c->limit, 200);
    HOLDS(c->length == 5 && !memcmp(c->information, "hello", 5));
    EXPECT(NtCompleteConnectPort(server), STATUS_INVALID_PARAMETER);
    EXPECT(NtCompleteConnectPort(port), STATUS_INVALID_PORT_HANDLE);
}

static void connect_without_information(void)
{
    struct nt_name name;
    HANDLE port = listener(&name, 200), server = NULL;
    struct connector *c = new_connector(&name, 0);
    struct message message;
    PVOID context = UNTOUCHED;

    c->plain = 1;
    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(port, &context, NULL, &message), STATUS_SUCCESS);
    SAME(length_of(&message), 0);
    HOLDS(!context);
    EXPECT(NtAcceptConnectPort(&server, PORT_CONTEXT, &message.header, TRUE, NULL, NULL), STATUS_SUCCESS);
    keep(server);
    EXPECT(NtCompleteConnectPort(server), STATUS_SUCCESS);
    join(c->body);
    EXPECT(c->status, STATUS_SUCCESS);
    keep(c->port);
}

static void refuse(void)
{
    struct nt_name name;
    HANDLE port = listener(&name, 200), server = UNTOUCHED;
    struct connector *c = new_connector(&name, 12);
    struct message message;

    c->body = keep_thread(run_connector, c);
    EXPECT(NtListenPort(port, &message.header), STATUS_SUCCESS);
    message.header.u1.s1.DataLength = 8;
    message.header.u1.s1.TotalLength = (USHORT)(H + 8);
    memcpy(message.body, "go away!", 8);
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, FALSE, NULL, NULL), STATUS_SUCCESS);
    HOLDS(server == UNTOUCHED);
    join(c->body);
    EXPECT(c->status, STATUS_PORT_CONNECTION_REFUSED);
    HOLDS(c->port == UNTOUCHED);
    HOLDS(c->length == 8 && !memcmp(c->information, "go away!", 8));
    /* The connecting thread may be gone by now. */
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, FALSE, NULL, NULL), STATUS_REPLY_MESSAGE_MISMATCH, STATUS_INVALID_CID);
}

static void connect_fails(void)
{
    struct nt_name name;
    struct connector *c;
    HANDLE port = UNTOUCHED;

    fresh_name(&name);
    c = new_connector(&name, 0);
    EXPECT(NtConnectPort(&port, &name.string, &c->quality, NULL, NULL, NULL, NULL, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT(NtConnectPort(&port, NULL, &c->quality, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_INVALID);
    EXPECT(NtConnectPort(&port, &name.string, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtConnectPort(NULL, &name.string, &c->quality, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION);
    HOLDS(port == UNTOUCHED);
    /* The server goes while the client waits. */
    port = listener(&name, 200);
    c = new_connector(&name, 0);
    c->body = keep_thread(run_connector, c);
    sleep_ms(100);
    shut(port);
    join(c->body);
    EXPECT(c->status, STATUS_PORT_CONNECTION_REFUSED, STATUS_OBJECT_NAME_NOT_FOUND);
}

static void secure_connect(void)
{
    struct nt_name name;
    HANDLE port = listener(&name, 200), server = NULL;
    struct connector *c = new_connector(&name, 0);
    struct message message;

    HOLDS(own_sid(c->sid, sizeof c->sid));
    c->secure = 1;
    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(port, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, NULL, NULL), STATUS_SUCCESS);
    keep(server);
    EXPECT(NtCompleteConnectPort(server), STATUS_SUCCESS);
    join(c->body);
    EXPECT(c->status, STATUS_SUCCESS);
    keep(c->port);
}

static void secure_connect_fails(void)
{
    struct nt_name name;
    HANDLE port = listener(&name, 200);
    struct connector *c = new_connector(&name, 0);
    struct message message;

    memcpy(c->sid, "\1\1\0\0\0\0\0\1\0\0\0\0", 12);     /* S-1-1-0 */
    c->secure = 1;
    c->body = keep_thread(run_connector, c);
    join(c->body);
    EXPECT(c->status, STATUS_SERVER_SID_MISMATCH);
    HOLDS(c->port == UNTOUCHED);
    EXPECT(lpc_poll(port, &message), STATUS_TIMEOUT);
}

static void accept_fails(void)
{
    struct nt_name name;
    HANDLE port = listener(&name, 200), server = UNTOUCHED;
    struct connector *c = new_connector(&name, 12);
    struct message message;
    ULONG id;

    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(port, NULL, NULL, &message), STATUS_SUCCESS);
    id = message.header.MessageId;
    message.header.MessageId = 0;
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, NULL, NULL), STATUS_REPLY_MESSAGE_MISMATCH);
    message.header.MessageId = 0x7ffffff0;
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, NULL, NULL), STATUS_REPLY_MESSAGE_MISMATCH);
    HOLDS(server == UNTOUCHED && !c->done);
    message.header.MessageId = id;
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, NULL, NULL), STATUS_SUCCESS);
    keep(server);
    EXPECT(NtCompleteConnectPort(server), STATUS_SUCCESS);
    join(c->body);
    keep(c->port);
}

static void listen_skips(void)
{
    struct scene scene;
    struct message message;
    struct connector *c;

    lpc_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_SUCCESS);
    c = new_connector(&scene.name, 3);
    c->body = keep_thread(run_connector, c);
    EXPECT(NtListenPort(scene.c, &message.header), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 3, 1));
    EXPECT(NtAcceptConnectPort(&scene.s, NULL, &message.header, FALSE, NULL, NULL), STATUS_SUCCESS);
    EXPECT(lpc_poll(scene.c, &message), STATUS_TIMEOUT);
}

static void waitable(void)
{
    struct nt_name name;
    struct connector *c;
    struct message message;
    HANDLE port = NULL, server = UNTOUCHED;

    fresh_name(&name);
    EXPECT(NtCreateWaitablePort(&port, &name.attributes, 64, 256, 0), STATUS_SUCCESS);
    keep(port);
    EXPECT(wait_for(port, 1), STATUS_TIMEOUT);
    c = new_connector(&name, 3);
    c->body = keep_thread(run_connector, c);
    EXPECT(wait_for(port, 0), STATUS_SUCCESS);
    EXPECT(lpc_receive(port, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(wait_for(port, 1), STATUS_TIMEOUT);
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, FALSE, NULL, NULL), STATUS_SUCCESS);
}

/* ---- Data ---- */

static void datagram(void)
{
    struct scene scene;
    struct message message, received;
    PVOID context = NULL;

    lpc_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_SUCCESS);
    SAME((USHORT)message.header.u2.s2.Type, 0);
    SAME(message.header.MessageId, 0);
    EXPECT(lpc_receive(scene.s, &context, NULL, &received), STATUS_SUCCESS);
    SAME((USHORT)received.header.u2.s2.Type, LPC_DATAGRAM);
    HOLDS(is_filled(&received, 4, 1));
    HOLDS(context == PORT_CONTEXT);
    SAME((uintptr_t)received.header.ClientId.UniqueThread, own_thread_id());
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_SUCCESS);
    EXPECT(lpc_receive(scene.c, &context, NULL, &received), STATUS_SUCCESS);
    HOLDS(is_filled(&received, 4, 1) && context == PORT_CONTEXT);
    /* And from the server to the client. */
    EXPECT(NtRequestPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(lpc_receive(scene.k, &context, NULL, &received), STATUS_SUCCESS);
    SAME((USHORT)received.header.u2.s2.Type, LPC_DATAGRAM);
}

static void datagram_fails(void)
{
    struct scene scene;
    struct message message;

    lpc_scene(&scene);
    fill_message(&message, 16, 1);
    message.header.u2.s2.Type = LPC_REQUEST;
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_INVALID_PARAMETER);
    message.header.u2.s2.Type = LPC_CLIENT_DIED;
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_INVALID_PARAMETER);
    fill_message(&message, 16, 1);
    message.header.u2.s2.DataInfoOffset = (USHORT)H;
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_INVALID_PARAMETER);
    fill_message(&message, 16, 1);
    message.header.u1.s1.TotalLength = (USHORT)(H + 17 - 8);
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_INVALID_PARAMETER);
    fill_message(&message, 0x201 - H, 1);
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_PORT_MESSAGE_TOO_LONG);
    EXPECT(NtRequestPort(scene.k, pages(4096, 0)), STATUS_ACCESS_VIOLATION);
    EXPECT(NtRequestPort(new_event(0), &message.header), STATUS_OBJECT_TYPE_MISMATCH);
    fill_message(&message, 4, 1);
    shut(scene.s);
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_PORT_DISCONNECTED);
    shut(scene.k);
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_INVALID_HANDLE);
}

static void request_and_reply(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    lpc_scene(&scene);
    request = start_lpc_request(scene.k, 6, 1);
    EXPECT(NtReplyWaitReceivePort(scene.c, NULL, NULL, &message.header), STATUS_SUCCESS);
    SAME((USHORT)message.header.u2.s2.Type, LPC_REQUEST);
    HOLDS(is_filled(&message, 6, 1));
    SAME((uintptr_t)message.header.ClientId.UniqueThread, request->thread);
    message.header.u1.s1.DataLength = 3;
    message.header.u1.s1.TotalLength = (USHORT)(H + 3);
    memcpy(message.body, "yes", 3);
    EXPECT(NtReplyPort(scene.c, &message.header), STATUS_SUCCESS);
    SAME((USHORT)message.header.u2.s2.Type, LPC_REQUEST);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    SAME((USHORT)request->received.header.u2.s2.Type, LPC_REPLY);
    SAME(request->received.header.MessageId, message.header.MessageId);
    HOLDS(length_of(&request->received) == 3 && !memcmp(request->received.body, "yes", 3));
}

static void request_fails(void)
{
    struct scene scene;
    struct message message, reply;

    lpc_scene(&scene);
    fill_message(&message, 0x201 - H, 1);
    EXPECT(NtRequestWaitReplyPort(scene.k, &message.header, &reply.header), STATUS_PORT_MESSAGE_TOO_LONG);
    fill_message(&message, 16, 1);
    message.header.u1.s1.TotalLength = (USHORT)(H + 17 - 8);
    EXPECT(NtRequestWaitReplyPort(scene.k, &message.header, &reply.header), STATUS_INVALID_PARAMETER);
    EXPECT(NtRequestWaitReplyPort(scene.k, pages(4096, 0), &reply.header), STATUS_ACCESS_VIOLATION);
    fill_message(&message, 16, 1);
    EXPECT(NtRequestWaitReplyPort(scene.k, &message.header, pages(4096, 1)), STATUS_ACCESS_VIOLATION);
    EXPECT(NtRequestWaitReplyPort(new_event(0), &message.header, &reply.header), STATUS_OBJECT_TYPE_MISMATCH);
    shut(scene.s);
    EXPECT(NtRequestWaitReplyPort(scene.k, &message.header, &reply.header), STATUS_PORT_DISCONNECTED);
}

/* A type that a sender may not choose counts for nothing. */
static void request_forged_type(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    lpc_scene(&scene);
    request = start_lpc_request_of_type(scene.k, LPC_CONNECTION_REQUEST);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    SAME((USHORT)message.header.u2.s2.Type, LPC_REQUEST);
    EXPECT(NtReplyPort(scene.c, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void combined_reply(void)
{
    struct scene scene;
    struct request *first, *second;
    struct message message, reply;
    PVOID context = NULL;

    lpc_scene(&scene);
    first = start_lpc_request(scene.k, 6, 1);
    EXPECT(lpc_receive(scene.c, &context, NULL, &message), STATUS_SUCCESS);
    second = start_lpc_request(scene.k, 7, 2);
    reply = message;
    EXPECT(lpc_receive(scene.c, &context, &reply, &message), STATUS_SUCCESS);
    HOLDS(is_filled(&message, 7, 2) && context == PORT_CONTEXT);
    EXPECT(finish_request(first), STATUS_SUCCESS);
    EXPECT(NtReplyPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(second), STATUS_SUCCESS);
}

static void reply_fails(void)
{
    struct scene scene;
    struct request *request;
    struct message message, reply;

    lpc_scene(&scene);
    request = start_lpc_request(scene.k, 6, 1);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    reply = message;
    reply.header.MessageId = 0;
    EXPECT(NtReplyPort(scene.c, &reply.header), STATUS_INVALID_PARAMETER);
    reply = message;
    reply.header.MessageId = 0x7ffffff0;
    EXPECT(NtReplyPort(scene.c, &reply.header), STATUS_REPLY_MESSAGE_MISMATCH, STATUS_INVALID_CID);
    reply = message;
    reply.header.u1.s1.TotalLength = (USHORT)(H + 2);
    EXPECT(NtReplyPort(scene.c, &reply.header), STATUS_INVALID_PARAMETER);
    reply = message;
    reply.header.u1.s1.DataLength = (USHORT)(0x201 - H);
    reply.header.u1.s1.TotalLength = 0x201;
    EXPECT(NtReplyPort(scene.c, &reply.header), STATUS_PORT_MESSAGE_TOO_LONG);
    EXPECT(NtReplyPort(scene.c, pages(4096, 0)), STATUS_ACCESS_VIOLATION);
    EXPECT(NtReplyPort(new_event(0), &message.header), STATUS_OBJECT_TYPE_MISMATCH);
    HOLDS(!request->done);
    EXPECT(NtReplyPort(scene.c, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    /* The client's thread may have ended. */
    EXPECT_EITHER(NtReplyPort(scene.c, &message.header), STATUS_REPLY_MESSAGE_MISMATCH, STATUS_INVALID_CID);
    /* A reply that fails keeps the call from receiving. */
    EXPECT_EITHER(lpc_receive(scene.c, NULL, &message, &reply), STATUS_REPLY_MESSAGE_MISMATCH, STATUS_INVALID_CID);
}

static void receive_fails(void)
{
    struct scene scene;
    struct message message;
    LARGE_INTEGER soon = { .QuadPart = -10 * 10000 };

    lpc_scene(&scene);
    EXPECT(lpc_poll(scene.c, &message), STATUS_TIMEOUT);
    EXPECT(NtReplyWaitReceivePortEx(scene.c, NULL, NULL, &message.header, &soon), STATUS_TIMEOUT);
    EXPECT(NtReplyWaitReceivePortEx(new_event(0), NULL, NULL, &message.header, &soon), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtReplyWaitReceivePort(new_event(0), NULL, NULL, &message.header), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtListenPort(new_event(0), &message.header), STATUS_OBJECT_TYPE_MISMATCH);
    fill_message(&message, 4, 1);
    EXPECT(NtRequestPort(scene.k, &message.header), STATUS_SUCCESS);
    EXPECT(NtReplyWaitReceivePortEx(scene.c, NULL, NULL, pages(4096, 0), &soon), STATUS_ACCESS_VIOLATION);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtReplyWaitReceivePort((HANDLE)(uintptr_t)0xdead0, NULL, NULL, &message.header), STATUS_INVALID_HANDLE);
    EXPECT(NtListenPort((HANDLE)(uintptr_t)0xdead0, &message.header), STATUS_INVALID_HANDLE);
}

static void close_notice(void)
{
    struct scene scene;
    struct message message;
    PVOID context = NULL;

    lpc_scene(&scene);
    shut(scene.k);
    EXPECT(lpc_receive(scene.c, &context, NULL, &message), STATUS_SUCCESS);
    SAME((USHORT)message.header.u2.s2.Type, LPC_PORT_CLOSED);
    SAME(length_of(&message), 8);
    HOLDS(context == PORT_CONTEXT);
}

static void server_dies(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    lpc_scene(&scene);
    request = start_lpc_request(scene.k, 6, 1);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    shut(scene.s);
    shut(scene.c);
    EXPECT(finish_request(request), STATUS_LPC_REPLY_LOST, STATUS_PORT_DISCONNECTED, STATUS_MESSAGE_LOST);
}

struct dying { HANDLE port; unsigned times; NTSTATUS status; };

static void run_dying(void *argument)
{
    struct dying *dying = argument;
    for (unsigned i = 0; i < dying->times; i++) dying->status = NtRegisterThreadTerminatePort(dying->port);
}

static void thread_ends(void)
{
    struct scene scene;
    struct dying *dying = keep_memory(sizeof *dying);
    struct message message;

    lpc_scene(&scene);
    dying->port = scene.k;
    dying->times = 2;
    join(keep_thread(run_dying, dying));
    EXPECT(dying->status, STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
        SAME((USHORT)message.header.u2.s2.Type, LPC_CLIENT_DIED);
        SAME(length_of(&message), 8);
    }
    EXPECT(NtRegisterThreadTerminatePort(new_event(0)), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtRegisterThreadTerminatePort((HANDLE)(uintptr_t)0xdead0), STATUS_INVALID_HANDLE);
}

static void complete_fails(void)
{
    struct scene scene;

    lpc_scene(&scene);
    EXPECT(NtCompleteConnectPort(scene.k), STATUS_INVALID_PORT_HANDLE);
    EXPECT(NtCompleteConnectPort(new_event(0)), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtCompleteConnectPort((HANDLE)(uintptr_t)0xdead0), STATUS_INVALID_HANDLE);
}

/* ---- Both stacks ---- */

static void mixed(void)
{
    struct scene scene;
    struct connector *c;
    struct request *request;
    struct message message;

    prepare_scene(&scene);
    memset(&scene.server, 0, sizeof scene.server);
    scene.server.MaxMessageLength = 0x200;
    make_server(&scene);
    c = new_connector(&scene.name, 4);
    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    SAME(type_of(&message), LPC_CONNECTION_REQUEST);
    EXPECT(NtAlpcAcceptConnectPort(&scene.s, scene.c, 0, NULL, NULL, PORT_CONTEXT, &message.header, NULL, TRUE), STATUS_SUCCESS);
    keep(scene.s);
    join(c->body);
    EXPECT(c->status, STATUS_SUCCESS);
    keep(c->port);
    request = start_lpc_request(c->port, 6, 1);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    SAME(type_of(&message), LPC_REQUEST);
    answer_message(&message, message.header.MessageId, 3, 7);
    message.header.u2.s2.Type = LPC_REPLY;
    EXPECT(NtReplyPort(scene.c, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    HOLDS(is_filled(&request->received, 3, 7));
}

static void mixed_receive(void)
{
    struct scene scene;
    struct message message;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    SAME((USHORT)message.header.u2.s2.Type & (strict ? 0xffff : 0xff), LPC_REQUEST);
}

/* ---- The rest ---- */

static void query_port(void)
{
    struct scene scene;
    unsigned char buffer[64];
    ULONG length = 0;

    lpc_scene(&scene);
    memset(buffer, 0x5a, sizeof buffer);
    EXPECT(NtQueryInformationPort(scene.c, PortNoInformation, buffer, sizeof buffer, &length), STATUS_SUCCESS);
    for (unsigned i = 0; i < sizeof buffer; i++) SAME(buffer[i], 0x5a);
}

static void query_port_fails(void)
{
    unsigned char buffer[64];
    ULONG length = 0;

    EXPECT(NtQueryInformationPort(NULL, PortNoInformation, buffer, sizeof buffer, &length), STATUS_INVALID_INFO_CLASS);
    EXPECT(NtQueryInformationPort(new_event(0), PortNoInformation, buffer, sizeof buffer, &length), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtQueryInformationPort((HANDLE)(uintptr_t)0xdead0, PortNoInformation, buffer, sizeof buffer, &length), STATUS_INVALID_HANDLE);
}

static void port_information_of_process(void) { SAME((ULONG)NtQueryPortInformationProcess(), 1); }

static void hard_error_port(void)
{
    /* Only a privileged process may set it. */
    EXPECT_ERROR(NtSetDefaultHardErrorPort(new_event(0)));
    EXPECT_ERROR(NtSetDefaultHardErrorPort((HANDLE)(uintptr_t)0xdead0));
}

static const struct check lpc_checks[] = {
    { "lpc-create", "NtCreatePort A-03 A-16 A-21", create },
    { "lpc-create-fails", "!NtCreatePort !NtCreateWaitablePort A-17 A-18 A-19", create_fails },
    { "lpc-connect", "NtConnectPort NtListenPort NtAcceptConnectPort NtCompleteConnectPort B-01 B-04 B-05 B-22 B-23", connect_and_complete },
    { "lpc-connect-without-information", "NtConnectPort NtReplyWaitReceivePortEx B-06 C-04", connect_without_information },
    { "lpc-refuse", "!NtConnectPort NtAcceptConnectPort !NtAcceptConnectPort B-02 B-03 B-19", refuse },
    { "lpc-connect-fails", "!NtConnectPort B-07 B-18", connect_fails },
    { "lpc-secure-connect", "NtSecureConnectPort B-10", secure_connect },
    { "lpc-secure-connect-fails", "!NtSecureConnectPort B-11", secure_connect_fails },
    { "lpc-accept-fails", "!NtAcceptConnectPort B-20", accept_fails },
    { "lpc-listen-skips", "NtListenPort B-25", listen_skips },
    { "lpc-waitable", "NtCreateWaitablePort NtWaitForSingleObject A-20", waitable },
    { "lpc-datagram", "NtRequestPort NtReplyWaitReceivePortEx C-01 C-02 C-03 C-04", datagram },
    { "lpc-datagram-fails", "!NtRequestPort C-08 C-10 C-11 C-12 C-19 C-36 C-37", datagram_fails },
    { "lpc-request", "NtRequestWaitReplyPort NtReplyPort NtReplyWaitReceivePort C-05 C-06", request_and_reply },
    { "lpc-request-fails", "!NtRequestWaitReplyPort C-10 C-11 C-36 C-37", request_fails },
    { "lpc-request-forged-type", "NtRequestWaitReplyPort C-09", request_forged_type },
    { "lpc-combined-reply", "NtReplyWaitReceivePortEx NtReplyPort C-07", combined_reply },
    { "lpc-reply-fails", "!NtReplyPort !NtReplyWaitReceivePortEx C-10 C-13 C-14 C-37", reply_fails },
    { "lpc-receive-fails", "!NtReplyWaitReceivePort !NtReplyWaitReceivePortEx !NtListenPort C-21 C-22 C-36 C-37", receive_fails },
    { "lpc-close-notice", "NtReplyWaitReceivePortEx C-23", close_notice },
    { "lpc-server-dies", "!NtRequestWaitReplyPort C-20", server_dies },
    { "lpc-thread-ends", "NtRegisterThreadTerminatePort !NtRegisterThreadTerminatePort C-24 C-25", thread_ends },
    { "lpc-complete-fails", "!NtCompleteConnectPort B-23 C-37", complete_fails },
    { "lpc-mixed", "NtReplyPort NtAlpcAcceptConnectPort NtConnectPort C-38", mixed },
    { "lpc-mixed-receive", "NtReplyWaitReceivePortEx M-08", mixed_receive },
    { "lpc-query-port", "NtQueryInformationPort C-32", query_port },
    { "lpc-query-port-fails", "!NtQueryInformationPort C-32 C-37", query_port_fails },
    { "lpc-port-information-of-process", "NtQueryPortInformationProcess", port_information_of_process },
    { "lpc-hard-error-port", "!NtSetDefaultHardErrorPort", hard_error_port },
};
CHECK_GROUP(lpc);
