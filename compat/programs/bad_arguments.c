/* Every call, with arguments of which some are bad, a hundred thousand times: no crash, no hang, no leak.
 *
 *   bad_arguments --functions compat/functions.csv --host-functions compat/host-functions.csv
 *       [--calls 100000] [--seed 1] [--only NAME] [--trace] [--table]
 *
 * The same seed makes the same calls, as far as they do not depend on time. A call that hangs is ended by closing its ports; one
 * that does not end then ends the program, which says which call it was. So does a crash. Before and after the calls the process
 * has as many descriptors, mappings and handles. */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "bad_arguments.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

int failures;

#define CALLS_OF_A_POOL 400u
#define PATIENCE_MS 30u
#define HANG_MS 20000u

/* ---- The call under way ---- */

static struct { const struct call *call; uint64_t arguments[MOST_PARAMETERS]; unsigned long long number; } current;
static volatile unsigned long long serial;      /* odd while a call runs */
static volatile int releasing;
static unsigned seed = 1;

static void describe(const char *what)
{
    char line[700];
    int used = snprintf(line, sizeof line, "bad_arguments: %s in call %llu with seed %u: %s(", what, current.number, seed, current.call ? current.call->name : "?");
    for (unsigned i = 0; current.call && i < current.call->count; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, "%s0x%llx", i ? ", " : "", (unsigned long long)current.arguments[i]);
    snprintf(line + used, sizeof line - (size_t)used, ")\n");
    fputs(line, stdout);
    fflush(stdout);
}

#ifdef _WIN32

static LONG WINAPI crashed(EXCEPTION_POINTERS *pointers)
{
    (void)pointers;
    describe("FAILED: crash");
    end_server();
    TerminateProcess(GetCurrentProcess(), 4);
    return 0;
}

static void catch_crashes(void) { SetUnhandledExceptionFilter(crashed); }


#else

static void crashed(int number)
{
    (void)number;
    describe("FAILED: crash");
    _exit(4);
}

static void catch_crashes(void)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT };
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = crashed;
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
}


#endif

/* Ends calls that wait, and the program when one does not end. */
static void monitor(void *argument)
{
    unsigned long long seen = 0;
    unsigned still = 0;

    (void)argument;
    for (;;) {
        unsigned long long now;
        sleep_ms(5);
        now = serial;
        if (now != seen || !(now & 1)) { seen = now; still = 0; continue; }
        still += 5;
        if (still == PATIENCE_MS) {
            releasing = 1;
            if (serial == now) release_pool();
            releasing = 0;
        }
        if (still >= HANG_MS) { describe("FAILED: hang"); end_server(); exit_now(3); }
    }
}

/* ---- One call ---- */

typedef uint64_t (NTAPI *function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static int table, trace;

static void make_call(struct call *call)
{
    uint64_t *a = current.arguments, result;
    /* Mostly one is bad; sometimes all are good, or several bad. */
    unsigned bad = CHANCE(30) ? 0 : CHANCE(70) ? 1 : 1 + random_below(3);

    memset(current.arguments, 0, sizeof current.arguments);
    current.call = call;
    current.number++;
    make_arguments(call, a, bad);
    if (trace) describe("call");
    serial++;
    result = ((function)call->function)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10]);
    serial++;
    call->calls++;
    if (call->returns_status) {
        if (NT_SUCCESS((NTSTATUS)result)) call->successes++; else call->failures++;
        if ((NTSTATUS)result == STATUS_NOT_IMPLEMENTED && strcmp(call->kind, "wrapped") && !call->not_implemented++) complain("%s answers STATUS_NOT_IMPLEMENTED", call->name);
    }
    settle(call, a, result);
}

/* ---- What a call gave ---- */

static int is(const struct parameter *parameter, const char *type) { return !strcmp(parameter->type, type); }

static void close_handle(uint64_t handle)
{
    if (handle) NtClose((HANDLE)(uintptr_t)handle);
}

static void keep_value(ALPC_HANDLE value)
{
    if (pool.value_count < sizeof pool.values / sizeof *pool.values) pool.values[pool.value_count++] = value;
}

