/* An ALPC server: one named port, any number of clients, text commands.
 *
 *   hello            a synchronous request, answered with "welcome NAME"
 *   echo TEXT        answered with TEXT
 *   note TEXT        a datagram, not answered
 *   ask              the server asks the client a question of its own before it answers
 *   hold             never answered: for clients that die while they wait
 *   quit             answered with "bye"; the server then closes everything and ends
 *
 * It knows each client by its port context and checks that the sender of every message is the process that connected. */
#include "program.h"

#define MAX_CLIENTS 64

struct client {
    int used;
    char name[40];
    HANDLE port;
    HANDLE process;
    ULONG asked_message;        /* the request that waits for the client's answer to our question */
    ULONG question;             /* our question */
};

static HANDLE port;
static struct client clients[MAX_CLIENTS];
static unsigned served, closed_clients;
static int ending;

static const char *const role = "server";

static struct client *client_of(PVOID context)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (context == &clients[i] && clients[i].used) return &clients[i];
    return NULL;
}

static void create_port(const char *text, int waitable)
{
    struct nt_name name;
    ALPC_PORT_ATTRIBUTES attributes;

    make_name(&name, text);
    memset(&attributes, 0, sizeof attributes);
    attributes.Flags = ALPC_PORFLG_ALLOW_LPC_REQUESTS | (waitable ? ALPC_PORFLG_WAITABLE_PORT : 0u);
    attributes.MaxMessageLength = sizeof(struct text_message);
    expect(NtAlpcCreatePort(&port, &name.attributes, &attributes), STATUS_SUCCESS, "NtAlpcCreatePort");
    say("listening on %s", text);
}

static void accept_client(struct text_message *message)
{
    struct client *client = clients;
    char name[sizeof client->name];
    NTSTATUS status;

    snprintf(name, sizeof name, "%.*s", (int)sizeof name - 1, received_text(message));
    say_message(role, "received", message, NULL);
    while (client < clients + MAX_CLIENTS && client->used) client++;
    if (client == clients + MAX_CLIENTS) {
        HANDLE none = NULL;
        answer_text(message, "no room");
        status = NtAlpcAcceptConnectPort(&none, port, 0, NULL, NULL, NULL, &message->header, NULL, FALSE);
        say("refused %s: %s", name, status_name(status));
        return;
    }
    memset(client, 0, sizeof *client);
    client->used = 1;
    client->process = message->header.ClientId.UniqueProcess;
    memcpy(client->name, name, sizeof client->name);
    answer_text(message, "welcome %s", name);
    status = NtAlpcAcceptConnectPort(&client->port, port, 0, NULL, NULL, client, &message->header, NULL, TRUE);
    say("accepted %s: %s", name, status_name(status));
    if (status != STATUS_SUCCESS) client->used = 0;    /* the client has left meanwhile */
}

static NTSTATUS reply(struct text_message *message)
{
    return NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_RELEASE_MESSAGE, &message->header, NULL, NULL, NULL, NULL, NULL);
}

static void ask_client(struct client *client, ULONG asked_message)
{
    struct text_message question;
    NTSTATUS status;

    set_text(&question, "which colour, %s?", client->name);
    status = NtAlpcSendWaitReceivePort(client->port, 0, &question.header, NULL, NULL, NULL, NULL, NULL);
    say("asked %s: %s", client->name, status_name(status));
    expect(status, STATUS_SUCCESS, "the question");
    if (!question.header.MessageId) fail("the question got no message id");
    client->question = question.header.MessageId;
    client->asked_message = asked_message;
}

static void serve_request(struct client *client, struct text_message *message)
{
    const char *text = received_text(message);
    NTSTATUS status;

    if (!strcmp(text, "hello")) answer_text(message, "welcome %s", client->name);
    else if (!strncmp(text, "echo ", 5)) answer_text(message, "%s", text + 5);
    else if (!strcmp(text, "ask")) { ask_client(client, message->header.MessageId); return; }
    else if (!strcmp(text, "hold")) { say("holds the request of %s", client->name); return; }
    else if (!strcmp(text, "quit")) { answer_text(message, "bye"); ending = 1; }
    else answer_text(message, "what?");
    status = reply(message);
    say("replied to %s: %s", client->name, status_name(status));
}

