/* A server that answers, so that calls with bad arguments meet one: it accepts every client of an ALPC and of an LPC port and returns
 * every request. It is a process of its own, which must outlive all that it is sent. See bad_arguments.h. */
#include "bad_arguments.h"
#include "second_process.h"

struct nt_name served_alpc, served_lpc;
static struct second_process *server;

/* A connection that was not accepted because its client left again is no matter. */
static void serve_alpc(void *argument)
{
    HANDLE port = argument;
    ALPC_PORT_ATTRIBUTES attributes;
    static union { PORT_MESSAGE header; unsigned char bytes[0x1000]; } message;
    union { ALPC_MESSAGE_ATTRIBUTES header; unsigned char bytes[160]; } context;

    usual_port_attributes(&attributes, 0);
    for (;;) {
        SIZE_T size = sizeof message, needed;
        ALPC_CONTEXT_ATTR *record;

        AlpcInitializeMessageAttribute(ALPC_MESSAGE_CONTEXT_ATTRIBUTE, &context.header, sizeof context, &needed);
        expect(NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &message.header, &size, &context.header, NULL), STATUS_SUCCESS, "the server's receive");
        record = AlpcGetMessageAttribute(&context.header, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
        switch (message.header.u2.s2.Type & LPC_TYPE_MASK) {
        case LPC_CONNECTION_REQUEST: {
            /* Its handle is told with the notice that the client has gone. */
            HANDLE *place = malloc(sizeof *place), server = NULL;
            if (NT_SUCCESS(NtAlpcAcceptConnectPort(&server, port, 0, NULL, &attributes, place, &message.header, NULL, TRUE))) *place = server;
            else free(place);
            break;
        }
        case LPC_PORT_CLOSED:
            if (record && record->PortContext) {
                NtClose(*(HANDLE *)record->PortContext);
                free(record->PortContext);
            }
            break;
        default:
            if (message.header.u2.s2.Type & LPC_CONTINUATION_REQUIRED)
                NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_RELEASE_MESSAGE, &message.header, NULL, NULL, NULL, NULL, NULL);
        }
    }
}

static void serve_lpc(void *argument)
{
    HANDLE port = argument;
    static union { PORT_MESSAGE header; unsigned char bytes[0x1000]; } message;

    for (;;) {
        PVOID context = NULL;
        expect(NtReplyWaitReceivePort(port, &context, NULL, &message.header), STATUS_SUCCESS, "the LPC server's receive");
        switch (message.header.u2.s2.Type & LPC_TYPE_MASK) {
        case LPC_CONNECTION_REQUEST: {
            HANDLE *place = malloc(sizeof *place), server = NULL;
            if (NT_SUCCESS(NtAcceptConnectPort(&server, place, &message.header, TRUE, NULL, NULL))) {
                *place = server;
                NtCompleteConnectPort(server);
            } else free(place);
            break;
        }
        case LPC_PORT_CLOSED:
            if (context) { NtClose(*(HANDLE *)context); free(context); }
            break;
        case LPC_REQUEST:
            NtReplyPort(port, &message.header);
            break;
        default:
            break;
        }
    }
}

static void name_ports(const char *name)
{
    char text[200];
    make_name(&served_alpc, name);
    snprintf(text, sizeof text, "%s-lpc", name);
    make_name(&served_lpc, text);
}

int serve(const char *name)
{
    ALPC_PORT_ATTRIBUTES attributes;
    HANDLE alpc = NULL, lpc = NULL;

    name_ports(name);
    usual_port_attributes(&attributes, 0);
    expect(NtAlpcCreatePort(&alpc, &served_alpc.attributes, &attributes), STATUS_SUCCESS, "the server's NtAlpcCreatePort");
    expect(NtCreatePort(&lpc, &served_lpc.attributes, 64, 0x200, 0), STATUS_SUCCESS, "the server's NtCreatePort");
    thread_start(serve_lpc, lpc);
    serve_alpc(alpc);
    return 0;
}

void start_server(void)
{
    char text[100];
    const char *arguments[] = { "--serve", text, NULL };

    snprintf(text, sizeof text, "\\RPC Control\\bad-served-%c%lu", ON_WINDOWS ? 'w' : 'n', own_process_id());
    name_ports(text);
    server = start_again(arguments);
    for (unsigned tries = 0; ; tries++) {
        HANDLE port = NULL;
        NTSTATUS status = NtAlpcConnectPort(&port, &served_alpc.string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL);
        if (NT_SUCCESS(status)) { NtClose(port); return; }
        if (tries == 1000) fail("the server does not come up: %s", status_name(status));
        sleep_ms(20);
    }
}

int server_lives(void) { return process_status(server) == -1; }
void end_server(void) { end_process(server); }
