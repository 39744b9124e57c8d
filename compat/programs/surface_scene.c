/* What the checks are made of: things that are taken down after a check, messages, attributes, ports. See surface.h. */
#include "surface.h"

/* ---- What is taken down ---- */

#define KEPT 256
static HANDLE handles[KEPT];
static thread_handle threads[KEPT];
static void *memory[KEPT];
static unsigned handle_count, thread_count, memory_count;

HANDLE keep(HANDLE handle)
{
    if (handle_count == KEPT) give_up(__FILE__, __LINE__, "too many handles");
    return handles[handle_count++] = handle;
}

void forget(HANDLE handle)
{
    for (unsigned i = handle_count; i--;) if (handles[i] == handle) { handles[i] = NULL; return; }
}

void shut(HANDLE handle)
{
    forget(handle);
    EXPECT(NtClose(handle), STATUS_SUCCESS);
}

void *keep_memory(size_t size)
{
    void *block = calloc(1, size + 64);
    if (!block || memory_count == KEPT) give_up(__FILE__, __LINE__, "no memory");
    memory[memory_count++] = block;
    return (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
}

thread_handle keep_thread(thread_body body, void *argument)
{
    if (thread_count == KEPT) give_up(__FILE__, __LINE__, "too many threads");
    return threads[thread_count++] = thread_start(body, argument);
}

void join(thread_handle thread)
{
    for (unsigned i = 0; i < thread_count; i++) {
        if (threads[i] != thread) continue;
        threads[i] = NULL;
        thread_join(thread);
        guard_progress();
        return;
    }
}

void release_handles(void)
{
    HANDLE taken[KEPT];
    unsigned count = handle_count;

    /* All are taken before one is closed: the check goes on, and the next one makes handles of its own. */
    for (unsigned i = 0; i < count; i++) { taken[i] = handles[i]; handles[i] = NULL; }
    while (count--) if (taken[count]) NtClose(taken[count]);
}

void take_down(void)
{
    stop_impersonating();
    while (handle_count) if (handles[--handle_count]) NtClose(handles[handle_count]);
    for (unsigned i = 0; i < thread_count; i++) if (threads[i]) { thread_join(threads[i]); guard_progress(); }
    thread_count = 0;
    take_down_host();
    while (memory_count) free(memory[--memory_count]);
}

/* ---- Messages ---- */

void fill_message(struct message *message, unsigned length, unsigned fill)
{
    memset(&message->header, 0, sizeof message->header);
    message->header.u1.s1.DataLength = (USHORT)length;
    message->header.u1.s1.TotalLength = (USHORT)(H + length);
    for (unsigned i = 0; i < length && i < BODY; i++) message->body[i] = (unsigned char)(fill + i);
}

int is_filled(const struct message *message, unsigned length, unsigned fill)
{
    if (length_of(message) != length || (USHORT)message->header.u1.s1.TotalLength != H + length) return 0;
    for (unsigned i = 0; i < length && i < BODY; i++) if (message->body[i] != (unsigned char)(fill + i)) return 0;
    return 1;
}

void answer_message(struct message *message, ULONG id, unsigned length, unsigned fill)
{
    fill_message(message, length, fill);
    message->header.MessageId = id;
}

unsigned type_of(const struct message *message) { return (USHORT)message->header.u2.s2.Type & LPC_TYPE_MASK; }
unsigned flags_of(const struct message *message) { return (USHORT)message->header.u2.s2.Type & LPC_FLAG_MASK; }
unsigned length_of(const struct message *message) { return (USHORT)message->header.u1.s1.DataLength; }

/* ---- Attributes ---- */

void make_attributes(struct attributes *attributes, ULONG flags)
{
    SIZE_T needed = 0;
    memset(attributes, 0, sizeof *attributes);
    EXPECT(AlpcInitializeMessageAttribute(flags, &attributes->header, sizeof *attributes, &needed), STATUS_SUCCESS);
}

static void *record(struct attributes *attributes, ULONG flag)
{
    void *found = AlpcGetMessageAttribute(&attributes->header, flag);
    if (!found) give_up(__FILE__, __LINE__, "attribute 0x%08x is not allocated", (unsigned)flag);
    return found;
}

ALPC_SECURITY_ATTR *security_attribute(struct attributes *a) { return record(a, ALPC_MESSAGE_SECURITY_ATTRIBUTE); }
ALPC_DATA_VIEW_ATTR *view_attribute(struct attributes *a) { return record(a, ALPC_MESSAGE_VIEW_ATTRIBUTE); }
ALPC_CONTEXT_ATTR *context_attribute(struct attributes *a) { return record(a, ALPC_MESSAGE_CONTEXT_ATTRIBUTE); }
ALPC_HANDLE_ATTR *handle_attribute(struct attributes *a) { return record(a, ALPC_MESSAGE_HANDLE_ATTRIBUTE); }
ALPC_TOKEN_ATTR *token_attribute(struct attributes *a) { return record(a, ALPC_MESSAGE_TOKEN_ATTRIBUTE); }
ALPC_DIRECT_ATTR *direct_attribute(struct attributes *a) { return record(a, ALPC_MESSAGE_DIRECT_ATTRIBUTE); }
ALPC_WORK_ON_BEHALF_ATTR *work_attribute(struct attributes *a) { return record(a, ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE); }

/* ---- Calls with the guard's time ---- */

#define PATIENCE (-20ll * 10000000)     /* shorter than the guard's */

NTSTATUS send_message(HANDLE port, ULONG flags, struct message *message, struct attributes *attributes)
{
    guard_progress();
    return NtAlpcSendWaitReceivePort(port, flags, &message->header, attributes ? &attributes->header : NULL, NULL, NULL, NULL, NULL);
}

static NTSTATUS receive_within(HANDLE port, struct message *message, struct attributes *attributes, long long time)
{
    LARGE_INTEGER timeout = { .QuadPart = time };
    SIZE_T length = sizeof *message;
    NTSTATUS status;

    guard_progress();
    status = NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &message->header, &length, attributes ? &attributes->header : NULL, &timeout);
    guard_progress();
    return status;
}

