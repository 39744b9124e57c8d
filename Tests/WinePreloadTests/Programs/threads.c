/* Suspending and ending threads inside a call. */
#include "probe.h"

static DWORD WINAPI blocked(void *unused) { (void)unused; return (DWORD)core(BLOCK, NULL, NULL, NULL); }
static DWORD WINAPI critical(void *unused) { (void)unused; return (DWORD)core(WORK_IN_CRITICAL, NULL, NULL, NULL); }
static int finished(void) { return core(COUNT_FINISHED, NULL, NULL, NULL); }

static HANDLE start(LPTHREAD_START_ROUTINE body) {
    HANDLE thread = CreateThread(NULL, 0, body, NULL, 0, NULL);
    Sleep(100);
    return thread;
}

static DWORD code_of(HANDLE thread) {
    DWORD code = 0xdead;
    WaitForSingleObject(thread, INFINITE);
    GetExitCodeThread(thread, &code);
    CloseHandle(thread);
    return code;
}

int main(void) {
    CONTEXT context = { .ContextFlags = CONTEXT_FULL };
    HANDLE thread = start(blocked);
    CHECK(TerminateThread(thread, 7) && code_of(thread) == 7);

    thread = start(blocked);
    CHECK(SuspendThread(thread) == 0 && GetThreadContext(thread, &context) && ResumeThread(thread) == 1);
    CHECK(core(RELEASE, NULL, NULL, NULL) == STATUS_SUCCESS && code_of(thread) == 0x55);

    /* In a critical section both have to wait until it ends. */
    thread = start(critical);
    CHECK(TerminateThread(thread, 8) && code_of(thread) == 8);
    for (int i = 0; i < 2000 && finished() < 1; i++) Sleep(5);
    CHECK(finished() == 1);
    thread = start(critical);
    CHECK(SuspendThread(thread) == 0);
    for (int i = 0; i < 2000 && finished() < 2; i++) Sleep(5);
    CHECK(finished() == 2);
    CHECK(ResumeThread(thread) == 1 && code_of(thread) == STATUS_SUCCESS);
    return failed_checks;
}
