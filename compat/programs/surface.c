/* The whole surface: small checks of every call and every attribute, the same text for Windows and for Linux.
 *
 *   surface                     runs every check; starts itself once more as the other side of the checks that need two processes
 *   surface --only TEXT         runs the checks whose names begin so
 *   surface --list              prints each check with what it covers
 *   surface --strict            takes only what the reference prefers where its sources disagree; for ntlpc itself
 *   surface --serve NAME        is the other side of the crossing checks, on that port, until a client says it is done
 *   surface --cross NAME        runs the crossing checks alone, against a server that was started so, perhaps in another world
 *
 * Each check prints "ok NAME", "not ok NAME: got STATUS_X, expected STATUS_Y at FILE:LINE" or "skip NAME: why". The last line is
 * "N ok, N not ok". The exit status is 0 only when nothing was not ok. */
#include "surface.h"

#include <setjmp.h>
#include <stdarg.h>

int strict;

static const struct check_group *const groups[] = {
    &attributes_group, &ports_group, &messages_group, &lpc_group, &callbacks_group, &request_data_group, &lpc_views_group, &sections_group,
    &handles_group, &contexts_group, &reserves_group, &cancel_group, &information_group, &completion_group, &completion_list_group,
    &thread_pool_group, &impersonation_group, &sender_group, &waits_group, &cross_group,
};
#define GROUP_COUNT (sizeof groups / sizeof *groups)

/* ---- One check ---- */

static jmp_buf check_end;
static const char *volatile check_name = "start";
static volatile unsigned check_progress;
static unsigned ok_count, not_ok_count, guard_seconds = 40;

static void print_line(const char *format, va_list arguments)
{
    char line[700];
    int used = vsnprintf(line, sizeof line - 1, format, arguments);

    if (used < 0) used = 0;
    if (used > (int)sizeof line - 2) used = (int)sizeof line - 2;
    line[used++] = '\n';
    fwrite(line, 1, (size_t)used, stdout);
    fflush(stdout);
}

void say_check(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
}

enum { RUNNING, FAILED, LEFT_OUT };

void give_up(const char *file, int line, const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say_check("not ok %s: %s at %s:%d", check_name, text, file, line);
    longjmp(check_end, FAILED);
}

void leave_out(const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say_check("skip %s: %s", check_name, text);
    longjmp(check_end, LEFT_OUT);
}

void expect_status(NTSTATUS status, const NTSTATUS *wanted, size_t count, const char *file, int line)
{
    guard_progress();
    for (size_t i = 0; i < (strict ? 1 : count); i++) if (status == wanted[i]) return;
    give_up(file, line, "got %s, expected %s", status_name(status), status_name(wanted[0]));
}

void expect_either(NTSTATUS status, NTSTATUS first, NTSTATUS second, const char *file, int line)
{
    expect_status(status, status == second ? &second : &first, 1, file, line);
}

void expect_error(NTSTATUS status, const char *file, int line)
{
    guard_progress();
    if (NT_SUCCESS(status)) give_up(file, line, "got %s, expected a failure", status_name(status));
    if (status == STATUS_NOT_IMPLEMENTED) give_up(file, line, "got STATUS_NOT_IMPLEMENTED, expected a failure with a reason");
}

void expect_true(int holds, const char *condition, const char *file, int line)
{
    if (!holds) give_up(file, line, "not so: %s", condition);
}

void expect_same(unsigned long long value, unsigned long long wanted, const char *what, const char *file, int line)
{
    if (value != wanted) give_up(file, line, "got 0x%llx for %s, expected 0x%llx", value, what, wanted);
}

static void run_check(const struct check *check)
{
    int outcome;

    check_name = check->name;
    guard_progress();
    outcome = setjmp(check_end);
    if (outcome == RUNNING) {
        check->run();
        say_check("ok %s", check->name);
        ok_count++;
    } else if (outcome == FAILED) {
        not_ok_count++;
    }
    guard_progress();
    if (setjmp(check_end) == RUNNING) take_down();
    else not_ok_count++;
}

int try_to(const char *name, void (*body)(void *argument), void *argument)
{
    check_name = name;
    if (setjmp(check_end) != RUNNING) return 0;
    body(argument);
    return 1;
}

/* A check that hangs has its handles closed, which ends most waits; if that does not help, the run ends with it. */
static void guard_body(void *argument)
{
    unsigned seen = 0, still = 0;

    (void)argument;
    for (;;) {
        sleep_ms(500);
        if (progress_count() != seen) { seen = progress_count(); still = 0; continue; }
        if (++still == guard_seconds) release_handles();
        if (still < guard_seconds * 2) continue;
        say_check("not ok %s: nothing happened for %u seconds", check_name, guard_seconds);
        say_check("%u ok, %u not ok", ok_count, not_ok_count + 1);
        exit_now(3);
    }
}

static void list_checks(void)
{
    for (size_t g = 0; g < GROUP_COUNT; g++)
        for (size_t i = 0; i < groups[g]->count; i++)
            printf("%s\t%s\t%s\n", groups[g]->noun, groups[g]->checks[i].name, groups[g]->checks[i].covers);
}

static int finish(void)
{
    say_check("%u ok, %u not ok", ok_count, not_ok_count);
    return not_ok_count || !ok_count ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *only = "", *serve = NULL, *cross = NULL;
    int list = 0;
    const struct program_option options[] = {
        { "--list", OPTION_SWITCH, &list, 0, 0, 0 },
        { "--strict", OPTION_SWITCH, &strict, 0, 0, 0 },
        { "--only", OPTION_TEXT, &only, 0, 0, 0 },
        { "--serve", OPTION_TEXT, &serve, 0, 0, 0 },
        { "--cross", OPTION_TEXT, &cross, 0, 0, 0 },
        { "--guard", OPTION_NUMBER, &guard_seconds, 0, 1, 3600 },
    };

    program_role = "surface";
    read_options(argc, argv, options, sizeof options / sizeof *options);
    if (list) { list_checks(); return 0; }
    find_host_calls();
    if (serve) return cross_serve(serve);
    thread_start(guard_body, NULL);
    cross_port = cross;
    for (size_t g = 0; g < GROUP_COUNT; g++) {
        if (cross && groups[g] != &cross_group) continue;
        for (size_t i = 0; i < groups[g]->count; i++)
            if (!strncmp(groups[g]->checks[i].name, only, strlen(only))) run_check(&groups[g]->checks[i]);
    }
    cross_end();
    return finish();
}
