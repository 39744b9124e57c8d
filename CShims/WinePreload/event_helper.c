/* Events that say whether a port has something to receive, set and reset from any thread.
 *
 * Only a thread of Wine's may call Wine: a plain one has no connection to wineserver, and its GS register still points at the
 * thread block of whoever created it. So a thread of Wine's changes the event itself, and for any other the helper does:
 * one thread, created through Wine when the process makes its first waitable port, that sleeps until an eventfd is written to.
 *
 * Changes must not overtake each other between the two roads. Each event has one word, changed only by read-modify-write:
 *   WANTED   the state that the last caller asked for
 *   APPLIED  the state that the Windows event has
 *   OWNED    somebody is at work on it, or it is in the helper's queue: nobody else touches the event
 *   CLOSED   the owner frees it
 * Whoever sets OWNED must bring APPLIED to WANTED and can let go only by a compare-and-swap that finds them equal. A caller who
 * finds OWNED set leaves: the owner will see the new WANTED. So no change is lost, and at rest the event is right.
 *
 * The helper is a thread of the program's process that the program did not make. When all others have gone it ends the
 * process, as Windows would have done; see hooks.c for the thread that asks before it goes. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#if defined(__x86_64__)

#define WANTED  1u
#define APPLIED 2u
#define OWNED   4u
#define CLOSED  8u

#define LOWEST_DESCRIPTOR 1024          /* out of the way of programs that use select() */
#define HELPER_STACK 0x10000u           /* on the Windows side, where it does nothing */
#define THREAD_CREATE_FLAGS_SKIP_THREAD_ATTACH 2u
#define THREAD_CREATE_FLAGS_HIDE_FROM_DEBUGGER 4u
#define THREAD_ALL_ACCESS 0x1fffffu
#define THREAD_AM_I_LAST_THREAD 12u
#define LONGEST_LOOK 1024               /* ms between two looks whether the others have gone; the first comes after 1 ms */

struct waitable_event {
    uint32_t state;
    HANDLE handle;                      /* ours alone: the program never sees it */
    struct waitable_event *next;        /* in the helper's queue */
};

static waitable_event *queue;           /* last in, first out: the order between events does not matter */
static int doorbell = -1;
static bool running;

bool event_helper_is_running(void) { return __atomic_load_n(&running, __ATOMIC_ACQUIRE); }

static bool is_settled(uint32_t state) { return !(state & WANTED) == !(state & APPLIED); }

