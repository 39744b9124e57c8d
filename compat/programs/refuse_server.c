/* A server that refuses everybody, --count times, on an ALPC port or (--lpc) on an LPC port. */
#include "program.h"

static const char *const role = "server";

static void refuse_alpc(const char *text, unsigned count)
{
    struct nt_name name;
    struct text_message message;
    ALPC_PORT_ATTRIBUTES attributes;
    HANDLE port, untouched = (HANDLE)(uintptr_t)0x5a5a;

    make_name(&name, text);
    memset(&attributes, 0, sizeof attributes);
    attributes.MaxMessageLength = sizeof message;
    expect(NtAlpcCreatePort(&port, &name.attributes, &attributes), STATUS_SUCCESS, "NtAlpcCreatePort");
    say("listening on %s", text);
    while (count) {
        LARGE_INTEGER guard;
        SIZE_T size = sizeof message;
        NTSTATUS status = NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &message.header, &size, NULL, guard_timeout(&guard));

        expect(status, STATUS_SUCCESS, "the receive");
        guard_progress();
        say_message(role, "received", &message, NULL);
        if ((message.header.u2.s2.Type & 0xff) != LPC_CONNECTION_REQUEST) fail("not a connection request");
        answer_text(&message, "no");
        status = NtAlpcAcceptConnectPort(&untouched, port, 0, NULL, NULL, NULL, &message.header, NULL, FALSE);
        say("refused: %s", status_name(status));
        expect(status, STATUS_SUCCESS, "the refusal");
        if (untouched != (HANDLE)(uintptr_t)0x5a5a) fail("the refusal wrote a handle");
        count--;
    }
    expect(NtClose(port), STATUS_SUCCESS, "NtClose");
}

static void refuse_lpc(const char *text, unsigned count)
{
    struct nt_name name;
    struct text_message message;
    HANDLE port, untouched = (HANDLE)(uintptr_t)0x5a5a;

    make_name(&name, text);
    expect(NtCreatePort(&port, &name.attributes, 64, sizeof message, 0), STATUS_SUCCESS, "NtCreatePort");
    say("listening on %s", text);
    for (; count; count--) {
        NTSTATUS status = NtListenPort(port, &message.header);

        expect(status, STATUS_SUCCESS, "NtListenPort");
        guard_progress();
        say_message(role, "received", &message, NULL);
        answer_text(&message, "no");
        status = NtAcceptConnectPort(&untouched, NULL, &message.header, FALSE, NULL, NULL);
        say("refused: %s", status_name(status));
        expect(status, STATUS_SUCCESS, "the refusal");
        if (untouched != (HANDLE)(uintptr_t)0x5a5a) fail("the refusal wrote a handle");
        status = NtAcceptConnectPort(&untouched, NULL, &message.header, FALSE, NULL, NULL);
        /* The client may have ended by now, and then its ids name nobody. */
        if (status != STATUS_INVALID_CID) expect(status, STATUS_REPLY_MESSAGE_MISMATCH, "a second answer");
    }
    expect(NtClose(port), STATUS_SUCCESS, "NtClose");
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    unsigned seconds = 20, count = 1;
    int lpc = 0;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &name, 1, 0, 0 },
        { "--count", OPTION_NUMBER, &count, 0, 1, 1000000 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
        { "--lpc", OPTION_SWITCH, &lpc, 0, 0, 0 },
    };

    program_role = role;
    read_options(argc, argv, options, sizeof options / sizeof *options);
    guard_start(seconds);
    if (lpc) refuse_lpc(name, count);
    else refuse_alpc(name, count);
    say("closed");
    return 0;
}