NTSTATUS receive_message(HANDLE port, struct message *message, struct attributes *attributes) { return receive_within(port, message, attributes, PATIENCE); }
NTSTATUS poll_message(HANDLE port, struct message *message, struct attributes *attributes) { return receive_within(port, message, attributes, 0); }

void take(HANDLE port, struct message *message, struct attributes *attributes, unsigned type)
{
    EXPECT(receive_message(port, message, attributes), STATUS_SUCCESS);
    if (type_of(message) != type)
        give_up(__FILE__, __LINE__, "received %s, expected %s", message_type_name(type_of(message)), message_type_name(type));
}

NTSTATUS reply_message(HANDLE port, const struct message *request, unsigned length, unsigned fill)
{
    struct message reply;
    answer_message(&reply, request->header.MessageId, length, fill);
    return send_message(port, ALPC_MSGFLG_RELEASE_MESSAGE, &reply, NULL);
}

static NTSTATUS lpc_receive_within(HANDLE port, PVOID *context, struct message *reply, struct message *message, long long time)
{
    LARGE_INTEGER timeout = { .QuadPart = time };
    NTSTATUS status;

    guard_progress();
    status = NtReplyWaitReceivePortEx(port, context, reply ? &reply->header : NULL, &message->header, &timeout);
    guard_progress();
    return status;
}

NTSTATUS lpc_receive(HANDLE port, PVOID *context, struct message *reply, struct message *message) { return lpc_receive_within(port, context, reply, message, PATIENCE); }
NTSTATUS lpc_poll(HANDLE port, struct message *message) { return lpc_receive_within(port, NULL, NULL, message, 0); }

