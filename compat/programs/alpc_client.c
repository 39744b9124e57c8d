/* A client of alpc_server. Each of its --clients threads is a client with a connection of its own, and does in this order:
 * a synchronous connect, --rounds synchronous requests, a poll of an empty port, an asynchronous request whose answer is first
 * received into a buffer that is too small, a datagram, a request that makes the server ask back, a message that is too long, a
 * disconnect, and a send that must fail after it. With --quit, "quit" takes the place of the last two. */
#include "program.h"

struct client {
    char name[40];
    const char *port_name;
    unsigned rounds;
    int quit;
    HANDLE port;
};

static void set_attributes(ALPC_PORT_ATTRIBUTES *attributes)
{
    memset(attributes, 0, sizeof *attributes);
    attributes->Flags = ALPC_PORFLG_ALLOW_LPC_REQUESTS;    /* the server may ask us something */
    attributes->MaxMessageLength = sizeof(struct text_message);
    attributes->SecurityQos.Length = sizeof attributes->SecurityQos;
    attributes->SecurityQos.ImpersonationLevel = SecurityIdentification;
}

static NTSTATUS connect_client(struct client *client)
{
    struct nt_name name;
    ALPC_PORT_ATTRIBUTES attributes;
    struct text_message message;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message;
    NTSTATUS status;

    make_name(&name, client->port_name);
    set_attributes(&attributes);
    set_text(&message, "%s", client->name);
    status = NtAlpcConnectPort(&client->port, &name.string, NULL, &attributes, ALPC_SYNC_CONNECTION, NULL, &message.header, &size,
                               NULL, NULL, guard_timeout(&guard));
    say_as(client->name, "connect: %s", status_name(status));
    if (status != STATUS_SUCCESS) return status;
    say_message(client->name, "received", &message, NULL);
    if (size != (USHORT)message.header.u1.s1.TotalLength) fail("the length of the accept message is %u", (unsigned)size);
    if ((message.header.u2.s2.Type & 0xff) != LPC_INTERNAL_CONNECTION_REPLY) fail("not a connection reply");
    guard_progress();
    return status;
}

/* A synchronous request; the reply replaces it. */
static NTSTATUS request(struct client *client, struct text_message *message)
{
    LARGE_INTEGER guard;
    SIZE_T size = sizeof *message;
    NTSTATUS status = NtAlpcSendWaitReceivePort(client->port, ALPC_MSGFLG_SYNC_REQUEST, &message->header, NULL, &message->header,
                                                &size, NULL, guard_timeout(&guard));
    guard_progress();
    return status;
}

static void request_text(struct client *client, const char *text, const char *wanted)
{
    struct text_message message;

    set_text(&message, "%s", text);
    expect(request(client, &message), STATUS_SUCCESS, text);
    say_message(client->name, "received", &message, NULL);
    if ((message.header.u2.s2.Type & 0xff) != LPC_REPLY) fail("the answer to \"%s\" is no reply", text);
    if (wanted && strcmp(received_text(&message), wanted)) fail("the answer to \"%s\" is \"%s\"", text, message.text);
}

static NTSTATUS receive(struct client *client, struct text_message *message, SIZE_T *size, LARGE_INTEGER *timeout)
{
    NTSTATUS status = NtAlpcSendWaitReceivePort(client->port, 0, NULL, NULL, &message->header, size, NULL, timeout);
    guard_progress();
    return status;
}

static void poll_empty_port(struct client *client)
{
    struct text_message message;
    LARGE_INTEGER now = { .QuadPart = 0 };
    SIZE_T size = sizeof message;
    NTSTATUS status = receive(client, &message, &size, &now);

    say_as(client->name, "poll: %s", status_name(status));
    expect(status, STATUS_TIMEOUT, "the poll of an empty port");
}

