/* A client of lpc_server: it connects with connection information, sends a datagram and --rounds requests, and has a thread of
 * its own that asks for a notice of its death. With --intruder it gives the wrong information and must be refused with a
 * reason. With --hold it says "blocked" and waits in a request that is never answered. */
#include "program.h"

static HANDLE port;
static const char *own_name = "client";

static NTSTATUS connect_port(const char *text, int intruder)
{
    struct nt_name name;
    SECURITY_QUALITY_OF_SERVICE quality = { sizeof quality, SecurityIdentification, SECURITY_DYNAMIC_TRACKING, TRUE };
    char information[64];
    ULONG length, limit = 0;
    NTSTATUS status;

    make_name(&name, text);
    memset(information, 0, sizeof information);
    snprintf(information, sizeof information, intruder ? "open up, I say" : "let me in, %.30s", own_name);
    length = (ULONG)strlen(information);
    status = NtConnectPort(&port, &name.string, &quality, NULL, NULL, &limit, information, &length);
    guard_progress();
    if (length >= sizeof information) fail("the length of the connection information is %u", (unsigned)length);
    information[length] = 0;
    say_as(own_name, "connect: %s \"%s\"", status_name(status), information);
    if (status != STATUS_SUCCESS) return status;
    say_as(own_name, "limit %u bytes", (unsigned)limit);
    if (limit < sizeof(struct text_message)) fail("the limit is below what the server asked for");
    return status;
}

static void request_text(const char *text, const char *wanted)
{
    struct text_message message;

    set_text(&message, "%s", text);
    expect(NtRequestWaitReplyPort(port, &message.header, &message.header), STATUS_SUCCESS, text);
    guard_progress();
    say_message(own_name, "received", &message, NULL);
    if (message.header.u2.s2.Type != LPC_REPLY) fail("the answer to \"%s\" is no reply", text);
    if (strcmp(received_text(&message), wanted)) fail("the answer to \"%s\" is \"%s\"", text, message.text);
}

static void datagram(void)
{
    struct text_message message;
    NTSTATUS status;

    set_text(&message, "note from %s", own_name);
    status = NtRequestPort(port, &message.header);
    say_as(own_name, "datagram: %s", status_name(status));
    expect(status, STATUS_SUCCESS, "NtRequestPort");
    if (message.header.u2.s2.Type) fail("NtRequestPort changed the caller's message");
}

static void short_life(void *argument)
{
    NTSTATUS status = NtRegisterThreadTerminatePort(port);

    (void)argument;
    say_as(own_name, "register: %s", status_name(status));
    expect(status, STATUS_SUCCESS, "NtRegisterThreadTerminatePort");
}

static void hold(void)
{
    struct text_message message;
    NTSTATUS status;

    set_text(&message, "hold");
    say_as(own_name, "blocked");
    status = NtRequestWaitReplyPort(port, &message.header, &message.header);
    say_as(own_name, "the held request ended: %s", status_name(status));
    if (status != STATUS_LPC_REPLY_LOST && status != STATUS_PORT_DISCONNECTED) fail("expected a lost reply or a disconnected port");
}

int main(int argc, char **argv)
{
    const char *port_name = NULL;
    unsigned rounds = 2, seconds = 20;
    int intruder = 0, quit = 0, holding = 0;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &port_name, 1, 0, 0 },
        { "--name", OPTION_TEXT, &own_name, 0, 0, 0 },
        { "--rounds", OPTION_NUMBER, &rounds, 0, 0, 1000000 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
        { "--intruder", OPTION_SWITCH, &intruder, 0, 0, 0 },
        { "--hold", OPTION_SWITCH, &holding, 0, 0, 0 },
        { "--quit", OPTION_SWITCH, &quit, 0, 0, 0 },
    };
    char text[64];

    program_role = "client";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    guard_start(seconds);
    if (intruder) {
        expect(connect_port(port_name, 1), STATUS_PORT_CONNECTION_REFUSED, "NtConnectPort");
        return 0;
    }
    expect(connect_port(port_name, 0), STATUS_SUCCESS, "NtConnectPort");
    if (holding) hold();
    else {
        request_text("hello", "hello yourself");
        datagram();
        for (unsigned i = 1; i <= rounds; i++) {
            snprintf(text, sizeof text, "echo round %u of %.30s", i, own_name);
            request_text(text, text + 5);
        }
        thread_join(thread_start(short_life, NULL));
        request_text("mourn", "rest in peace");
        if (quit) request_text("quit", "bye");
    }
    expect(NtClose(port), STATUS_SUCCESS, "NtClose");
    say_as(own_name, "done");
    return 0;
}
