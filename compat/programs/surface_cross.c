/* What crosses between processes, and between the worlds: views, files, sections, events, identity, memory of a waiting client.
 *
 * The server is another process: one that this program starts, or one that runs already, perhaps in the other world. It answers
 * requests whose text says what to do; its answers begin with "yes" or "no". A legacy port of the same name with "-lpc" behind it
 * does the same for LPC. */
#include "surface.h"
#include "second_process.h"

#include <stdarg.h>

const char *cross_port;

#define FILE_TEXT "the text of a file"
#define ANSWER_TEXT "THE TEXT"
#define SECTION_SIZE 0x20000u

static void fill(void *base, size_t size, unsigned seed)
{
    unsigned *words = base;
    for (size_t i = 0; i < size / sizeof *words; i += 331) words[i] = (unsigned)i * 2654435761u + seed;
}

static int filled(const void *base, size_t size, unsigned seed)
{
    const unsigned *words = base;
    for (size_t i = 0; i < size / sizeof *words; i += 331) if (words[i] != (unsigned)i * 2654435761u + seed) return 0;
    return 1;
}

static void put_text(struct message *message, const char *format, ...) PRINTF_LIKE(2, 3);
static void put_text(struct message *message, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = vsnprintf((char *)message->body, 400, format, arguments);
    va_end(arguments);
    message->header.u1.s1.DataLength = (USHORT)(length + 1);
    message->header.u1.s1.TotalLength = (USHORT)(H + (unsigned)length + 1);
}

static const char *text_of(struct message *message)
{
    message->body[length_of(message) < 400 ? length_of(message) : 399] = 0;
    return (const char *)message->body;
}

static int is(struct message *message, const char *word) { return !strncmp(text_of(message), word, strlen(word)); }

static void cross_attributes(ALPC_PORT_ATTRIBUTES *attributes)
{
    usual_attributes(attributes);
    attributes->Flags |= ALPC_PORFLG_ALLOW_IMPERSONATION | ALPC_PORFLG_ALLOW_DUP_OBJECT;
    attributes->DupObjectTypes = ALPC_PORFLG_OBJECT_TYPE_ALL;
}

/* ---- The server ---- */