NTSTATUS wait_for(HANDLE handle, int poll)
{
    LARGE_INTEGER timeout = { .QuadPart = poll ? 0 : PATIENCE };
    NTSTATUS status;

    guard_progress();
    status = NtWaitForSingleObject(handle, FALSE, &timeout);
    guard_progress();
    return status;
}

ALPC_BASIC_INFORMATION basic_information(HANDLE port)
{
    ALPC_BASIC_INFORMATION information;
    memset(&information, 0, sizeof information);
    EXPECT(NtAlpcQueryInformation(port, AlpcBasicInformation, &information, sizeof information, NULL), STATUS_SUCCESS);
    return information;
}

/* ---- Ports ---- */

void usual_attributes(ALPC_PORT_ATTRIBUTES *attributes)
{
    memset(attributes, 0xff, sizeof *attributes);
    memset(&attributes->SecurityQos, 0, sizeof attributes->SecurityQos);
    attributes->Flags = ALPC_PORFLG_ALLOW_LPC_REQUESTS;
    attributes->SecurityQos.Length = sizeof attributes->SecurityQos;
    attributes->SecurityQos.ImpersonationLevel = SecurityImpersonation;
    attributes->SecurityQos.ContextTrackingMode = SECURITY_DYNAMIC_TRACKING;
    attributes->MaxMessageLength = sizeof(struct message);
    attributes->DupObjectTypes = 0;
#ifdef _WIN64
    attributes->Reserved = 0;
#elif defined(__LP64__)
    attributes->Reserved = 0;
#endif
}

void fresh_name(struct nt_name *name)
{
    static unsigned number;
    char text[80];
    snprintf(text, sizeof text, "\\RPC Control\\surface-%c%lu-%u", ON_WINDOWS ? 'w' : 'n', own_process_id(), ++number);
    make_name(name, text);
}

void prepare_scene(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    fresh_name(&scene->name);
    usual_attributes(&scene->server);
    usual_attributes(&scene->client);
}

void make_server(struct scene *scene)
{
    EXPECT(NtAlpcCreatePort(&scene->c, &scene->name.attributes, &scene->server), STATUS_SUCCESS);
    keep(scene->c);
}

