/* Packets that a completion port gets from threads of both kinds. */
#include "probe.h"

#define MANY 10000u

static NTSTATUS reference(HANDLE port) {
    core_request request = { .handle = port };
    return use(REFERENCE_COMPLETION, &request);
}

static NTSTATUS post(enum core_double_operation how, ULONG first, ULONG count, NTSTATUS status) {
    core_request request = { .key = AS_POINTER(0x123456789abc), .first = first, .count = count, .status = status };
    return use(how, &request);
}

/* The next packet, if it is that one. */
static int receives(HANDLE port, ULONG number) {
    ULONG_PTR key = 0;
    OVERLAPPED *value = NULL;
    DWORD bytes = 0;
    return GetQueuedCompletionStatus(port, &bytes, &key, &value, 10000) && key == 0x123456789abc && value == AS_POINTER(number) && bytes == number + 1;
}

static int receives_all(HANDLE port, ULONG from, ULONG to) {
    for (ULONG i = from; i < to; i++) if (!receives(port, i)) return 0;
    return 1;
}

static int is_empty(HANDLE port) {
    ULONG_PTR key;
    OVERLAPPED *value;
    DWORD bytes;
    return !GetQueuedCompletionStatus(port, &bytes, &key, &value, 0) && GetLastError() == WAIT_TIMEOUT;
}

/* Either half in order, mixed with the other. */
static int receives_both_halves(HANDLE port, ULONG count) {
    ULONG next[2] = { 0, count / 2 };
    for (ULONG i = 0; i < count; i++) {
        ULONG_PTR key;
        OVERLAPPED *value = NULL;
        DWORD bytes = 0;
        if (!GetQueuedCompletionStatus(port, &bytes, &key, &value, 10000)) return 0;
        if (bytes != (ULONG)(uintptr_t)value + 1 || (ULONG)(uintptr_t)value != next[(uintptr_t)value >= count / 2]++) return 0;
    }
    return next[0] == count / 2 && next[1] == count;
}

static void check_order(HANDLE port) {
    CHECK(post(POST, 1, MANY, STATUS_SUCCESS) == STATUS_SUCCESS && receives_all(port, 1, MANY + 1) && is_empty(port));
    CHECK(post(POST_FROM_OUTSIDE, 1, MANY, STATUS_SUCCESS) == STATUS_SUCCESS && receives_all(port, 1, MANY + 1) && is_empty(port));
    CHECK(post(POST_FROM_BOTH, 1, MANY, STATUS_SUCCESS) == STATUS_SUCCESS && receives_all(port, 1, MANY + 1) && is_empty(port));
    CHECK(post(POST_IN_A_RACE, 0, MANY, STATUS_SUCCESS) == STATUS_SUCCESS && receives_both_halves(port, MANY) && is_empty(port));
}

static void check_statuses(HANDLE port) {
    ULONG_PTR key;
    OVERLAPPED *value;
    DWORD bytes;
    CHECK(post(POST, 5, 1, STATUS_PORT_DISCONNECTED) == STATUS_SUCCESS);
    CHECK(!GetQueuedCompletionStatus(port, &bytes, &key, &value, 1000) && value == AS_POINTER(5) && GetLastError() != WAIT_TIMEOUT);
}

static void check_handles(HANDLE port) {
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL), weak, own = make_port(0);
    CHECK(FAILS(reference(event), STATUS_OBJECT_TYPE_MISMATCH) && FAILS(reference(own), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(FAILS(reference(AS_POINTER(0x55550)), STATUS_INVALID_HANDLE) && FAILS(reference(NULL), STATUS_INVALID_HANDLE));
    CHECK(FAILS(reference(GetCurrentProcess()), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(DuplicateHandle(GetCurrentProcess(), port, GetCurrentProcess(), &weak, 1, FALSE, 0) && FAILS(reference(weak), STATUS_ACCESS_DENIED));
}

static DWORD handles(void) { DWORD count = 0; GetProcessHandleCount(GetCurrentProcess(), &count); return count; }

int main(void) {
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0), other;
    DWORD before;
    check_handles(port);
    CHECK(reference(port) == STATUS_SUCCESS);
    check_order(port);
    check_statuses(port);

    /* The program's handle may go: another of its own still sees the packets. */
    DuplicateHandle(GetCurrentProcess(), port, GetCurrentProcess(), &other, 0, FALSE, DUPLICATE_SAME_ACCESS);
    CloseHandle(port);
    CHECK(post(POST, 1, 3, STATUS_SUCCESS) == STATUS_SUCCESS && receives_all(other, 1, 4));
    CHECK(post(POST_FROM_OUTSIDE, 1, MANY, STATUS_SUCCESS) == STATUS_SUCCESS);
    CHECK(use(RELEASE_COMPLETION, &(core_request){ 0 }) == STATUS_SUCCESS && receives_all(other, 1, MANY + 1));

    before = handles();
    for (int i = 0; i < 200; i++) {
        if (reference(other) < 0 || post(i & 1 ? POST_FROM_OUTSIDE : POST, 1, 5, STATUS_SUCCESS) < 0) failed_checks++;
        if (use(i & 2 ? RELEASE_COMPLETION_FROM_OUTSIDE : RELEASE_COMPLETION, &(core_request){ 0 }) < 0) failed_checks++;
        if (!receives_all(other, 1, 6)) failed_checks++;
    }
    for (int i = 0; i < 2000 && handles() != before; i++) Sleep(1);
    CHECK(failed_checks == 0 && handles() == before);
    return failed_checks;
}