static void put_handle(struct attributes *attributes, HANDLE handle)
{
    make_attributes(attributes, ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    handle_attribute(attributes)->Flags = ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS;
    handle_attribute(attributes)->Handle = handle;
    attributes->header.ValidAttributes = ALPC_MESSAGE_HANDLE_ATTRIBUTE;
}

static void serve_view(struct message *request, struct attributes *got, struct message *reply, int write)
{
    ALPC_DATA_VIEW_ATTR *view = view_attribute(got);
    if (!(got->header.ValidAttributes & ALPC_MESSAGE_VIEW_ATTRIBUTE)) { put_text(reply, "no view came with \"%s\"", text_of(request)); return; }
    if (!filled(view->ViewBase, view->ViewSize, 11)) { put_text(reply, "no: the view of %llu bytes holds something else", (unsigned long long)view->ViewSize); return; }
    if (write) fill(view->ViewBase, view->ViewSize, 12);
    put_text(reply, "yes %llu", (unsigned long long)view->ViewSize);
}

static void serve_handle(struct message *request, struct attributes *got, struct message *reply)
{
    HANDLE handle = handle_attribute(got)->Handle;
    char text[200];

    if (!(got->header.ValidAttributes & ALPC_MESSAGE_HANDLE_ATTRIBUTE) || !handle) { put_text(reply, "no handle came with \"%s\"", text_of(request)); return; }
    keep(handle);
    if (is(request, "file")) {
        if (!read_file(handle, text, sizeof text)) put_text(reply, "no: the file cannot be read");
        else if (strcmp(text, FILE_TEXT)) put_text(reply, "no: the file holds \"%s\"", text);
        else if (!write_file(handle, ANSWER_TEXT)) put_text(reply, "no: the file cannot be written");
        else put_text(reply, "yes");
    } else if (is(request, "section")) {
        void *base = map_section(handle, SECTION_SIZE, 1);
        if (!filled(base, SECTION_SIZE, 21)) put_text(reply, "no: the section holds something else");
        else { fill(base, SECTION_SIZE, 22); put_text(reply, "yes"); }
    } else {
        put_text(reply, host.set_event(handle, NULL) == STATUS_SUCCESS ? "yes" : "no: the event cannot be set");
    }
}

static void serve_sender(HANDLE port, struct message *request, struct message *reply)
{
    OBJECT_ATTRIBUTES unnamed;
    HANDLE process = NULL, thread = NULL;
    NTSTATUS first, second;

    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    first = NtAlpcOpenSenderProcess(&process, port, &request->header, 0, PROCESS_QUERY_INFORMATION, &unnamed);
    second = NtAlpcOpenSenderThread(&thread, port, &request->header, 0, THREAD_QUERY_INFORMATION, &unnamed);
    if (process) keep(process);
    if (thread) keep(thread);
    if (first || second) { put_text(reply, "no: %s, %s", status_name(first), status_name(second)); return; }
    put_text(reply, "yes %llu %llu", process_of(process), thread_of(thread));
}

static void serve_impersonation(HANDLE port, struct message *request, struct message *reply)
{
    NTSTATUS status = NtAlpcImpersonateClientOfPort(port, &request->header, NULL);
    int level = impersonation_level();
    stop_impersonating();
    if (status) put_text(reply, "no: %s", status_name(status));
    else put_text(reply, "yes %d", level);
}

static void serve_sid(HANDLE port, struct message *request, struct message *reply)
{
    unsigned char sid[68] = { 0 };
    ULONG length = 0;
    NTSTATUS status = NtAlpcQueryInformationMessage(port, &request->header, AlpcMessageSidInformation, sid, sizeof sid, &length);
    if (status) put_text(reply, "no: %s", status_name(status));
    else put_text(reply, "yes %u %u", (unsigned)length, (unsigned)sid[7]);
}

/* FALSE when the client says goodbye. */
static int serve(HANDLE port, struct message *request, struct attributes *got)
{
    struct message reply = *request;
    struct attributes sent;
    int with_attributes = 0, going_on = 1;
    SIZE_T actual;

    if (is(request, "view-read")) serve_view(request, got, &reply, 0);
    else if (is(request, "view")) serve_view(request, got, &reply, 1);
    else if (is(request, "file") || is(request, "section") || is(request, "event")) serve_handle(request, got, &reply);
    else if (is(request, "sender")) serve_sender(port, request, &reply);
    else if (is(request, "impersonate")) serve_impersonation(port, request, &reply);
    else if (is(request, "sid")) serve_sid(port, request, &reply);
    else if (is(request, "world")) put_text(&reply, "yes %c %lu", ON_WINDOWS ? 'w' : 'n', own_process_id());
    else if (is(request, "give-view")) {
        ALPC_DATA_VIEW_ATTR view;
        memset(&view, 0, sizeof view);
        EXPECT(NtAlpcCreatePortSection(port, 0, NULL, SECTION_SIZE, &view.SectionHandle, &actual), STATUS_SUCCESS);
        view.ViewSize = SECTION_SIZE;
        EXPECT(NtAlpcCreateSectionView(port, 0, &view), STATUS_SUCCESS);
        fill(view.ViewBase, SECTION_SIZE, 31);
        make_attributes(&sent, ALPC_MESSAGE_VIEW_ATTRIBUTE);
        *view_attribute(&sent) = view;
        sent.header.ValidAttributes = ALPC_MESSAGE_VIEW_ATTRIBUTE;
        with_attributes = 1;
        put_text(&reply, "yes");
    } else if (is(request, "give-file") || is(request, "give-section")) {
        HANDLE object = is(request, "give-file") ? new_file(FILE_TEXT) : new_section(SECTION_SIZE);
        if (is(request, "give-section")) fill(map_section(object, SECTION_SIZE, 1), SECTION_SIZE, 32);
        put_handle(&sent, object);
        with_attributes = 1;
        put_text(&reply, "yes");
    } else if (is(request, "quit")) { put_text(&reply, "yes"); going_on = 0; }
    else put_text(&reply, "no such request");
    {
        NTSTATUS status = send_message(port, ALPC_MSGFLG_RELEASE_MESSAGE, &reply, with_attributes ? &sent : NULL);
        if (status) {
            put_text(&reply, "no: the reply gave %s", status_name(status));
            send_message(port, ALPC_MSGFLG_RELEASE_MESSAGE, &reply, NULL);
        }
    }
    return going_on;
}

struct serving { HANDLE port; struct message *request; struct attributes *got; int going_on; };

static void serve_one(void *argument)
{
    struct serving *serving = argument;
    serving->going_on = serve(serving->port, serving->request, serving->got);
}

/* The legacy side: gives each client a view, takes its view, turns the data of its requests round. */
static void serve_legacy(void *argument)
{
    const char *text = argument;
    struct nt_name name;
    char full[300];
    HANDLE port = NULL;
    struct message message;

    snprintf(full, sizeof full, "%s-lpc", text);
    make_name(&name, full);
    if (NtCreatePort(&port, &name.attributes, 64, 0x200, 0)) return;
    for (;;) {
        PVOID context;
        NTSTATUS status = NtReplyWaitReceivePort(port, &context, NULL, &message.header);
        if (status) return;
        if (type_of(&message) == LPC_CONNECTION_REQUEST) {
            PORT_VIEW view = { .Length = sizeof view };
            REMOTE_PORT_VIEW seen = { .Length = sizeof seen };
            LARGE_INTEGER size = { .QuadPart = SECTION_SIZE };
            HANDLE server = NULL;
            int wanted = message.header.ClientViewSize != 0;
            if (wanted && (!host.create_section || host.create_section(&view.SectionHandle, SECTION_ALL_ACCESS, NULL, &size, PAGE_READWRITE, SEC_COMMIT, NULL))) wanted = 0;
            view.ViewSize = SECTION_SIZE;
            if (NtAcceptConnectPort(&server, NULL, &message.header, TRUE, wanted ? &view : NULL, wanted ? &seen : NULL)) continue;
            if (wanted) {
                if (filled(seen.ViewBase, SECTION_SIZE, 41)) fill(seen.ViewBase, SECTION_SIZE, 42);
                fill(view.ViewBase, SECTION_SIZE, 43);
            }
            NtCompleteConnectPort(server);
        } else if (type_of(&message) == LPC_REQUEST) {
            unsigned char bytes[2000];
            SIZE_T count = 0;
            status = NtReadRequestData(port, &message.header, 0, bytes, sizeof bytes, &count);
            for (SIZE_T i = 0; i < count; i++) bytes[i] ^= 0xff;
            if (!status) status = NtWriteRequestData(port, &message.header, 0, bytes, count, &count);
            memcpy(message.body, &status, sizeof status);
            message.header.u1.s1.DataLength = sizeof status;
            message.header.u1.s1.TotalLength = (USHORT)(H + sizeof status);
            message.header.u2.s2.DataInfoOffset = 0;
            NtReplyPort(port, &message.header);
        }
    }
}

int cross_serve(const char *port)
{
    struct scene scene;
    struct message message;
    struct attributes got;
    LARGE_INTEGER patience = { .QuadPart = -120ll * 10000000 };
    int going_on = 1;

    memset(&scene, 0, sizeof scene);
    make_name(&scene.name, port);
    cross_attributes(&scene.server);
    if (NtAlpcCreatePort(&scene.c, &scene.name.attributes, &scene.server)) { say_check("server: cannot create the port"); return 1; }
    thread_start(serve_legacy, (void *)port);
    say_check("server: serving");
    while (going_on) {
        SIZE_T length = sizeof message;
        make_attributes(&got, ALPC_MESSAGE_VIEW_ATTRIBUTE | ALPC_MESSAGE_CONTEXT_ATTRIBUTE | ALPC_MESSAGE_HANDLE_ATTRIBUTE);
        /* A server that nobody asks any more ends by itself. */
        if (NtAlpcSendWaitReceivePort(scene.c, 0, NULL, NULL, &message.header, &length, &got.header, &patience)) return 3;
        if (type_of(&message) == LPC_CONNECTION_REQUEST) {
            HANDLE server = NULL;
            NtAlpcAcceptConnectPort(&server, scene.c, 0, NULL, &scene.server, NULL, &message.header, NULL, TRUE);
        } else if (type_of(&message) == LPC_REQUEST) {
            struct serving serving = { scene.c, &message, &got, 1 };
            if (!try_to("server", serve_one, &serving)) {
                put_text(&message, "no: the server's own check failed");
                send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL);
            }
            take_down();
            going_on = serving.going_on;
        }
    }
    return 0;
}