static void take_answer(struct client *client, struct text_message *message)
{
    struct text_message answer;
    NTSTATUS status;

    if (message->header.MessageId != client->question) fail("an answer to a question that was not asked");
    set_text(&answer, "you said %.100s", received_text(message));
    answer.header.MessageId = client->asked_message;
    status = reply(&answer);
    say("replied to %s: %s", client->name, status_name(status));
}

static void serve(struct text_message *message, struct client *client)
{
    unsigned type = message->header.u2.s2.Type & 0xff;

    if (type == LPC_CONNECTION_REQUEST) { accept_client(message); return; }
    if (!client) fail("%s without a port context", message_type_name(type));
    say_message(role, "received", message, client->name);
    if (type != LPC_PORT_CLOSED && type != LPC_CLIENT_DIED && type != LPC_CANCEL_MESSAGE
        && message->header.ClientId.UniqueProcess != client->process) fail("a message of %s from another process", client->name);
    switch (type) {
    case LPC_REQUEST: serve_request(client, message); break;
    case LPC_REPLY: take_answer(client, message); break;
    case LPC_DATAGRAM: case LPC_CANCEL_MESSAGE: break;
    case LPC_PORT_CLOSED:
        expect(NtClose(client->port), STATUS_SUCCESS, "NtClose of a client's port");
        client->used = 0;
        closed_clients++;
        break;
    default: fail("unexpected message");
    }
}

/* Receives the next message: on a waitable port first by a receive that does not block, then by a wait on the handle. */
static NTSTATUS receive(struct text_message *message, PALPC_MESSAGE_ATTRIBUTES attributes, int waitable)
{
    LARGE_INTEGER guard, now = { .QuadPart = 0 };
    SIZE_T size;
    NTSTATUS status;

    for (;;) {
        size = sizeof *message;
        attributes->ValidAttributes = 0;
        status = NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &message->header, &size, attributes,
                                           waitable ? &now : guard_timeout(&guard));
        if (!waitable || (status != STATUS_TIMEOUT && status != STATUS_UNSUCCESSFUL)) return status;
        status = NtWaitForSingleObject(port, FALSE, guard_timeout(&guard));
        if (status != STATUS_SUCCESS) return status;
    }
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    unsigned seconds = 20;
    int waitable = 0;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &name, 1, 0, 0 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
        { "--waitable", OPTION_SWITCH, &waitable, 0, 0, 0 },
    };
    struct text_message message;
    union { ALPC_MESSAGE_ATTRIBUTES header; char bytes[128]; } attributes;
    SIZE_T size = 0;

    program_role = role;
    read_options(argc, argv, options, sizeof options / sizeof *options);
    guard_start(seconds);
    create_port(name, waitable);
    expect(AlpcInitializeMessageAttribute(ALPC_MESSAGE_CONTEXT_ATTRIBUTE, &attributes.header, sizeof attributes, &size),
           STATUS_SUCCESS, "AlpcInitializeMessageAttribute");
    while (!ending) {
        ALPC_CONTEXT_ATTR *context;
        NTSTATUS status = receive(&message, &attributes.header, waitable);

        if (status != STATUS_SUCCESS) fail("receive gave %s", status_name(status));
        guard_progress();
        served++;
        context = AlpcGetMessageAttribute(&attributes.header, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
        if (!context) fail("the context attribute is not in its buffer");
        serve(&message, attributes.header.ValidAttributes & ALPC_MESSAGE_CONTEXT_ATTRIBUTE ? client_of(context->PortContext) : NULL);
    }
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (clients[i].used) expect(NtClose(clients[i].port), STATUS_SUCCESS, "NtClose of a client's port");
    expect(NtClose(port), STATUS_SUCCESS, "NtClose of the connection port");
    say("closed after %u messages, %u clients had left", served, closed_clients);
    return 0;
}
