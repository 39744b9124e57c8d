/* Events set and reset from any thread: those that say whether a port has something to receive, and events of the program's that
 * are to be signaled.
 *
 * A thread of Wine's changes the event itself, and for any other the helper does. Changes must not overtake each other between
 * the two roads. Each event has one word, changed only by read-modify-write:
 *   WANTED   the state that the last caller asked for
 *   APPLIED  the state that the Windows event has
 *   BUSY     a thread of Wine's is at work on it: nobody else touches the event
 *   QUEUED   it is in the helper's queue, whether or not somebody is at work on it
 *   CLOSED   no caller has it any more
 *   PROGRAMS an event that the program has too and resets itself: WANTED is one signal still to be given, and APPLIED is not used
 * Whoever sets BUSY must bring APPLIED to WANTED and can let go only by a compare-and-swap that finds them equal; so no change is
 * lost, and at rest the event is right. A plain thread that finds BUSY or QUEUED leaves. A thread of Wine's does not: what it
 * asked for is done when it returns, so that a program that has emptied a port does not find it signaled. Who finds the event
 * closed, and neither busy nor queued, frees it. A signal to an event of the program's is given even if the event was closed
 * after it. */
#include "wine_preload.h"
#include <sched.h>
#include <stdlib.h>

#if defined(__x86_64__)

#define WANTED   1u
#define APPLIED  2u
#define BUSY     4u
#define QUEUED   8u
#define CLOSED   16u
#define PROGRAMS 32u

#define EVENT_MODIFY_STATE 0x0002u
#define PATIENCE 100000                 /* yields, until another thread's call of Wine's has ended */

struct waitable_event {
    helper_job job;                     /* first: a job is its event */
    uint32_t state;
    HANDLE handle;                      /* ours alone: the program never sees it */
};

static bool is_settled(uint32_t state) {
    return state & PROGRAMS ? !(state & WANTED) : !(state & WANTED) == !(state & APPLIED);
}

/* The state, as it was, becomes `to`: true when nobody was faster. ORDER: acquires what the last owner did, releases what we did. */
static bool change(waitable_event *event, uint32_t *state, uint32_t to) {
    return __atomic_compare_exchange_n(&event->state, state, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void discard(waitable_event *event) {
    wine_NtClose(event->handle);
    free(event);
}

/* By the thread that set BUSY. */
static void settle(waitable_event *event) {
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
    for (;;) {
        if (!is_settled(state)) {
            if (state & PROGRAMS) {
                /* Taken back before it is given: a caller who comes meanwhile asks for another. */
                __atomic_fetch_and(&event->state, ~WANTED, __ATOMIC_ACQ_REL);
                wine_NtSetEvent(event->handle, NULL);
                state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
            } else {
                if (state & WANTED) wine_NtSetEvent(event->handle, NULL); else wine_NtResetEvent(event->handle, NULL);
                state = __atomic_xor_fetch(&event->state, APPLIED, __ATOMIC_ACQ_REL);
            }
        } else if ((state & (CLOSED | QUEUED)) == CLOSED) {
            discard(event);
            return;
        } else if (change(event, &state, state & ~BUSY)) {
            return;                     /* closed and queued: the helper will find it */
        }
    }
}

/* On a thread of Wine's: returns when the event is settled. Who is at work on it is inside a critical section and soon done. */
static void apply(waitable_event *event) {
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
    for (int yields = 0; yields < PATIENCE; yields++) {
        while (!(state & BUSY)) {
            if (is_settled(state)) return;
            if (!change(event, &state, state | BUSY)) continue;
            settle(event);
            return;
        }
        sched_yield();
        state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
    }
}

/* On the helper */
static void take_up(helper_job *job) {
    waitable_event *event = (waitable_event *)job;
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
    while (!change(event, &state, (state | BUSY) & ~QUEUED)) {}
    if (!(state & BUSY)) settle(event);         /* else the thread that is at work goes on, and frees it if need be */
}

/* Changes the word and sees to it that somebody acts on it. */
static void set(waitable_event *event, uint32_t bits, uint32_t cleared) {
    bool is_wines = wine_thread_current.entered, queue;
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_RELAXED), changed;
    wine_critical_enter();              /* what we take on nobody else would do */
    do {
        changed = (state | bits) & ~cleared;
        queue = !is_wines && !(state & (BUSY | QUEUED)) && (!is_settled(changed) || (changed & CLOSED));
        if (queue) changed |= QUEUED;
        if (is_wines && (bits & CLOSED) && !(state & BUSY)) changed |= BUSY;
    } while (!change(event, &state, changed));
    if (queue) helper_queue(&event->job);
    else if (is_wines && (bits & CLOSED)) { if (!(state & BUSY)) settle(event); }
    else if (is_wines) apply(event);
    wine_critical_leave();
}

void waitable_event_set(waitable_event *event, bool signaled) {
    if (signaled) set(event, WANTED, 0);
    else if (!(__atomic_load_n(&event->state, __ATOMIC_RELAXED) & PROGRAMS)) set(event, 0, WANTED);
}

void waitable_event_close(waitable_event *event) { set(event, CLOSED, 0); }

static NTSTATUS create(waitable_event **event, HANDLE handle, uint32_t state) {
    waitable_event *new = calloc(1, sizeof *new);
    if (!new) return STATUS_NO_MEMORY;
    NTSTATUS status = helper_start();
    if (status < 0) {
        free(new);
        return status;
    }
    new->job.run = take_up;
    new->state = state;
    new->handle = handle;
    *event = new;
    return STATUS_SUCCESS;
}

NTSTATUS waitable_event_create(waitable_event **event, HANDLE handle) { return create(event, handle, 0); }

NTSTATUS wine_reference_event(HANDLE handle, PVOID *waitable) {
    ULONG type, attributes;
    ACCESS_MASK access;
    HANDLE own;
    waitable_event *event;
    NTSTATUS status = wine_query_handle(handle, &type, &access, &attributes);
    if (status < 0) return status;
    if (type != ALPC_PORFLG_OBJECT_TYPE_EVENT) return STATUS_OBJECT_TYPE_MISMATCH;
    if (!(access & EVENT_MODIFY_STATE)) return STATUS_ACCESS_DENIED;
    wine_critical_enter();
    status = wine_NtDuplicateObject(NtCurrentProcess(), handle, NtCurrentProcess(), &own, EVENT_MODIFY_STATE, 0, 0);
    if (status >= 0) {
        status = create(&event, own, PROGRAMS);
        if (status >= 0) *waitable = event;
        else wine_NtClose(own);
    }
    wine_critical_leave();
    return status;
}

#endif