static ULONG send_request(struct client *client, const char *text)
{
    struct text_message message;

    set_text(&message, "%s", text);
    expect(NtAlpcSendWaitReceivePort(client->port, 0, &message.header, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS, text);
    if (!message.header.MessageId) fail("the request \"%s\" got no message id", text);
    return message.header.MessageId;
}

static void receive_reply(struct client *client, ULONG id, const char *wanted)
{
    struct text_message message;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message;

    expect(receive(client, &message, &size, guard_timeout(&guard)), STATUS_SUCCESS, "the receive of a reply");
    say_message(client->name, "received", &message, NULL);
    if ((message.header.u2.s2.Type & 0xff) != LPC_REPLY || message.header.MessageId != id) fail("not the reply to request %u", (unsigned)id);
    if (strcmp(received_text(&message), wanted)) fail("the reply is \"%s\", expected \"%s\"", message.text, wanted);
}

static void asynchronous_request(struct client *client)
{
    ULONG id = send_request(client, "echo later");
    struct text_message message;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message.header;
    NTSTATUS status;

    memset(&message, 0x5a, sizeof message);
    status = receive(client, &message, &size, guard_timeout(&guard));
    say_as(client->name, "receive into %u bytes: %s, %u needed", (unsigned)sizeof message.header, status_name(status), (unsigned)size);
    expect(status, STATUS_BUFFER_TOO_SMALL, "the receive into a short buffer");
    if (size != sizeof message.header + strlen("later")) fail("the length needed is wrong");
    receive_reply(client, id, "later");
}

static void datagram(struct client *client)
{
    struct text_message message;
    NTSTATUS status;

    set_text(&message, "note from %s", client->name);
    status = NtAlpcSendWaitReceivePort(client->port, ALPC_MSGFLG_RELEASE_MESSAGE, &message.header, NULL, NULL, NULL, NULL, NULL);
    say_as(client->name, "datagram: %s", status_name(status));
    expect(status, STATUS_SUCCESS, "the datagram");
}

static void be_asked(struct client *client)
{
    ULONG id = send_request(client, "ask");
    struct text_message message;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message;
    NTSTATUS status;

    expect(receive(client, &message, &size, guard_timeout(&guard)), STATUS_SUCCESS, "the receive of a question");
    say_message(client->name, "received", &message, NULL);
    if ((message.header.u2.s2.Type & 0xff) != LPC_REQUEST) fail("not a question");
    answer_text(&message, "blue");
    status = NtAlpcSendWaitReceivePort(client->port, ALPC_MSGFLG_RELEASE_MESSAGE, &message.header, NULL, NULL, NULL, NULL, NULL);
    say_as(client->name, "answered: %s", status_name(status));
    expect(status, STATUS_SUCCESS, "the answer");
    receive_reply(client, id, "you said blue");
}

static void too_long(struct client *client)
{
    struct { PORT_MESSAGE header; char bytes[1024]; } message;
    NTSTATUS status;

    memset(&message, 0, sizeof message);
    message.header.u1.s1.DataLength = sizeof message.bytes;
    message.header.u1.s1.TotalLength = sizeof message;
    status = NtAlpcSendWaitReceivePort(client->port, 0, &message.header, NULL, NULL, NULL, NULL, NULL);
    say_as(client->name, "send of %u bytes: %s", (unsigned)sizeof message, status_name(status));
    expect(status, STATUS_PORT_MESSAGE_TOO_LONG, "a message above the limit");
}

static void disconnect(struct client *client)
{
    struct text_message message;
    NTSTATUS status = NtAlpcDisconnectPort(client->port, 0);

    say_as(client->name, "disconnect: %s", status_name(status));
    expect(status, STATUS_SUCCESS, "NtAlpcDisconnectPort");
    set_text(&message, "too late");
    status = NtAlpcSendWaitReceivePort(client->port, 0, &message.header, NULL, NULL, NULL, NULL, NULL);
    say_as(client->name, "send after it: %s", status_name(status));
    expect(status, STATUS_PORT_DISCONNECTED, "a send after the disconnect");
    expect(NtClose(client->port), STATUS_SUCCESS, "NtClose");
}

static void run_client(void *argument)
{
    struct client *client = argument;
    char text[64], welcome[64];

    expect(connect_client(client), STATUS_SUCCESS, "NtAlpcConnectPort");
    snprintf(welcome, sizeof welcome, "welcome %s", client->name);
    request_text(client, "hello", welcome);
    for (unsigned i = 1; i <= client->rounds; i++) {
        snprintf(text, sizeof text, "echo round %u of %s", i, client->name);
        request_text(client, text, text + 5);
    }
    poll_empty_port(client);
    asynchronous_request(client);
    datagram(client);
    be_asked(client);
    too_long(client);
    if (client->quit) {
        request_text(client, "quit", "bye");
        expect(NtClose(client->port), STATUS_SUCCESS, "NtClose");
    } else disconnect(client);
}

int main(int argc, char **argv)
{
    const char *port_name = NULL, *name = "client";
    unsigned count = 1, rounds = 2, seconds = 20;
    int quit = 0, refused = 0, missing = 0;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &port_name, 1, 0, 0 },
        { "--name", OPTION_TEXT, &name, 0, 0, 0 },
        { "--clients", OPTION_NUMBER, &count, 0, 1, 32 },
        { "--rounds", OPTION_NUMBER, &rounds, 0, 0, 1000000 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
        { "--quit", OPTION_SWITCH, &quit, 0, 0, 0 },
        { "--expect-refusal", OPTION_SWITCH, &refused, 0, 0, 0 },
        { "--expect-missing", OPTION_SWITCH, &missing, 0, 0, 0 },
    };
    static struct client clients[32];
    thread_handle threads[32];

    program_role = "client";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    if (strlen(name) > 30) usage_error("the name is too long");
    if (quit && count != 1) usage_error("--quit goes with one client only");
    guard_start(seconds);
    for (unsigned i = 0; i < count; i++) {
        struct client *client = &clients[i];
        if (count > 1) snprintf(client->name, sizeof client->name, "%.30s-%u", name, i + 1);
        else snprintf(client->name, sizeof client->name, "%.30s", name);
        client->port_name = port_name;
        client->rounds = rounds;
        client->quit = quit;
    }
    if (refused || missing) {
        clients[0].port = (HANDLE)(uintptr_t)0x5a5a;
        expect(connect_client(&clients[0]), refused ? STATUS_PORT_CONNECTION_REFUSED : STATUS_OBJECT_NAME_NOT_FOUND, "NtAlpcConnectPort");
        if (clients[0].port != (HANDLE)(uintptr_t)0x5a5a) fail("the handle was written though the connect failed");
        return 0;
    }
    for (unsigned i = 1; i < count; i++) threads[i] = thread_start(run_client, &clients[i]);
    run_client(&clients[0]);
    for (unsigned i = 1; i < count; i++) thread_join(threads[i]);
    say_as(name, "done");
    return 0;
}