/* ---- The client ---- */

static char own_port[120];
static struct second_process *server_process;

static const char *server_port(void)
{
    if (cross_port) return cross_port;
    if (!server_process) {
        const char *arguments[] = { "--serve", own_port, NULL };
        snprintf(own_port, sizeof own_port, "\\RPC Control\\surface-cross-%c%lu", ON_WINDOWS ? 'w' : 'n', own_process_id());
        server_process = start_again(arguments);
    }
    return own_port;
}

static HANDLE connect_to_server(void)
{
    struct nt_name name;
    ALPC_PORT_ATTRIBUTES attributes;
    HANDLE port = NULL;

    make_name(&name, server_port());
    cross_attributes(&attributes);
    for (unsigned tries = 0; ; tries++) {
        struct message message;
        SIZE_T length = sizeof message;
        LARGE_INTEGER timeout = { .QuadPart = -20ll * 10000000 };
        NTSTATUS status;
        fill_message(&message, 0, 0);
        status = NtAlpcConnectPort(&port, &name.string, NULL, &attributes, ALPC_SYNC_CONNECTION, NULL, &message.header, &length, NULL, NULL, &timeout);
        if (status == STATUS_OBJECT_NAME_NOT_FOUND && tries < 1000) { sleep_ms(20); guard_progress(); continue; }
        EXPECT(status, STATUS_SUCCESS);
        return keep(port);
    }
}

