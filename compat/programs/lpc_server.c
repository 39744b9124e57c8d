/* A server of the older LPC calls. The first client is taken with NtListenPort, every later one in the receive loop. A client
 * whose connection information does not begin with "let me in" is refused and told why in the same bytes. Requests are answered
 * by NtReplyPort, "hello" by the next receive call, and "mourn" when a thread of the client has died that asked for that notice:
 * nothing says that the notice is here before the thread is seen to have ended. */
#include "program.h"

#define MAX_CLIENTS 32
#define INFORMATION_LIMIT 64u

struct client {
    int used;
    char name[40];
    HANDLE port;
    int has_died, mourns;
    struct text_message mourning;       /* the request that waits for the notice */
};

static HANDLE port;
static struct client clients[MAX_CLIENTS];
static const char *const role = "server";

static void create_port(const char *text, int waitable)
{
    struct nt_name name;
    NTSTATUS status;

    make_name(&name, text);
    if (waitable) status = NtCreateWaitablePort(&port, &name.attributes, INFORMATION_LIMIT, sizeof(struct text_message), 0);
    else status = NtCreatePort(&port, &name.attributes, INFORMATION_LIMIT, sizeof(struct text_message), 0);
    expect(status, STATUS_SUCCESS, waitable ? "NtCreateWaitablePort" : "NtCreatePort");
    say("listening on %s", text);
}

static void decide(struct text_message *message)
{
    static const char password[] = "let me in, ";
    const char *text = received_text(message);
    struct client *client = clients;
    NTSTATUS status;

    say_message(role, "received", message, NULL);
    while (client < clients + MAX_CLIENTS - 1 && client->used) client++;
    if (strncmp(text, password, sizeof password - 1)) {
        HANDLE none = (HANDLE)(uintptr_t)0x5a5a;
        answer_text(message, "say please");
        status = NtAcceptConnectPort(&none, NULL, &message->header, FALSE, NULL, NULL);
        say("refused: %s", status_name(status));
        expect(status, STATUS_SUCCESS, "the refusal");
        if (none != (HANDLE)(uintptr_t)0x5a5a) fail("the refusal wrote a handle");
        return;
    }
    memset(client, 0, sizeof *client);
    client->used = 1;
    snprintf(client->name, sizeof client->name, "%.30s", text + sizeof password - 1);
    answer_text(message, "welcome %s", client->name);
    status = NtAcceptConnectPort(&client->port, client, &message->header, TRUE, NULL, NULL);
    expect(status, STATUS_SUCCESS, "NtAcceptConnectPort");
    status = NtCompleteConnectPort(client->port);
    say("accepted %s: %s", client->name, status_name(status));
    expect(status, STATUS_SUCCESS, "NtCompleteConnectPort");
    expect(NtCompleteConnectPort(client->port), STATUS_INVALID_PARAMETER, "a second NtCompleteConnectPort");
}

static struct client *client_of(PVOID context)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (context == &clients[i] && clients[i].used) return &clients[i];
    return NULL;
}

static void reply(struct client *client, struct text_message *message)
{
    NTSTATUS status = NtReplyPort(port, &message->header);

    say("replied to %s: %s", client->name, status_name(status));
    expect(status, STATUS_SUCCESS, "NtReplyPort");
}

static void mourn(struct client *client)
{
    if (!client->mourns || !client->has_died) return;
    client->mourns = 0;
    answer_text(&client->mourning, "rest in peace");
    reply(client, &client->mourning);
}

/* Serves a request. TRUE when the reply is in the message and is to be sent with the next receive. */
static int serve_request(struct client *client, struct text_message *message, int *ending)
{
    const char *text = received_text(message);

    if (!strncmp(text, "echo ", 5)) {
        answer_text(message, "%s", text + 5);
        reply(client, message);
        return 0;
    }
    if (!strcmp(text, "mourn")) {
        client->mourning = *message;
        client->mourns = 1;
        mourn(client);
        return 0;
    }
    if (!strcmp(text, "quit")) {
        answer_text(message, "bye");
        reply(client, message);
        *ending = 1;
        return 0;
    }
    if (!strcmp(text, "hold")) { say("holds the request of %s", client->name); return 0; }
    answer_text(message, "%s", strcmp(text, "hello") ? "what?" : "hello yourself");
    return 1;
}

/* Serves a message. TRUE as for serve_request. */
static int serve(struct client *client, struct text_message *message, int *ending)
{
    unsigned type = message->header.u2.s2.Type & 0xff;

    if (type == LPC_CONNECTION_REQUEST) { decide(message); return 0; }
    if (!client) fail("%s without a port context", message_type_name(type));
    say_message(role, "received", message, client->name);
    switch (type) {
    case LPC_REQUEST: return serve_request(client, message, ending);
    case LPC_DATAGRAM: case LPC_CANCEL_MESSAGE: return 0;
    case LPC_CLIENT_DIED:
        client->has_died = 1;
        mourn(client);
        return 0;
    case LPC_PORT_CLOSED:
        expect(NtClose(client->port), STATUS_SUCCESS, "NtClose of a client's port");
        client->used = 0;
        return 0;
    default: fail("unexpected message");
    }
    return 0;
}

/* Sends the reply, if there is one, and receives the next message. */
static NTSTATUS receive(PVOID *context, PPORT_MESSAGE reply, struct text_message *message, int waitable)
{
    LARGE_INTEGER guard, now = { .QuadPart = 0 };
    NTSTATUS status;

    if (!waitable) return NtReplyWaitReceivePortEx(port, context, reply, &message->header, guard_timeout(&guard));
    for (;;) {
        status = NtReplyWaitReceivePortEx(port, context, reply, &message->header, &now);
        if (status != STATUS_TIMEOUT && status != STATUS_UNSUCCESSFUL) return status;
        reply = NULL;
        status = NtWaitForSingleObject(port, FALSE, guard_timeout(&guard));
        if (status != STATUS_SUCCESS) return status;
    }
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    unsigned seconds = 20, served = 1;
    int waitable = 0, ending = 0, replying = 0;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &name, 1, 0, 0 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
        { "--waitable", OPTION_SWITCH, &waitable, 0, 0, 0 },
    };
    struct text_message message, reply;

    program_role = role;
    read_options(argc, argv, options, sizeof options / sizeof *options);
    guard_start(seconds);
    create_port(name, waitable);

    expect(NtListenPort(port, &message.header), STATUS_SUCCESS, "NtListenPort");
    if (message.header.u2.s2.Type != LPC_CONNECTION_REQUEST) fail("NtListenPort gave type 0x%x", (unsigned)message.header.u2.s2.Type);
    guard_progress();
    decide(&message);

    while (!ending) {
        PVOID context = NULL;
        NTSTATUS status = receive(&context, replying ? &reply.header : NULL, &message, waitable);

        if (status != STATUS_SUCCESS) fail("receive gave %s", status_name(status));
        guard_progress();
        served++;
        replying = serve(client_of(context), &message, &ending);
        if (replying) reply = message;
    }
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (clients[i].used) expect(NtClose(clients[i].port), STATUS_SUCCESS, "NtClose of a client's port");
    expect(NtClose(port), STATUS_SUCCESS, "NtClose of the connection port");
    say("closed after %u messages", served);
    return 0;
}
