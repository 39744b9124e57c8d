/* Waiting on ports: the event follows what the core says, whichever thread says it. */
#include "probe.h"
#include <tlhelp32.h>

static int threads(void) {
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 entry = { .dwSize = sizeof entry };
    int count = 0;
    if (Thread32First(snapshot, &entry)) do count += entry.th32OwnerProcessID == GetCurrentProcessId(); while (Thread32Next(snapshot, &entry));
    CloseHandle(snapshot);
    return count;
}

static int is_signaled(HANDLE port) { return WaitForSingleObject(port, 0) == WAIT_OBJECT_0; }
static void tell(enum core_double_operation what) { core(what, NULL, NULL, NULL); }

/* What another thread applies arrives a little later. */
static int becomes(HANDLE port, int signaled) {
    for (int i = 0; i < 2000 && is_signaled(port) != signaled; i++) Sleep(5);
    return is_signaled(port) == signaled;
}

static DWORD WINAPI ending_thread(void *unused) {
    (void)unused;
    tell(SIGNAL_AT_THREAD_END);
    return 0;
}

/* An event of the program's: signaled each time, whoever reset it, and also when it is let go of at once. */
static NTSTATUS reference(HANDLE event) { return use(REFERENCE_EVENT, &(core_request){ .handle = event }); }

static void check_programs_event(void) {
    HANDLE event = CreateEventA(NULL, FALSE, FALSE, NULL), weak, mutex = CreateMutexA(NULL, FALSE, NULL), port = make_port(0);
    DuplicateHandle(GetCurrentProcess(), event, GetCurrentProcess(), &weak, SYNCHRONIZE, FALSE, 0);
    CHECK(FAILS(reference(weak), STATUS_ACCESS_DENIED) && FAILS(reference(mutex), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(FAILS(reference(port), STATUS_OBJECT_TYPE_MISMATCH) && FAILS(reference(AS_POINTER(0x55550)), STATUS_INVALID_HANDLE));
    CHECK(reference(event) == STATUS_SUCCESS && !is_signaled(event));
    for (int i = 0; i < 3; i++) {
        tell(SIGNAL);
        CHECK(is_signaled(event) && !is_signaled(event));
        tell(SIGNAL_FROM_OUTSIDE);
        CHECK(WaitForSingleObject(event, 10000) == WAIT_OBJECT_0 && !is_signaled(event));
    }
    tell(SIGNAL);
    tell(UNSIGNAL);
    CHECK(is_signaled(event));
    tell(CLOSE_WAITABLE);
    for (int i = 0; i < 200; i++) {
        if (reference(event) < 0) failed_checks++;
        tell(i & 1 ? SIGNAL_FROM_OUTSIDE : SIGNAL);
        tell(CLOSE_WAITABLE);
        if (WaitForSingleObject(event, 10000) != WAIT_OBJECT_0 || is_signaled(event)) failed_checks++;
    }
    CHECK(failed_checks == 0);
    reference(event);
    DuplicateHandle(GetCurrentProcess(), event, GetCurrentProcess(), &weak, 0, FALSE, DUPLICATE_SAME_ACCESS);
    CloseHandle(event);
    tell(SIGNAL_FROM_OUTSIDE);
    CHECK(WaitForSingleObject(weak, 10000) == WAIT_OBJECT_0);
    tell(CLOSE_WAITABLE);
    CloseHandle(port);
}

int main(void) {
    int before = threads();
    HANDLE plain = make_port(0), port, thread;
    CHECK(threads() == before);         /* no helper until there is a port to wait for */
    CHECK(is_signaled(plain));
    port = make_port(1);
    CHECK(threads() == before + 1);
    CHECK(!is_signaled(port));
    tell(SIGNAL);
    CHECK(is_signaled(port));
    tell(UNSIGNAL);
    CHECK(!is_signaled(port));
    tell(SIGNAL_FROM_OUTSIDE);
    CHECK(becomes(port, 1));
    tell(UNSIGNAL_FROM_OUTSIDE);
    CHECK(becomes(port, 0));
    tell(SIGNAL_IN_A_RACE);
    CHECK(becomes(port, 1));
    tell(UNSIGNAL);
    CHECK(becomes(port, 0));
    /* What the caller itself undoes is undone when it goes on, however fresh what another thread did. */
    for (int i = 0; i < 3000; i++) {
        tell(SIGNAL_FROM_OUTSIDE);
        if (WaitForSingleObject(port, 10000) != WAIT_OBJECT_0) failed_checks++;
        tell(UNSIGNAL);
        if (is_signaled(port)) failed_checks++;
    }
    CHECK(failed_checks == 0);
    thread = CreateThread(NULL, 0, ending_thread, NULL, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
    CHECK(becomes(port, 1));
    tell(CLOSE_WAITABLE);
    CHECK(CloseHandle(port) && CloseHandle(plain));
    for (int i = 0; i < 100; i++) {
        ALPC_PORT_ATTRIBUTES attributes = { 0 };
        if (NtAlpcCreatePort(&port, NULL, &attributes) < 0) failed_checks++;
        tell(i & 1 ? SIGNAL_FROM_OUTSIDE : SIGNAL);
        tell(CLOSE_WAITABLE);
        if (!CloseHandle(port)) failed_checks++;
    }
    CHECK(threads() == before + 1);
    check_programs_event();
    return failed_checks;
}