void start_connect(struct scene *scene)
{
    EXPECT(NtAlpcConnectPort(&scene->k, &scene->name.string, NULL, &scene->client, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(scene->k);
}

void accept_client(struct scene *scene)
{
    struct message message;
    take(scene->c, &message, NULL, LPC_CONNECTION_REQUEST);
    scene->request_id = message.header.MessageId;
    EXPECT(NtAlpcAcceptConnectPort(&scene->s, scene->c, 0, NULL, &scene->server, PORT_CONTEXT, &message.header, NULL, TRUE), STATUS_SUCCESS);
    keep(scene->s);
}

static void receive_accept(struct scene *scene)
{
    struct message message;
    take(scene->k, &message, NULL, LPC_INTERNAL_CONNECTION_REPLY);
}

void connect_scene(struct scene *scene)
{
    make_server(scene);
    start_connect(scene);
    accept_client(scene);
    receive_accept(scene);
}

void usual_scene(struct scene *scene)
{
    prepare_scene(scene);
    connect_scene(scene);
}

void connect_client_of(const struct scene *server, struct scene *other, PVOID context)
{
    struct message message;
    *other = *server;
    make_name(&other->name, "\\x");
    EXPECT(NtAlpcConnectPort(&other->k, (PUNICODE_STRING)&server->name.string, NULL, &other->client, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS);
    keep(other->k);
    take(server->c, &message, NULL, LPC_CONNECTION_REQUEST);
    EXPECT(NtAlpcAcceptConnectPort(&other->s, server->c, 0, NULL, &other->server, context, &message.header, NULL, TRUE), STATUS_SUCCESS);
    keep(other->s);
    receive_accept(other);
}

/* ---- A legacy conversation ---- */

struct connector { struct scene *scene; NTSTATUS status; HANDLE port; };

static void connect_legacy(void *argument)
{
    struct connector *connector = argument;
    SECURITY_QUALITY_OF_SERVICE quality;

    memset(&quality, 0, sizeof quality);
    quality.Length = sizeof quality;
    quality.ImpersonationLevel = SecurityImpersonation;
    quality.ContextTrackingMode = SECURITY_DYNAMIC_TRACKING;
    connector->status = NtConnectPort(&connector->port, &connector->scene->name.string, &quality, NULL, NULL, NULL, NULL, NULL);
}

void lpc_scene(struct scene *scene)
{
    struct connector *connector = keep_memory(sizeof *connector);
    struct message message;
    thread_handle thread;

    memset(scene, 0, sizeof *scene);
    fresh_name(&scene->name);
    EXPECT(NtCreatePort(&scene->c, &scene->name.attributes, 64, 0x200, 0), STATUS_SUCCESS);
    keep(scene->c);
    connector->scene = scene;
    thread = keep_thread(connect_legacy, connector);
    EXPECT(lpc_receive(scene->c, NULL, NULL, &message), STATUS_SUCCESS);
    SAME(type_of(&message), LPC_CONNECTION_REQUEST);
    EXPECT(NtAcceptConnectPort(&scene->s, PORT_CONTEXT, &message.header, TRUE, NULL, NULL), STATUS_SUCCESS);
    keep(scene->s);
    EXPECT(NtCompleteConnectPort(scene->s), STATUS_SUCCESS);
    join(thread);
    EXPECT(connector->status, STATUS_SUCCESS);
    scene->k = keep(connector->port);
}

/* ---- Requests in a thread of their own ---- */

static void run_request(void *argument)
{
    struct request *request = argument;

    request->process = own_process_id();
    request->thread = own_thread_id();
    if (request->legacy) request->status = NtRequestWaitReplyPort(request->port, &request->sent.header, &request->received.header);
    else request->status = NtAlpcSendWaitReceivePort(request->port, ALPC_MSGFLG_SYNC_REQUEST | request->flags, &request->sent.header,
                                                     request->send_attributes ? &request->send_attributes->header : NULL,
                                                     &request->received.header, &request->length,
                                                     request->receive_attributes ? &request->receive_attributes->header : NULL, &request->timeout);
    request->done = 1;
}

static struct request *make_request(HANDLE port, unsigned length, unsigned fill)
{
    struct request *request = keep_memory(sizeof *request);
    request->port = port;
    request->length = sizeof request->received;
    request->timeout.QuadPart = PATIENCE * 2;
    fill_message(&request->sent, length, fill);
    return request;
}

struct request *start_request_with(HANDLE port, unsigned length, unsigned fill, struct attributes *send, struct attributes *receive)
{
    struct request *request = make_request(port, length, fill);
    request->send_attributes = send;
    request->receive_attributes = receive;
    request->body = keep_thread(run_request, request);
    return request;
}

struct request *start_request(HANDLE port, unsigned length, unsigned fill) { return start_request_with(port, length, fill, NULL, NULL); }

struct request *start_request_flags(HANDLE port, ULONG flags, unsigned length, unsigned fill)
{
    struct request *request = make_request(port, length, fill);
    request->flags = flags;
    request->body = keep_thread(run_request, request);
    return request;
}

struct request *start_lpc_request(HANDLE port, unsigned length, unsigned fill)
{
    struct request *request = make_request(port, length, fill);
    request->legacy = 1;
    request->body = keep_thread(run_request, request);
    return request;
}

struct request *start_lpc_request_of(HANDLE port, const struct message *message)
{
    struct request *request = make_request(port, 0, 0);
    request->legacy = 1;
    request->sent = *message;
    request->body = keep_thread(run_request, request);
    return request;
}

struct request *start_lpc_request_of_type(HANDLE port, unsigned type)
{
    struct message message;
    fill_message(&message, 4, 1);
    message.header.u2.s2.Type = (USHORT)type;
    return start_lpc_request_of(port, &message);
}

NTSTATUS finish_request(struct request *request)
{
    join(request->body);
    return request->status;
}
