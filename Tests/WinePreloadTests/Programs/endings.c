/* Ways in which a process ends; the argument says which. The exit code is the proof. */
#include "probe.h"

static DWORD WINAPI blocked(void *unused) { (void)unused; return (DWORD)core(BLOCK, NULL, NULL, NULL); }
static DWORD WINAPI sleeper(void *unused) { (void)unused; Sleep(100); return 4; }

static DWORD WINAPI terminator(void *thread) {
    Sleep(100);
    TerminateThread(thread, 9);
    return 8;
}

/* ---- With workers ---- */

static void start_workers(int count) {
    for (int i = 0; i < count; i++) CHECK(use(START_WORKER, &(core_request){ 0 }) == STATUS_SUCCESS);
}
static void push(void *function) { use(PUSH_WORK, &(core_request){ .function = function }); }

static void CALLBACK sleep_long(void) { Sleep(3000); }
static void CALLBACK print_and_sleep(void) {
    Sleep(3000);
    puts("the callback has ended");
    fflush(stdout);
}
static void CALLBACK exit_thread(void) {
    Sleep(200);
    ExitThread(12);
}
static void CALLBACK exit_process(void) { ExitProcess(11); }
static void CALLBACK fault(void) { *(volatile int *)8 = 1; }
static LONG CALLBACK on_unhandled(EXCEPTION_POINTERS *exception) {
    ExitProcess(exception->ExceptionRecord->ExceptionCode == (DWORD)EXCEPTION_ACCESS_VIOLATION ? 21 : 22);
}

int main(int count, char **arguments) {
    const char *way = count > 1 ? arguments[1] : "";
    make_port(1);
    if (!strcmp(way, "ExitProcess with blocked threads")) {
        for (int i = 0; i < 8; i++) CreateThread(NULL, 0, blocked, NULL, 0, NULL);
        Sleep(100);
        ExitProcess(3);
    }
    if (!strcmp(way, "ExitThread of the only thread")) ExitThread(5);
    if (!strcmp(way, "ExitThread before another's")) {
        CreateThread(NULL, 0, sleeper, NULL, 0, NULL);
        ExitThread(5);
    }
    if (!strcmp(way, "ExitThread of eight at once")) {
        for (int i = 0; i < 7; i++) CreateThread(NULL, 0, sleeper, NULL, 0, NULL);
        Sleep(100);
        ExitThread(4);
    }
    if (!strcmp(way, "TerminateThread of the only thread")) TerminateThread(GetCurrentThread(), 6);
    if (!strcmp(way, "a trap in the core")) core(TRAP, NULL, NULL, NULL);
    if (!strcmp(way, "a stray write in the core")) core(STRAY_WRITE, NULL, NULL, NULL);

    if (!strcmp(way, "ExitProcess with idle workers")) {
        start_workers(8);
        ExitProcess(13);
    }
    if (!strcmp(way, "ExitProcess with workers in callbacks")) {
        start_workers(4);
        for (int i = 0; i < 4; i++) push(sleep_long);
        Sleep(100);
        ExitProcess(14);
    }
    if (!strcmp(way, "ExitThread beside idle workers")) {
        start_workers(4);
        Sleep(300);
        ExitThread(15);
    }
    if (!strcmp(way, "ExitThread beside workers that just start")) {
        start_workers(4);
        ExitThread(16);
    }
    if (!strcmp(way, "ExitThread before a callback ends")) {
        start_workers(2);
        push(print_and_sleep);
        Sleep(100);
        ExitThread(17);
    }
    if (!strcmp(way, "ExitThread in a callback, last of all")) {
        start_workers(2);
        push(exit_thread);
        ExitThread(18);
    }
    if (!strcmp(way, "ExitProcess in a callback")) {
        start_workers(2);
        push(exit_process);
        Sleep(INFINITE);
    }
    if (!strcmp(way, "TerminateThread beside idle workers")) {
        start_workers(2);
        Sleep(100);
        HANDLE self;
        DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &self, 0, FALSE, DUPLICATE_SAME_ACCESS);
        CreateThread(NULL, 0, terminator, self, 0, NULL);
        Sleep(INFINITE);
    }
    if (!strcmp(way, "an unhandled exception in a callback")) {
        SetUnhandledExceptionFilter(on_unhandled);
        start_workers(1);
        push(fault);
        Sleep(INFINITE);
    }
    return 99;
}