/* A request with attributes; the answer must begin with "yes". */
static void ask(HANDLE port, const char *text, struct attributes *sent, struct attributes *got, struct message *reply)
{
    struct message message;
    SIZE_T length = sizeof *reply;
    LARGE_INTEGER timeout = { .QuadPart = -20ll * 10000000 };

    fill_message(&message, 0, 0);
    put_text(&message, "%s", text);
    guard_progress();
    EXPECT(NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_SYNC_REQUEST, &message.header, sent ? &sent->header : NULL, &reply->header, &length,
                                     got ? &got->header : NULL, &timeout), STATUS_SUCCESS);
    if (!is(reply, "yes")) give_up(__FILE__, __LINE__, "the server says: %s", text_of(reply));
}

static int same_world(HANDLE port)
{
    struct message reply;
    ask(port, "world", NULL, NULL, &reply);
    return text_of(&reply)[4] == (ON_WINDOWS ? 'w' : 'n');
}

static void send_view(SIZE_T size, ULONG flags)
{
    HANDLE port = connect_to_server();
    struct attributes sent;
    struct message reply;
    ALPC_DATA_VIEW_ATTR view;
    SIZE_T actual = 0;

    memset(&view, 0, sizeof view);
    EXPECT(NtAlpcCreatePortSection(port, flags, NULL, size, &view.SectionHandle, &actual), STATUS_SUCCESS);
    view.ViewSize = size;
    view.Flags = flags;
    EXPECT(NtAlpcCreateSectionView(port, 0, &view), STATUS_SUCCESS);
    fill(view.ViewBase, size, 11);
    make_attributes(&sent, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    *view_attribute(&sent) = view;
    sent.header.ValidAttributes = ALPC_MESSAGE_VIEW_ATTRIBUTE;
    ask(port, flags ? "view-read" : "view", &sent, NULL, &reply);
    SAME(strtoull(text_of(&reply) + 4, NULL, 10), size);
    if (!flags) HOLDS(filled(view.ViewBase, size, 12));
}

static void view_small(void) { send_view(0x3000, 0); }
static void view_64_mib(void) { send_view(64u << 20, 0); }
static void view_secure(void) { send_view(0x10000, ALPC_CREATEPORTSECTIONFLG_SECURE); }

static void view_given(void)
{
    HANDLE port = connect_to_server();
    struct attributes got;
    struct message reply;

    make_attributes(&got, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    ask(port, "give-view", NULL, &got, &reply);
    HOLDS(got.header.ValidAttributes & ALPC_MESSAGE_VIEW_ATTRIBUTE);
    SAME(view_attribute(&got)->ViewSize, SECTION_SIZE);
    HOLDS(filled(view_attribute(&got)->ViewBase, SECTION_SIZE, 31));
    EXPECT(NtAlpcDeleteSectionView(port, 0, view_attribute(&got)->ViewBase), STATUS_SUCCESS);
}

static void file_sent(void)
{
    HANDLE port = connect_to_server(), file = new_file(FILE_TEXT);
    struct attributes sent;
    struct message reply;
    char text[200];

    put_handle(&sent, file);
    ask(port, "file", &sent, NULL, &reply);
    HOLDS(read_file(file, text, sizeof text));
    HOLDS(!strncmp(text, ANSWER_TEXT, strlen(ANSWER_TEXT)));
}

static void section_sent(void)
{
    HANDLE port = connect_to_server(), section = new_section(SECTION_SIZE);
    struct attributes sent;
    struct message reply;
    void *base = map_section(section, SECTION_SIZE, 1);

    fill(base, SECTION_SIZE, 21);
    put_handle(&sent, section);
    ask(port, "section", &sent, NULL, &reply);
    HOLDS(filled(base, SECTION_SIZE, 22));
}

static HANDLE given(HANDLE port, const char *what, ULONG type)
{
    struct attributes got;
    struct message reply;

    make_attributes(&got, ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    ask(port, what, NULL, &got, &reply);
    HOLDS(got.header.ValidAttributes & ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    SAME(handle_attribute(&got)->ObjectType, type);
    return keep(handle_attribute(&got)->Handle);
}

static void file_given(void)
{
    char text[200];
    HANDLE file = given(connect_to_server(), "give-file", ALPC_PORFLG_OBJECT_TYPE_FILE);
    HOLDS(read_file(file, text, sizeof text));
    HOLDS(!strcmp(text, FILE_TEXT));
}

static void section_given(void)
{
    HANDLE section = given(connect_to_server(), "give-section", ALPC_PORFLG_OBJECT_TYPE_SECTION);
    HOLDS(filled(map_section(section, SECTION_SIZE, 1), SECTION_SIZE, 32));
}

/* An event crosses within a world. Between the worlds its send fails with a reason, and the connection lives on. */
static void event_sent(void)
{
    HANDLE port = connect_to_server(), event = new_event(0);
    struct attributes sent;
    struct message message, reply;
    SIZE_T length = sizeof reply;
    LARGE_INTEGER timeout = { .QuadPart = -20ll * 10000000 };

    put_handle(&sent, event);
    if (same_world(port)) {
        ask(port, "event", &sent, NULL, &reply);
        EXPECT(wait_for(event, 0), STATUS_SUCCESS);
        return;
    }
    fill_message(&message, 0, 0);
    put_text(&message, "event");
    EXPECT_ERROR(NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_SYNC_REQUEST, &message.header, &sent.header, &reply.header, &length, NULL, &timeout));
    same_world(port);
}

static void sender(void)
{
    HANDLE port = connect_to_server();
    struct message reply;
    unsigned long long process = 0, thread = 0;

    if (!same_world(port)) leave_out("a process of one world is not an object of the other");
    ask(port, "sender", NULL, NULL, &reply);
    HOLDS(sscanf(text_of(&reply), "yes %llu %llu", &process, &thread) == 2);
    SAME(process, own_process_id());
    SAME(thread, own_thread_id());
}

static void impersonated(void)
{
    HANDLE port = connect_to_server();
    struct message reply;
    int level = -3;

    ask(port, "impersonate", NULL, NULL, &reply);
    HOLDS(sscanf(text_of(&reply), "yes %d", &level) == 1);
    HOLDS(level == SecurityImpersonation || level == -2);
}

static void sid_asked(void)
{
    HANDLE port = connect_to_server();
    struct message reply;
    ask(port, "sid", NULL, NULL, &reply);
}

/* ---- LPC ---- */

static HANDLE connect_legacy(PORT_VIEW *view, REMOTE_PORT_VIEW *remote)
{
    struct nt_name name;
    char full[300];
    SECURITY_QUALITY_OF_SERVICE quality;
    HANDLE port = NULL;

    connect_to_server();        /* so that it runs */
    snprintf(full, sizeof full, "%s-lpc", server_port());
    make_name(&name, full);
    memset(&quality, 0, sizeof quality);
    quality.Length = sizeof quality;
    quality.ImpersonationLevel = SecurityImpersonation;
    EXPECT(NtConnectPort(&port, &name.string, &quality, view, remote, NULL, NULL, NULL), STATUS_SUCCESS);
    return keep(port);
}

static void lpc_views(void)
{
    PORT_VIEW view = { .Length = sizeof view };
    REMOTE_PORT_VIEW remote = { .Length = sizeof remote };

    view.SectionHandle = new_section(SECTION_SIZE);
    view.ViewSize = SECTION_SIZE;
    fill(map_section(view.SectionHandle, SECTION_SIZE, 1), SECTION_SIZE, 41);
    connect_legacy(&view, &remote);
    HOLDS(view.ViewBase && view.ViewRemoteBase);
    HOLDS(filled(view.ViewBase, SECTION_SIZE, 42));
    SAME(remote.ViewSize, SECTION_SIZE);
    HOLDS(filled(remote.ViewBase, SECTION_SIZE, 43));
}

static void lpc_data(void)
{
    HANDLE port = connect_legacy(NULL, NULL);
    struct message message, reply;
    PORT_DATA_INFORMATION *block = (void *)message.body;
    unsigned char *bytes = keep_memory(2000);
    NTSTATUS status;

    for (unsigned i = 0; i < 2000; i++) bytes[i] = (unsigned char)(i * 3);
    fill_message(&message, sizeof *block, 0);
    memset(message.body, 0, sizeof *block);
    message.header.u2.s2.DataInfoOffset = (USHORT)H;
    block->CountDataEntries = 1;
    block->DataEntries[0].Base = bytes;
    block->DataEntries[0].Size = 2000;
    EXPECT(NtRequestWaitReplyPort(port, &message.header, &reply.header), STATUS_SUCCESS);
    memcpy(&status, reply.body, sizeof status);
    EXPECT(status, STATUS_SUCCESS);
    for (unsigned i = 0; i < 2000; i++) SAME(bytes[i], (unsigned char)(i * 3) ^ 0xff);
}

/* The server goes with its last client's word, which ends the process that was started for it. */
static void goodbye(void)
{
    struct message reply;

    if (cross_port) leave_out("the server is not ours");
    ask(connect_to_server(), "quit", NULL, NULL, &reply);
    {
        struct second_process *ended = server_process;
        server_process = NULL;
        SAME(wait_for_process(ended), 0);
    }
}

/* A run that stopped in between leaves no process behind. */
void cross_end(void)
{
    if (server_process) end_process(server_process);
}

static const struct check cross_checks[] = {
    { "cross-view", "attr:VIEW NtAlpcCreatePortSection NtAlpcCreateSectionView", view_small },
    { "cross-view-of-64-mib", "attr:VIEW NtAlpcCreatePortSection NtAlpcCreateSectionView", view_64_mib },
    { "cross-view-secure", "attr:VIEW", view_secure },
    { "cross-view-in-reply", "attr:VIEW NtAlpcDeleteSectionView", view_given },
    { "cross-file", "attr:HANDLE", file_sent },
    { "cross-file-in-reply", "attr:HANDLE", file_given },
    { "cross-section", "attr:HANDLE", section_sent },
    { "cross-section-in-reply", "attr:HANDLE", section_given },
    { "cross-event", "attr:HANDLE", event_sent },
    { "cross-sender", "NtAlpcOpenSenderProcess NtAlpcOpenSenderThread", sender },
    { "cross-impersonation", "NtAlpcImpersonateClientOfPort", impersonated },
    { "cross-sid", "NtAlpcQueryInformationMessage class:AlpcMessageSidInformation", sid_asked },
    { "cross-lpc-views", "NtConnectPort NtAcceptConnectPort", lpc_views },
    { "cross-lpc-request-data", "NtReadRequestData NtWriteRequestData", lpc_data },
    { "cross-goodbye", "NtClose", goodbye },
};
CHECK_GROUP(cross);