/* By the owner, on a thread of Wine's. */
static void settle(waitable_event *event) {
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
    for (;;) {
        if (state & CLOSED) {
            wine_NtClose(event->handle);
            free(event);
            return;
        }
        if (is_settled(state)) {
            if (__atomic_compare_exchange_n(&event->state, &state, state & ~OWNED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return;
            continue;
        }
        if (state & WANTED) wine_NtSetEvent(event->handle, NULL); else wine_NtResetEvent(event->handle, NULL);
        state = __atomic_xor_fetch(&event->state, APPLIED, __ATOMIC_ACQ_REL);
    }
}

/* By the owner, on any thread. Ownership goes with the event. */
static void hand_to_helper(waitable_event *event) {
    static const uint64_t one = 1;
    waitable_event *first = __atomic_load_n(&queue, __ATOMIC_RELAXED);
    do event->next = first;
    while (!__atomic_compare_exchange_n(&queue, &first, event, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    /* The helper empties the queue after each read, so only the first into an empty queue need ring. */
    if (!first) while (write(doorbell, &one, sizeof one) < 0 && errno == EINTR) {}
}

static void work_on(waitable_event *event) {
    if (wine_thread_current.entered) {
        wine_critical_enter();          /* the owner must not die before it lets go */
        settle(event);
        wine_critical_leave();
    } else {
        hand_to_helper(event);
    }
}

void waitable_event_set(waitable_event *event, bool signaled) {
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_RELAXED), changed;
    bool take;
    wine_critical_enter();
    do {
        changed = signaled ? state | WANTED : state & ~WANTED;
        take = !(state & OWNED) && !is_settled(changed);
        if (take) changed |= OWNED;
    } while (!__atomic_compare_exchange_n(&event->state, &state, changed, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    if (take) work_on(event);
    wine_critical_leave();
}

void waitable_event_close(waitable_event *event) {
    wine_critical_enter();
    if (!(__atomic_fetch_or(&event->state, CLOSED | OWNED, __ATOMIC_ACQ_REL) & OWNED)) work_on(event);
    wine_critical_leave();
}

static uint32_t thread_has_ended;       /* since the helper last looked */
static NTSTATUS last_status;            /* of the thread that went last: the process's */

void event_helper_thread_ends(NTSTATUS status) {
    static const uint64_t one = 1;
    __atomic_store_n(&last_status, status, __ATOMIC_RELAXED);
    __atomic_store_n(&thread_has_ended, 1, __ATOMIC_RELEASE);
    while (write(doorbell, &one, sizeof one) < 0 && errno == EINTR) {}
}

static void empty_queue(void) {
    wine_critical_enter();
    waitable_event *event = __atomic_exchange_n(&queue, NULL, __ATOMIC_ACQUIRE);
    while (event) {
        waitable_event *next = event->next;
        settle(event);
        event = next;
    }
    wine_critical_leave();
}

static void end_process_if_alone(void) {
    ULONG alone = 0;
    if (wine_NtQueryInformationThread(NtCurrentThread(), THREAD_AM_I_LAST_THREAD, &alone, sizeof alone, NULL) >= 0 && alone)
        wine_NtTerminateProcess(NtCurrentProcess(), __atomic_load_n(&last_status, __ATOMIC_RELAXED));
}

/* The helper's life, as the Unix side of a call that never returns. Wine ends it with the process.
 *
 * It sleeps until somebody rings. After the end of a thread it also wakes a few times by itself, because the ring comes just
 * before that end. */
NTSTATUS event_helper_body(uint64_t *arguments) {
    uint64_t count;
    int patience = -1;
    (void)arguments;
    wine_thread_enter();
    pthread_setname_np(pthread_self(), "ntlpc-events");
    for (;;) {
        struct pollfd bell = { .fd = doorbell, .events = POLLIN };
        int rung = poll(&bell, 1, patience);
        if (rung < 0 && errno != EINTR) return STATUS_UNSUCCESSFUL;
        if (rung > 0 && read(doorbell, &count, sizeof count) == sizeof count) empty_queue();
        if (__atomic_exchange_n(&thread_has_ended, 0, __ATOMIC_ACQUIRE)) patience = 1;
        else if (rung == 0) patience = patience < LONGEST_LOOK ? patience * 2 : -1;
        if (rung == 0) end_process_if_alone();
    }
}

static NTSTATUS start_helper(void) {
    HANDLE thread;
    int low = eventfd(0, EFD_CLOEXEC);
    if (low < 0) return STATUS_INSUFFICIENT_RESOURCES;
    doorbell = fcntl(low, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (doorbell < 0) doorbell = low; else close(low);
    NTSTATUS status = wine_NtCreateThreadEx(&thread, THREAD_ALL_ACCESS, NULL, NtCurrentProcess(), preload_helper_entry(), NULL,
                                            THREAD_CREATE_FLAGS_SKIP_THREAD_ATTACH | THREAD_CREATE_FLAGS_HIDE_FROM_DEBUGGER,
                                            0, HELPER_STACK, HELPER_STACK, NULL);
    if (status < 0) {
        close(doorbell);
        doorbell = -1;
        return status;
    }
    wine_NtClose(thread);
    __atomic_store_n(&running, true, __ATOMIC_RELEASE);
    return STATUS_SUCCESS;
}

NTSTATUS waitable_event_create(waitable_event **event, HANDLE handle) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    NTSTATUS status = STATUS_SUCCESS;
    waitable_event *new = calloc(1, sizeof *new);
    if (!new) return STATUS_NO_MEMORY;
    if (!event_helper_is_running()) {
        wine_critical_enter();
        pthread_mutex_lock(&lock);
        if (!running) status = start_helper();
        pthread_mutex_unlock(&lock);
        wine_critical_leave();
    }
    if (status < 0) {
        free(new);
        return status;
    }
    new->handle = handle;
    *event = new;
    return STATUS_SUCCESS;
}

#endif
