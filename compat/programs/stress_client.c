/* Connects, talks and leaves, --rounds times, on each of --threads threads; every echo is compared byte by byte.
 *
 * --survive: the server may be killed; a round that this ends is counted, and the next connect waits for a new server.
 * --stops N: the program is steered by lines on its standard input, so that a test can count its descriptors, mappings and
 * threads. After N rounds it says that it is idle; a line starts the other rounds; a line ends them, done or not, and it is idle
 * again; a last line ends it. --ask TEXT: sends one request and prints the answer. */
#include "program.h"

#define LIMIT 4096u

struct stress_message {
    PORT_MESSAGE header;
    char bytes[LIMIT - sizeof(PORT_MESSAGE)];
};

struct worker {
    uint64_t random;
    unsigned rounds, done, interrupted;
};

static const char *port_name;
static struct nt_name name;
static int survive;
static volatile int ending;

static uint32_t next_random(struct worker *worker)
{
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(worker->random >> 33);
}

/* What a request or a connect may end with when the server is killed. NT's own choice is not known for certain. */
static int means_dead_server(NTSTATUS status)
{
    return survive && (status == STATUS_MESSAGE_LOST || status == STATUS_PORT_DISCONNECTED || status == STATUS_PORT_CONNECTION_REFUSED);
}

static NTSTATUS connect_port(HANDLE *port, int synchronous)
{
    struct stress_message message;
    ALPC_PORT_ATTRIBUTES attributes;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message;
    NTSTATUS status;

    memset(&attributes, 0, sizeof attributes);
    attributes.MaxMessageLength = LIMIT;
    status = NtAlpcConnectPort(port, &name.string, NULL, &attributes, synchronous ? ALPC_SYNC_CONNECTION : 0, NULL, NULL, NULL, NULL,
                               NULL, guard_timeout(&guard));
    if (status != STATUS_SUCCESS || synchronous) return status;
    status = NtAlpcSendWaitReceivePort(*port, 0, NULL, NULL, &message.header, &size, NULL, guard_timeout(&guard));
    if (status == STATUS_SUCCESS) {
        unsigned type = message.header.u2.s2.Type & 0xff;
        if (type == LPC_INTERNAL_CONNECTION_REPLY) return status;
        if (type != LPC_CANCEL_MESSAGE || !survive) fail("a pending port received type 0x%x", (unsigned)message.header.u2.s2.Type);
        status = STATUS_PORT_CONNECTION_REFUSED;
    }
    expect(NtClose(*port), STATUS_SUCCESS, "NtClose of a pending port");
    return status;
}

static NTSTATUS echo(struct worker *worker, HANDLE port)
{
    static const unsigned lengths[] = { 0, 1, 7, 32, 64, 255, 1000, LIMIT - sizeof(PORT_MESSAGE) };
    struct stress_message sent, received;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof received;
    unsigned length = lengths[next_random(worker) % (sizeof lengths / sizeof *lengths)];
    NTSTATUS status;

    memset(&sent.header, 0, sizeof sent.header);
    for (unsigned i = 0; i < length; i += 4) {
        uint32_t word = next_random(worker);
        memcpy(sent.bytes + i, &word, length - i < 4 ? length - i : 4);
    }
    sent.header.u1.s1.DataLength = (USHORT)length;
    sent.header.u1.s1.TotalLength = (USHORT)(sizeof sent.header + length);
    status = NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_SYNC_REQUEST, &sent.header, NULL, &received.header, &size, NULL,
                                       guard_timeout(&guard));
    if (status != STATUS_SUCCESS) return status;
    if ((received.header.u2.s2.Type & 0xff) == LPC_CANCEL_MESSAGE && survive) return STATUS_MESSAGE_LOST;
    if ((received.header.u2.s2.Type & 0xff) != LPC_REPLY) fail("type 0x%x instead of a reply", (unsigned)received.header.u2.s2.Type);
    if ((USHORT)received.header.u1.s1.DataLength != length || memcmp(sent.bytes, received.bytes, length)) fail("the echo differs");
    return status;
}

static NTSTATUS send_note(HANDLE port, ULONG flags)
{
    struct stress_message message;

    memset(&message.header, 0, sizeof message.header);
    memcpy(message.bytes, "note", 4);
    message.header.u1.s1.DataLength = 4;
    message.header.u1.s1.TotalLength = sizeof message.header + 4;
    return NtAlpcSendWaitReceivePort(port, flags, &message.header, NULL, NULL, NULL, NULL, NULL);
}

