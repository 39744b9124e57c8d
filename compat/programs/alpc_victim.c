/* A client that is made to be killed: it connects to alpc_server, says "blocked" and waits in a synchronous request that the
 * server holds. If it is not killed but its server is, it says what its wait ended with. --leave makes it end by itself, in the
 * middle of the request of another thread. */
#include "program.h"

static HANDLE port;

static void hold(void *argument)
{
    struct text_message message;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message;
    NTSTATUS status;

    (void)argument;
    set_text(&message, "hold");
    status = NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_SYNC_REQUEST, &message.header, NULL, &message.header, &size, NULL,
                                       guard_timeout(&guard));
    say("the held request ended: %s", status_name(status));
    /* A server that dies or closes may be noticed in either way: NT's own choice between these is not known for certain. */
    if (status != STATUS_MESSAGE_LOST && status != STATUS_PORT_DISCONNECTED) fail("expected a lost message or a disconnected port");
}

int main(int argc, char **argv)
{
    const char *port_name = NULL, *own_name = "victim";
    unsigned seconds = 20;
    int leave = 0;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &port_name, 1, 0, 0 },
        { "--name", OPTION_TEXT, &own_name, 0, 0, 0 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
        { "--leave", OPTION_SWITCH, &leave, 0, 0, 0 },
    };
    struct nt_name name;
    struct text_message message;
    ALPC_PORT_ATTRIBUTES attributes;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message;

    program_role = "victim";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    program_role = own_name;
    guard_start(seconds);
    make_name(&name, port_name);
    memset(&attributes, 0, sizeof attributes);
    attributes.MaxMessageLength = sizeof message;
    set_text(&message, "%.30s", own_name);
    expect(NtAlpcConnectPort(&port, &name.string, NULL, &attributes, ALPC_SYNC_CONNECTION, NULL, &message.header, &size, NULL, NULL,
                             guard_timeout(&guard)), STATUS_SUCCESS, "NtAlpcConnectPort");
    say("blocked");
    if (!leave) {
        hold(NULL);
        expect(NtClose(port), STATUS_SUCCESS, "NtClose");
        return 0;
    }
    thread_start(hold, NULL);
    sleep_ms(200);
    say("leaves");
    exit_now(0);
    return 0;
}
