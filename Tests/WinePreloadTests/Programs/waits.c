/* Waits of the core's for any handle, and APCs that interrupt them. */
#include "probe.h"

static int apcs;
static void CALLBACK on_apc(ULONG_PTR amount) { apcs += (int)amount; }
static ULONG returned;

static NTSTATUS wait_for(HANDLE handle, ULONG alertable, LONGLONG timeout) {
    core_request request = { .handle = handle, .options = alertable, .timeout = timeout };
    NTSTATUS status = use(WAIT, &request);
    returned = request.count;
    return status;
}

static DWORD WINAPI queue_later(void *thread) {
    Sleep(100);
    return QueueUserAPC(on_apc, thread, 100);
}

int main(void) {
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL), self, waitable = make_port(1);
    DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &self, 0, FALSE, DUPLICATE_SAME_ACCESS);
    CHECK(wait_for(event, 0, -10000) == STATUS_TIMEOUT && wait_for(event, 1, -10000) == STATUS_TIMEOUT);
    SetEvent(event);
    CHECK(wait_for(event, 0, 0) == STATUS_SUCCESS && wait_for(event, 1, 0) == STATUS_SUCCESS);
    CHECK(FAILS(wait_for(AS_POINTER(0x55550), 0, 0), STATUS_INVALID_HANDLE));
    ResetEvent(event);

    /* One that was there before, one that comes meanwhile; a wait that is not alertable leaves them alone. */
    CHECK(QueueUserAPC(on_apc, self, 1) && wait_for(event, 0, -10000) == STATUS_TIMEOUT && apcs == 0);
    CHECK(wait_for(event, 1, 0) == STATUS_USER_APC && apcs == 1);
    ULONG before = returned;
    HANDLE other = CreateThread(NULL, 0, queue_later, self, 0, NULL);
    CHECK(wait_for(event, 1, 0) == STATUS_USER_APC && apcs == 101);
    WaitForSingleObject(other, INFINITE);
    /* The core's frames went on after the interruption: it counted that wait too. */
    CHECK(wait_for(event, 1, -1) == STATUS_TIMEOUT && returned == before + 2);
    for (int i = 0; i < 500; i++) {
        QueueUserAPC(on_apc, self, 1);
        QueueUserAPC(on_apc, self, 1);
        if (wait_for(event, 1, 0) != STATUS_USER_APC) failed_checks++;
        if (wait_for(event, 1, -1) != STATUS_TIMEOUT) failed_checks++;
    }
    CHECK(failed_checks == 0 && apcs == 1101);
    core(SIGNAL_FROM_OUTSIDE, NULL, NULL, NULL);
    CHECK(wait_for(waitable, 1, 0) == STATUS_SUCCESS);
    return failed_checks;
}