/* One round with a server that lives: connect, one to three echoes, sometimes a message whose end is not awaited, leave. */
static NTSTATUS talk(struct worker *worker)
{
    HANDLE port = NULL;
    unsigned manner = next_random(worker), requests = 1 + next_random(worker) % 3;
    NTSTATUS status = connect_port(&port, manner & 1);

    if (status != STATUS_SUCCESS) return status;
    for (unsigned i = 0; i < requests && status == STATUS_SUCCESS; i++) status = echo(worker, port);
    if (status == STATUS_SUCCESS && manner & 2) status = send_note(port, ALPC_MSGFLG_RELEASE_MESSAGE);
    if (status == STATUS_SUCCESS && manner & 4) status = send_note(port, 0);
    if (status == STATUS_SUCCESS && manner & 8) {
        status = NtAlpcDisconnectPort(port, 0);
        if (status == STATUS_PORT_DISCONNECTED && survive) status = STATUS_SUCCESS;
    }
    expect(NtClose(port), STATUS_SUCCESS, "NtClose");
    return status;
}

static void run(void *argument)
{
    struct worker *worker = argument;
    unsigned done = 0;
    uint64_t alone_since = 0;

    while (done < worker->rounds && !ending) {
        NTSTATUS status = talk(worker);

        if (status == STATUS_SUCCESS) { done++; alone_since = 0; guard_progress(); continue; }
        if (survive && status == STATUS_OBJECT_NAME_NOT_FOUND) {
            if (!alone_since) alone_since = clock_ns();
            if (clock_ns() - alone_since > (uint64_t)guard_limit() * 1000000000u) fail("no server came back");
            sleep_ms(5);
            continue;
        }
        if (!means_dead_server(status)) fail("round %u ended with %s", done + 1, status_name(status));
        worker->interrupted++;
        guard_progress();
    }
    worker->done = done;
}

/* Adds up what the threads did. */
struct totals { unsigned done, interrupted; };

static void run_all(unsigned threads, unsigned rounds, uint32_t seed, struct totals *totals)
{
    static struct worker workers[16];
    thread_handle handles[16];

    for (unsigned i = 0; i < threads; i++) {
        workers[i].random = (seed + i * 7919u) * 0x9e3779b97f4a7c15u;
        workers[i].rounds = rounds;
        workers[i].interrupted = 0;
    }
    for (unsigned i = 1; i < threads; i++) handles[i] = thread_start(run, &workers[i]);
    run(&workers[0]);
    for (unsigned i = 1; i < threads; i++) thread_join(handles[i]);
    for (unsigned i = 0; i < threads; i++) {
        totals->done += workers[i].done;
        totals->interrupted += workers[i].interrupted;
    }
}

static void await_line(void)
{
    char line[16];

    if (!fgets(line, sizeof line, stdin)) fail("standard input ended");
    guard_progress();
}

static void end_by_line(void *argument)
{
    (void)argument;
    await_line();
    ending = 1;
}

static void be_idle(const struct totals *totals)
{
    say("idle after %u rounds, %u interrupted", totals->done, totals->interrupted);
    await_line();
}

static void ask(const char *text)
{
    struct stress_message message;
    LARGE_INTEGER guard;
    SIZE_T size = sizeof message;
    HANDLE port = NULL;
    size_t length = strlen(text);

    if (length >= sizeof message.bytes) usage_error("the text is too long");
    expect(connect_port(&port, 1), STATUS_SUCCESS, "NtAlpcConnectPort");
    memset(&message.header, 0, sizeof message.header);
    memcpy(message.bytes, text, length);
    message.header.u1.s1.DataLength = (USHORT)length;
    message.header.u1.s1.TotalLength = (USHORT)(sizeof message.header + length);
    expect(NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_SYNC_REQUEST, &message.header, NULL, &message.header, &size, NULL,
                                     guard_timeout(&guard)), STATUS_SUCCESS, "the request");
    message.bytes[(USHORT)message.header.u1.s1.DataLength] = 0;
    say("%s", message.bytes);
    expect(NtClose(port), STATUS_SUCCESS, "NtClose");
}

int main(int argc, char **argv)
{
    const char *text = NULL;
    unsigned rounds = 1000, threads = 1, seed = 1, seconds = 30, stops = 0;
    struct totals totals = { 0, 0 };
    thread_handle listener = NULL;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &port_name, 1, 0, 0 },
        { "--rounds", OPTION_NUMBER, &rounds, 0, 1, 1000000000 },
        { "--threads", OPTION_NUMBER, &threads, 0, 1, 16 },
        { "--seed", OPTION_NUMBER, &seed, 0, 0, 0xffffffffu },
        { "--stops", OPTION_NUMBER, &stops, 0, 1, 1000000 },
        { "--survive", OPTION_SWITCH, &survive, 0, 0, 0 },
        { "--ask", OPTION_TEXT, &text, 0, 0, 0 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
    };

    program_role = "client";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    guard_start(seconds);
    make_name(&name, port_name);
    if (text) { ask(text); return 0; }
    if (stops) {
        run_all(threads, stops, seed, &totals);
        be_idle(&totals);
        listener = thread_start(end_by_line, NULL);
    }
    run_all(threads, rounds, seed + 1, &totals);
    say("%u rounds are over, %u interrupted", totals.done, totals.interrupted);
    if (listener) {
        thread_join(listener);
        be_idle(&totals);
    }
    return 0;
}
