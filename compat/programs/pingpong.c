/* Measures a synchronous round trip: --serve answers, otherwise --rounds requests of --payload bytes are timed one by one and
 * the percentiles printed in nanoseconds. --stop ends the server afterwards. */
#include "program.h"

#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
static uint64_t ticks(void) { return __rdtsc(); }
#else
static uint64_t ticks(void) { return clock_ns(); }
#endif

#define LIMIT 4096u

struct ping {
    PORT_MESSAGE header;
    char bytes[LIMIT - sizeof(PORT_MESSAGE)];
};

static HANDLE port;

static void serve(const char *text)
{
    static struct ping message;
    struct nt_name name;
    ALPC_PORT_ATTRIBUTES attributes;
    PPORT_MESSAGE reply = NULL;
    HANDLE client = NULL;

    make_name(&name, text);
    memset(&attributes, 0, sizeof attributes);
    attributes.MaxMessageLength = LIMIT;
    expect(NtAlpcCreatePort(&port, &name.attributes, &attributes), STATUS_SUCCESS, "NtAlpcCreatePort");
    say("listening on %s", text);
    for (;;) {
        LARGE_INTEGER guard;
        SIZE_T size = sizeof message;
        NTSTATUS status = NtAlpcSendWaitReceivePort(port, reply ? ALPC_MSGFLG_RELEASE_MESSAGE : 0, reply, NULL, &message.header, &size,
                                                    NULL, guard_timeout(&guard));

        if (status != STATUS_SUCCESS) fail("receive gave %s", status_name(status));
        guard_progress();
        reply = NULL;
        switch (message.header.u2.s2.Type & 0xff) {
        case LPC_CONNECTION_REQUEST:
            expect(NtAlpcAcceptConnectPort(&client, port, 0, NULL, NULL, NULL, &message.header, NULL, TRUE), STATUS_SUCCESS, "accept");
            break;
        case LPC_REQUEST: reply = &message.header; break;
        case LPC_PORT_CLOSED: expect(NtClose(client), STATUS_SUCCESS, "NtClose"); break;
        case LPC_DATAGRAM: expect(NtClose(port), STATUS_SUCCESS, "NtClose"); return;
        default: break;
        }
    }
}

static void send_ping(struct ping *message, unsigned payload)
{
    SIZE_T size = sizeof *message;
    NTSTATUS status;

    memset(&message->header, 0, sizeof message->header);
    message->header.u1.s1.DataLength = (USHORT)payload;
    message->header.u1.s1.TotalLength = (USHORT)(sizeof message->header + payload);
    status = NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_SYNC_REQUEST, &message->header, NULL, &message->header, &size, NULL, NULL);
    if (status != STATUS_SUCCESS) fail("request gave %s", status_name(status));
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void measure(const char *text, unsigned rounds, unsigned payload, int stop)
{
    static struct ping message;
    struct nt_name name;
    ALPC_PORT_ATTRIBUTES attributes;
    LARGE_INTEGER guard;
    uint64_t *samples = calloc(rounds, sizeof *samples), start, end, first, last, before;
    double scale;

    if (!samples) fail("out of memory");
    make_name(&name, text);
    memset(&attributes, 0, sizeof attributes);
    attributes.MaxMessageLength = LIMIT;
    expect(NtAlpcConnectPort(&port, &name.string, NULL, &attributes, ALPC_SYNC_CONNECTION, NULL, NULL, NULL, NULL, NULL,
                             guard_timeout(&guard)), STATUS_SUCCESS, "NtAlpcConnectPort");
    for (unsigned i = 0; i < rounds / 10 + 1; i++) send_ping(&message, payload);
    start = clock_ns();
    first = before = last = ticks();
    for (unsigned i = 0; i < rounds; i++) {
        send_ping(&message, payload);
        last = ticks();
        samples[i] = last - before;
        before = last;
        if (!(i & 255)) guard_progress();
    }
    end = clock_ns();
    scale = (double)(end - start) / (double)(last - first);
    qsort(samples, rounds, sizeof *samples, compare);
    say("rounds=%u payload=%u p50_ns=%.0f p90_ns=%.0f p99_ns=%.0f p999_ns=%.0f", rounds, payload, (double)samples[rounds / 2] * scale,
        (double)samples[rounds * 9ull / 10] * scale, (double)samples[rounds * 99ull / 100] * scale,
        (double)samples[rounds * 999ull / 1000] * scale);
    if (stop) {
        memset(&message.header, 0, sizeof message.header);
        message.header.u1.s1.TotalLength = sizeof message.header;
        expect(NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_RELEASE_MESSAGE, &message.header, NULL, NULL, NULL, NULL, NULL),
               STATUS_SUCCESS, "the last datagram");
    }
    expect(NtClose(port), STATUS_SUCCESS, "NtClose");
    free(samples);
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    unsigned rounds = 20000, payload = 32, seconds = 20;
    int serving = 0, stop = 0;
    const struct program_option options[] = {
        { "--port", OPTION_TEXT, &name, 1, 0, 0 },
        { "--serve", OPTION_SWITCH, &serving, 0, 0, 0 },
        { "--rounds", OPTION_NUMBER, &rounds, 0, 1, 10000000 },
        { "--payload", OPTION_NUMBER, &payload, 0, 0, LIMIT - sizeof(PORT_MESSAGE) },
        { "--stop", OPTION_SWITCH, &stop, 0, 0, 0 },
        { "--guard", OPTION_NUMBER, &seconds, 0, 1, 3600 },
    };

    program_role = "pingpong";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    guard_start(seconds);
    if (serving) serve(name);
    else measure(name, rounds, payload, stop);
    return 0;
}
