/* Threads of the program's process that the program did not make, and the end of a process that has no others.
 *
 * A Windows process ends with its last thread. The helper never returns, and a worker sleeps until there is work: neither may keep
 * a process alive. So each of our threads has a slot that says whether it is idle, and a process in which all threads but the one
 * that asks are ours and idle has no others. A worker that runs a callback counts as the program's until the callback returns.
 *
 * Two roads lead to the end. A thread that returns asks whether it is the last one (ThreadAmILastThread), and hooks.c lets it
 * hear yes. Two that return at the same moment both hear no, one that is terminated never asks, and a callback may outlast all of
 * them: for those the helper looks. Whoever ends a thread rings, and so does a worker that becomes idle after a look that found
 * only threads of ours:
 *   A1 (helper)  waits_for_idle = 1         B1 (worker)  slot = idle
 *   A2 (helper)  reads the slots            B2 (worker)  reads waits_for_idle, rings if it is 1
 * All four are sequentially consistent: either A2 sees B1 or B2 sees A1. */
#include "wine_preload.h"

#if defined(__x86_64__)

#define SLOT_COUNT 256u                 /* a thread of ours that finds none counts as the program's */
#define IDLE (1ull << 32)               /* beside the thread's id */

static uint64_t slots[SLOT_COUNT];
static uint32_t waits_for_idle;
static uint32_t thread_has_ended;       /* since the helper last asked for news */
static NTSTATUS last_status;            /* of the thread that went last: the process's */

static uint64_t *slot_of(uint32_t thread) {
    for (uint32_t i = 0; i < SLOT_COUNT; i++)
        if ((uint32_t)__atomic_load_n(&slots[i], __ATOMIC_SEQ_CST) == thread) return &slots[i];
    return NULL;
}

bool own_thread_add(uint32_t thread) {
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        uint64_t none = 0;
        if (__atomic_compare_exchange_n(&slots[i], &none, thread, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return true;
    }
    return false;
}

static uint32_t current_thread(void) { return (uint32_t)(uintptr_t)current_client_id().UniqueThread; }

void own_thread_begin(void) { wine_thread_current.own = slot_of(current_thread()); }

void own_thread_is_idle(bool idle) {
    uint64_t *slot = wine_thread_current.own;
    if (!slot) return;
    __atomic_store_n(slot, current_thread() | (idle ? IDLE : 0), __ATOMIC_SEQ_CST);                     /* B1 */
    if (idle && UNLIKELY(__atomic_exchange_n(&waits_for_idle, 0, __ATOMIC_SEQ_CST))) {                  /* B2 */
        __atomic_store_n(&thread_has_ended, 1, __ATOMIC_RELEASE);
        helper_ring();
    }
}

void own_thread_end(void) {
    uint64_t *slot = wine_thread_current.own;
    wine_thread_current.own = NULL;
    if (slot) __atomic_store_n(slot, 0, __ATOMIC_SEQ_CST);
}

/* What the threads of this process are, but for the calling one */
typedef enum company { NOBODY, OURS_AT_WORK, THE_PROGRAMS } company;

/* A thread that has ended is listed for as long as anybody has a handle of it. */
static bool has_ended(HANDLE thread) {
    const LARGE_INTEGER at_once = { .QuadPart = 0 };
    return wine_NtWaitForSingleObject(thread, FALSE, &at_once) == STATUS_WAIT_0;
}

static company kind_of(HANDLE thread) {
    CLIENT_ID id;
    if (wine_thread_id(thread, &id) < 0) return THE_PROGRAMS;
    if ((uint32_t)(uintptr_t)id.UniqueThread == current_thread()) return NOBODY;
    uint64_t *slot = slot_of((uint32_t)(uintptr_t)id.UniqueThread);
    if (!slot) return has_ended(thread) ? NOBODY : THE_PROGRAMS;
    return __atomic_load_n(slot, __ATOMIC_SEQ_CST) & IDLE ? NOBODY : OURS_AT_WORK;                      /* A2 */
}

static company find_company(void) {
    HANDLE thread = NULL, next;
    company found = NOBODY;
    while (found != THE_PROGRAMS &&
           wine_NtGetNextThread(NtCurrentProcess(), thread, THREAD_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, 0, 0, &next) >= 0) {
        if (thread) wine_NtClose(thread);
        thread = next;
        company kind = kind_of(thread);
        if (kind > found) found = kind;
    }
    if (thread) wine_NtClose(thread);
    return found;
}

bool own_threads_are_all_others(void) { return find_company() == NOBODY; }

void own_threads_one_ends(NTSTATUS status) {
    __atomic_store_n(&last_status, status, __ATOMIC_RELAXED);
    __atomic_store_n(&thread_has_ended, 1, __ATOMIC_RELEASE);
    helper_ring();
}

bool own_threads_have_news(void) { return __atomic_exchange_n(&thread_has_ended, 0, __ATOMIC_ACQUIRE); }

void own_threads_end_process_if_alone(void) {
    __atomic_store_n(&waits_for_idle, 1, __ATOMIC_SEQ_CST);                                             /* A1 */
    company found = find_company();
    if (found == NOBODY) wine_NtTerminateProcess(NtCurrentProcess(), __atomic_load_n(&last_status, __ATOMIC_RELAXED));
    if (found == THE_PROGRAMS) __atomic_store_n(&waits_for_idle, 0, __ATOMIC_SEQ_CST);
}

#endif