/* Handles that came with a message. */
static void close_received(const struct call *call, unsigned i, const uint64_t *arguments)
{
    ALPC_MESSAGE_ATTRIBUTES *buffer = good_output(i, arguments, 160);
    ALPC_HANDLE_ATTR *record;
    if (strcmp(call->parameters[i].name, "ReceiveMessageAttributes") && strcmp(call->parameters[i].name, "InMessageAttributes")) return;
    /* A call that received nothing leaves there what was there. */
    if (strstr(call->name, "Connect") ? !(arguments[4] & ALPC_SYNC_CONNECTION) : !arguments[4]) return;
    if (!buffer || !(buffer->ValidAttributes & ALPC_MESSAGE_HANDLE_ATTRIBUTE)) return;
    record = AlpcGetMessageAttribute(buffer, ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    if (record && record->ObjectType) close_handle((uint64_t)(uintptr_t)record->Handle);
}

void settle(struct call *call, const uint64_t *arguments, uint64_t result)
{
    const int success = call->returns_status && NT_SUCCESS((NTSTATUS)result);

    for (unsigned i = 0; i < call->count; i++) {
        const struct parameter *parameter = &call->parameters[i];
        void *output = good_output(i, arguments, is(parameter, "PHANDLE") || parameter->type[strlen(parameter->type) - 1] == '*' ? 8 : 64);
        uint64_t value = 0;

        if (!output) continue;
        memcpy(&value, output, sizeof value);
        if (is(parameter, "PHANDLE") && parameter->marks & PARAMETER_OUT) {
            if (value == MARKER) continue;
            if (success) close_handle(value);
            /* What the system's own calls do is theirs. */
            else if (!ON_WINDOWS || strcmp(call->kind, "wrapped")) complain("%s gave %s and wrote a handle", call->name, status_name((NTSTATUS)result));
        } else if (is(parameter, "PVOID*") && success && !strcmp(call->name, "NtMapViewOfSection")) {
            host.unmap_view(NtCurrentProcess(), (PVOID)(uintptr_t)value);
        } else if (is(parameter, "PALPC_HANDLE") && success) {
            keep_value((ALPC_HANDLE)(uintptr_t)value);
        } else if (is(parameter, "PTP_ALPC*") && success) {
            unsigned k = pool.completions_of_pool[0] ? 1 : 0;
            if (pool.completions_of_pool[k]) TpReleaseAlpcCompletion((PTP_ALPC)(uintptr_t)value);
            else pool.completions_of_pool[k] = (PTP_ALPC)(uintptr_t)value;
        } else if (is(parameter, "PALPC_DATA_VIEW_ATTR") && success) {
            PVOID base = ((ALPC_DATA_VIEW_ATTR *)output)->ViewBase;
            if (pool.view_count < sizeof pool.views / sizeof *pool.views) pool.views[pool.view_count++] = base;
        } else if (is(parameter, "PALPC_SECURITY_ATTR") && success) {
            keep_value(((ALPC_SECURITY_ATTR *)output)->ContextHandle);
        } else if (!strcmp(parameter->name, "ResourceId") && success) {
            if (pool.reserve_count < sizeof pool.reserves / sizeof *pool.reserves) pool.reserves[pool.reserve_count++] = (ULONG)value;
        } else if (is(parameter, "PPORT_MESSAGE") && success) {
            note_id(((PORT_MESSAGE *)output)->MessageId);
        } else if (is(parameter, "PALPC_MESSAGE_ATTRIBUTES") && success && (NTSTATUS)result == STATUS_SUCCESS) {
            close_received(call, i, arguments);
        } else if (!strcmp(parameter->name, "MessageInformation") && success && arguments[2] == AlpcMessageHandleInformation) {
            close_handle(((ALPC_MESSAGE_HANDLE_INFORMATION *)output)->Handle);
        }
    }
    if (!strcmp(call->name, "TpReleaseAlpcCompletion"))
        for (unsigned k = 0; k < 2; k++) if (arguments[0] && pool.completions_of_pool[k] == (PTP_ALPC)(uintptr_t)arguments[0]) pool.completions_of_pool[k] = NULL;
    if (success && strstr(call->name, "Impersonate")) stop_impersonating();
}

/* ---- Rounds ---- */

struct round { const char *only; unsigned calls; };

/* In a thread of its own, since what a thread registers with a port lives as long as the thread. */
static void run_round(void *argument)
{
    const struct round *round = argument;

    make_pool();
    for (unsigned i = 0; i < round->calls && !pool.dead; i++) {
        struct call *call;
        do call = &calls[random_below(call_count)]; while (strncmp(call->name, round->only, strlen(round->only)));
        make_call(call);
        if (CHANCE(5) && !pool.dead) stir_pool();
        guard_progress();
    }
    if (!server_lives()) complain("the server did not outlive call %llu", current.number);
    while (releasing) sleep_ms(1);
    close_pool();
}

static unsigned long long run_rounds(const char *only, unsigned long long wanted)
{
    unsigned long long begun = current.number;
    while (current.number - begun < wanted) {
        unsigned long long left = wanted - (current.number - begun);
        struct round round = { only, left < CALLS_OF_A_POOL ? (unsigned)left : CALLS_OF_A_POOL };
        thread_join(thread_start(run_round, &round));
    }
    return current.number - begun;
}

/* ---- What there is before and after ---- */

static unsigned count_handles(void)
{
    ULONG basic[20], length = 0;
    unsigned count = 0;
    for (uintptr_t handle = 4; handle < 0x4000; handle += 4)
        if (NT_SUCCESS(host.query_object((HANDLE)handle, 0, basic, 56, &length))) count++;
    return count;
}

void take_census(struct census *census)
{
    memset(census, 0, sizeof *census);
    census->handles = count_handles();
#ifndef _WIN32
    {
        DIR *directory = opendir("/proc/self/fd");
        FILE *maps = fopen("/proc/self/maps", "r");
        int character;
        while (directory && readdir(directory)) census->descriptors++;
        if (directory) closedir(directory);
        while (maps && (character = fgetc(maps)) != EOF) census->mappings += character == '\n';
        if (maps) fclose(maps);
    }
#endif
}

/* What is there too much, for whoever looks for it: handles with their types, and natively what descriptors stand for. */
static void list_rest(void)
{
    union { UNICODE_STRING name; unsigned char bytes[400]; } type;
    ULONG length = 0;
    char text[60];

    for (uintptr_t handle = 4; handle < 0x4000; handle += 4) {
        if (!NT_SUCCESS(host.query_object((HANDLE)handle, 2, &type, sizeof type, &length))) continue;
        for (unsigned i = 0; i < 59u && i < type.name.Length / 2u; i++) { text[i] = (char)type.name.Buffer[i]; text[i + 1] = 0; }
        say("handle 0x%llx is left: %s", (unsigned long long)handle, text);
    }
#ifndef _WIN32
    for (int descriptor = 3; descriptor < 4096; descriptor++) {
        char path[40], target[200];
        ssize_t size;
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        size = readlink(path, target, sizeof target - 1);
        if (size > 0) say("descriptor %d is left: %.*s", descriptor, (int)size, target);
    }
#endif
}

static int more_than(const struct census *now, const struct census *before)
{
    /* Allocators keep a few mappings. */
    return now->descriptors > before->descriptors || now->handles > before->handles || now->mappings > before->mappings + 16;
}

int main(int argc, char **argv)
{
    const char *functions = NULL, *host_functions = NULL, *only = "", *served = NULL;
    unsigned wanted = 100000;
    unsigned long long made;
    struct census before, after;
    const struct program_option options[] = {
        { "--functions", OPTION_TEXT, &functions, 0, 0, 0 },
        { "--host-functions", OPTION_TEXT, &host_functions, 0, 0, 0 },
        { "--serve", OPTION_TEXT, &served, 0, 0, 0 },
        { "--calls", OPTION_NUMBER, &wanted, 0, 1, 1000000000 },
        { "--seed", OPTION_NUMBER, &seed, 0, 0, 1000000000 },
        { "--only", OPTION_TEXT, &only, 0, 0, 0 },
        { "--trace", OPTION_SWITCH, &trace, 0, 0, 0 },
        { "--table", OPTION_SWITCH, &table, 0, 0, 0 },
    };

    program_role = "bad_arguments";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    if (served) return serve(served);
    if (!functions || !host_functions) usage_error("--functions and --host-functions are missing");
    catch_crashes();
    find_host_calls();
    read_calls(functions, " syscall rtl tp ");
    read_calls(host_functions, ON_WINDOWS ? " wrapped " : " wrapped host ");
    find_calls();
    seed_random(seed);
    make_slots();
    start_server();
    say("seed %u, %u calls", seed, call_count);
    guard_start(120);
    thread_start(monitor, NULL);
    /* What is made once and kept is made before the first count. */
    run_rounds(only, wanted / 10 < 4000 ? wanted / 10 : 4000);
    take_census(&before);
    made = run_rounds(only, wanted);
    take_census(&after);
    for (unsigned tries = 0; tries < 100 && more_than(&after, &before); tries++) { sleep_ms(50); take_census(&after); }
    if (more_than(&after, &before)) list_rest();
    if (more_than(&after, &before))
        complain("leak: %u descriptors, %u mappings, %u handles before; %u, %u, %u after", before.descriptors, before.mappings, before.handles,
                 after.descriptors, after.mappings, after.handles);
    if (table)
        for (unsigned i = 0; i < call_count; i++)
            say("%-45s %7llu calls, %7llu successes, %7llu failures", calls[i].name, calls[i].calls, calls[i].successes, calls[i].failures);
    for (unsigned i = 0; i < call_count; i++) if (!*only && made >= 100000 && calls[i].calls < 100) complain("%s was called %llu times only", calls[i].name, calls[i].calls);
    if (!server_lives()) complain("the server did not outlive the calls");
    end_server();
    say("%llu calls, %d complaints", made, failures);
    return failures != 0;
}
