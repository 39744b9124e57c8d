/* A server that is put under stress: it echoes every request from any number of clients, on --threads threads, for as long as
 * messages come. The request "status" is answered with its counts, "quit" ends it. Clients and the server itself may be killed
 * at any moment by the test that runs it; every status that such a death may cause is counted, any other ends the run. */
#include "program.h"

#define LIMIT 4096u

struct stress_message {
    PORT_MESSAGE header;
    char bytes[LIMIT - sizeof(PORT_MESSAGE)];
};

struct client { HANDLE volatile port; };

static HANDLE port;
static unsigned accepted, closed, requests, datagrams, cancelled, late_replies, late_accepts;
static volatile int ending;

#define COUNT(counter) __atomic_add_fetch(&(counter), 1, __ATOMIC_RELAXED)
#define READ(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

static void accept_client(struct stress_message *message)
{
    struct client *client = calloc(1, sizeof *client);
    HANDLE made = NULL;
    NTSTATUS status;

    if (!client) fail("out of memory");
    message->header.u1.s1.DataLength = 0;
    message->header.u1.s1.TotalLength = sizeof message->header;
    status = NtAlpcAcceptConnectPort(&made, port, 0, NULL, NULL, client, &message->header, NULL, TRUE);
    if (status == STATUS_SUCCESS) {
        client->port = made;
        COUNT(accepted);
        return;
    }
    free(client);
    if (status != STATUS_REQUEST_CANCELED && status != STATUS_INVALID_MESSAGE) fail("accept gave %s", status_name(status));
    COUNT(late_accepts);
}

static void close_client(struct client *client)
{
    if (!client) fail("a port was closed that has no context");
    while (!client->port) sleep_ms(1);      /* accepted a moment ago on another thread */
    expect(NtClose(client->port), STATUS_SUCCESS, "NtClose of a client's port");
    free(client);
    COUNT(closed);
}

static void answer(struct stress_message *message)
{
    NTSTATUS status;
    unsigned length = (USHORT)message->header.u1.s1.DataLength;
    int quit = length == 4 && !memcmp(message->bytes, "quit", 4);

    COUNT(requests);
    if (length == 6 && !memcmp(message->bytes, "status", 6)) {
        length = (unsigned)snprintf(message->bytes, sizeof message->bytes,
                                    "live=%u accepted=%u closed=%u requests=%u datagrams=%u cancelled=%u late=%u",
                                    READ(accepted) - READ(closed), READ(accepted), READ(closed), READ(requests), READ(datagrams),
                                    READ(cancelled), READ(late_replies) + READ(late_accepts));
        message->header.u1.s1.DataLength = (USHORT)length;
        message->header.u1.s1.TotalLength = (USHORT)(sizeof message->header + length);
    }
    status = NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_RELEASE_MESSAGE, &message->header, NULL, NULL, NULL, NULL, NULL);
    if (status != STATUS_SUCCESS) {
        if (status != STATUS_REQUEST_CANCELED && status != STATUS_INVALID_MESSAGE && status != STATUS_PORT_DISCONNECTED)
            fail("reply gave %s", status_name(status));
        COUNT(late_replies);
    }
    if (quit) ending = 1;
}

static void serve(void *argument)
{
    struct stress_message *message = malloc(sizeof *message);
    union { ALPC_MESSAGE_ATTRIBUTES header; char bytes[128]; } attributes;
    SIZE_T size = 0;

    (void)argument;
    if (!message) fail("out of memory");
    expect(AlpcInitializeMessageAttribute(ALPC_MESSAGE_CONTEXT_ATTRIBUTE, &attributes.header, sizeof attributes, &size),
           STATUS_SUCCESS, "AlpcInitializeMessageAttribute");
    while (!ending) {
        LARGE_INTEGER half_second = { .QuadPart = -5000000 };
        ALPC_CONTEXT_ATTR *context;
        NTSTATUS status;

        size = sizeof *message;
        status = NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &message->header, &size, &attributes.header, &half_second);
        if (status == STATUS_TIMEOUT) continue;
        if (status != STATUS_SUCCESS) fail("receive gave %s", status_name(status));
        guard_progress();
        context = AlpcGetMessageAttribute(&attributes.header, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
        switch (message->header.u2.s2.Type & 0xff) {
        case LPC_CONNECTION_REQUEST: accept_client(message); break;
        case LPC_REQUEST: answer(message); break;
        case LPC_DATAGRAM: COUNT(datagrams); break;
        case LPC_CANCEL_MESSAGE: COUNT(cancelled); break;
        case LPC_PORT_CLOSED: close_client(context->PortContext); break;
        default: fail("unexpected message of type 0x%x", (unsigned)message->header.u2.s2.Type);
        }
    }
    free(message);
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    unsigned seconds = 30, threads = 1;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &name, 1, 0, 0 },
        { "--threads", OPTION_NUMBER, &threads, 0, 1, 16 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
    };
    struct nt_name port_name;
    ALPC_PORT_ATTRIBUTES attributes;
    thread_handle workers[16];

    program_role = "server";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    guard_start(seconds);
    make_name(&port_name, name);
    memset(&attributes, 0, sizeof attributes);
    attributes.MaxMessageLength = LIMIT;
    expect(NtAlpcCreatePort(&port, &port_name.attributes, &attributes), STATUS_SUCCESS, "NtAlpcCreatePort");
    say("listening on %s", name);
    for (unsigned i = 1; i < threads; i++) workers[i] = thread_start(serve, NULL);
    serve(NULL);
    for (unsigned i = 1; i < threads; i++) thread_join(workers[i]);
    expect(NtClose(port), STATUS_SUCCESS, "NtClose of the connection port");
    say("accepted %u, closed %u, requests %u, datagrams %u, cancelled %u, late %u", accepted, closed, requests, datagrams, cancelled,
        late_replies + late_accepts);
    return 0;
}
