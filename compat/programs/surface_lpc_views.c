/* Views of sections that an LPC client and server give each other when they connect. */
#include "surface.h"

#define SECTION_BYTES 0x10000u

struct connector {
    struct nt_name name;
    SECURITY_QUALITY_OF_SERVICE quality;
    PORT_VIEW view;
    REMOTE_PORT_VIEW remote;
    int with_view, with_remote;
    HANDLE port;
    NTSTATUS status;
    thread_handle body;
};

static void run_connector(void *argument)
{
    struct connector *c = argument;
    c->status = NtConnectPort(&c->port, &c->name.string, &c->quality, c->with_view ? &c->view : NULL, c->with_remote ? &c->remote : NULL, NULL, NULL, NULL);
}

/* A connect that must end without a server. */
static void attempt(struct connector *c)
{
    c->body = keep_thread(run_connector, c);
    join(c->body);
}

/* A listener and a client that is not started yet. */
static struct connector *prepare(HANDLE *port)
{
    struct connector *c = keep_memory(sizeof *c);
    fresh_name(&c->name);
    EXPECT(NtCreatePort(port, &c->name.attributes, 64, 256, 0), STATUS_SUCCESS);
    keep(*port);
    c->quality.Length = sizeof c->quality;
    c->quality.ImpersonationLevel = SecurityImpersonation;
    c->view.Length = sizeof c->view;
    c->remote.Length = sizeof c->remote;
    return c;
}

static void client_view(void)
{
    HANDLE port = NULL, server = NULL, section = new_section(SECTION_BYTES);
    struct connector *c = prepare(&port);
    REMOTE_PORT_VIEW seen = { .Length = sizeof seen };
    struct message message;

    c->with_view = 1;
    c->view.SectionHandle = section;
    c->view.ViewSize = SECTION_BYTES;
    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(port, NULL, NULL, &message), STATUS_SUCCESS);
    SAME(message.header.ClientViewSize, SECTION_BYTES);
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, NULL, &seen), STATUS_SUCCESS);
    keep(server);
    EXPECT(NtCompleteConnectPort(server), STATUS_SUCCESS);
    join(c->body);
    EXPECT(c->status, STATUS_SUCCESS);
    keep(c->port);
    SAME(seen.ViewSize, SECTION_BYTES);
    HOLDS(c->view.ViewBase && seen.ViewBase);
    HOLDS(c->view.ViewRemoteBase == seen.ViewBase);
    memcpy(c->view.ViewBase, "from the client", 16);
    HOLDS(!memcmp(seen.ViewBase, "from the client", 16));
    memcpy((char *)seen.ViewBase + SECTION_BYTES - 16, "from the server", 16);
    HOLDS(!memcmp((char *)c->view.ViewBase + SECTION_BYTES - 16, "from the server", 16));
}

static void server_view(void)
{
    HANDLE port = NULL, server = NULL, section = new_section(SECTION_BYTES);
    struct connector *c = prepare(&port);
    PORT_VIEW view = { .Length = sizeof view };
    struct message message;

    c->with_remote = 1;
    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(port, NULL, NULL, &message), STATUS_SUCCESS);
    SAME(message.header.ClientViewSize, 0);
    view.SectionHandle = section;
    view.ViewSize = SECTION_BYTES;
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, &view, NULL), STATUS_SUCCESS);
    keep(server);
    EXPECT(NtCompleteConnectPort(server), STATUS_SUCCESS);
    join(c->body);
    EXPECT(c->status, STATUS_SUCCESS);
    keep(c->port);
    HOLDS(view.ViewBase && c->remote.ViewBase);
    SAME(c->remote.ViewSize, SECTION_BYTES);
    memcpy(view.ViewBase, "from the server", 16);
    HOLDS(!memcmp(c->remote.ViewBase, "from the server", 16));
}

static void both_views(void)
{
    HANDLE port = NULL, server = NULL;
    struct connector *c = prepare(&port);
    PORT_VIEW view = { .Length = sizeof view };
    REMOTE_PORT_VIEW seen = { .Length = sizeof seen };
    struct message message;

    c->with_view = c->with_remote = 1;
    c->view.SectionHandle = new_section(SECTION_BYTES);
    c->view.ViewSize = SECTION_BYTES;
    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(port, NULL, NULL, &message), STATUS_SUCCESS);
    view.SectionHandle = new_section(2 * SECTION_BYTES);
    view.ViewSize = 2 * SECTION_BYTES;
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, &view, &seen), STATUS_SUCCESS);
    keep(server);
    EXPECT(NtCompleteConnectPort(server), STATUS_SUCCESS);
    join(c->body);
    EXPECT(c->status, STATUS_SUCCESS);
    keep(c->port);
    SAME(c->remote.ViewSize, 2 * SECTION_BYTES);
    memcpy(view.ViewBase, "server", 7);
    memcpy(c->view.ViewBase, "client", 7);
    HOLDS(!memcmp(c->remote.ViewBase, "server", 7) && !memcmp(seen.ViewBase, "client", 7));
}

static void views_fail(void)
{
    HANDLE port = NULL, server = (HANDLE)(uintptr_t)0x5a5a5a5a, section, weak = NULL;
    struct connector *c = prepare(&port);
    PORT_VIEW view = { .Length = sizeof view };
    struct message message;

    c->with_view = 1;
    c->view.SectionHandle = section = new_section(SECTION_BYTES);
    c->view.ViewSize = SECTION_BYTES;
    c->view.Length--;
    attempt(c);
    EXPECT(c->status, STATUS_INVALID_PARAMETER);
    c->view.Length++;
    c->view.SectionHandle = new_event(0);
    attempt(c);
    EXPECT(c->status, STATUS_OBJECT_TYPE_MISMATCH);
    c->view.SectionHandle = (HANDLE)(uintptr_t)0xdead0;
    attempt(c);
    EXPECT(c->status, STATUS_INVALID_HANDLE);
    /* Both rights are needed. */
    NEED(duplicate);
    EXPECT(host.duplicate(NtCurrentProcess(), section, NtCurrentProcess(), &weak, SECTION_MAP_READ | SECTION_QUERY, 0, 0), STATUS_SUCCESS);
    keep(weak);
    c->view.SectionHandle = weak;
    attempt(c);
    EXPECT(c->status, STATUS_ACCESS_DENIED);
    c->with_view = 0;
    c->with_remote = 1;
    c->remote.Length--;
    attempt(c);
    EXPECT(c->status, STATUS_INVALID_PARAMETER);
    HOLDS(!c->port);
    /* The server's own structure. */
    c->with_remote = 0;
    c->body = keep_thread(run_connector, c);
    EXPECT(lpc_receive(port, NULL, NULL, &message), STATUS_SUCCESS);
    view.SectionHandle = section;
    view.ViewSize = SECTION_BYTES;
    view.Length--;
    EXPECT(NtAcceptConnectPort(&server, NULL, &message.header, TRUE, &view, NULL), STATUS_INVALID_PARAMETER);
    HOLDS(server == (HANDLE)(uintptr_t)0x5a5a5a5a);
}

static const struct check lpc_views_checks[] = {
    { "lpc-view-client", "NtConnectPort NtAcceptConnectPort B-13 B-16", client_view },
    { "lpc-view-server", "NtConnectPort NtAcceptConnectPort B-14", server_view },
    { "lpc-view-both", "NtConnectPort NtAcceptConnectPort B-13 B-14", both_views },
    { "lpc-view-fails", "!NtConnectPort !NtAcceptConnectPort B-12 B-15", views_fail },
};
CHECK_GROUP(lpc_views);
