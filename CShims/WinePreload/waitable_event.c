/* Events set and reset from any thread: those that say whether a port has something to receive, and events of the program's that
 * are to be signaled.
 *
 * A thread of Wine's changes the event itself, and for any other the helper does. Changes must not overtake each other between
 * the two roads. Each event has one word, changed only by read-modify-write:
 *   WANTED   the state that the last caller asked for
 *   APPLIED  the state that the Windows event has
 *   OWNED    somebody is at work on it, or it is in the helper's queue: nobody else touches the event
 *   CLOSED   the owner frees it
 *   PROGRAMS an event that the program has too and resets itself: WANTED is one signal still to be given, and APPLIED is not used
 * Whoever sets OWNED must bring APPLIED to WANTED and can let go only by a compare-and-swap that finds them equal. A caller who
 * finds OWNED set leaves: the owner will see the new WANTED. So no change is lost, and at rest the event is right. A signal to
 * an event of the program's is given even if the event was closed after it. */
#include "wine_preload.h"
#include <stdlib.h>

#if defined(__x86_64__)

#define WANTED  1u
#define APPLIED 2u
#define OWNED   4u
#define CLOSED  8u
#define PROGRAMS 16u

#define EVENT_MODIFY_STATE 0x0002u

struct waitable_event {
    helper_job job;                     /* first: a job is its event */
    uint32_t state;
    HANDLE handle;                      /* ours alone: the program never sees it */
};

static bool is_settled(uint32_t state) { return !(state & WANTED) == !(state & APPLIED); }

/* By the owner, on a thread of Wine's. */
static void settle(helper_job *job) {
    waitable_event *event = (waitable_event *)job;
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
    for (;;) {
        if ((state & (PROGRAMS | WANTED)) == (PROGRAMS | WANTED)) {
            /* Taken back before it is given: a caller who comes meanwhile asks for another. */
            __atomic_fetch_and(&event->state, ~WANTED, __ATOMIC_ACQ_REL);
            wine_NtSetEvent(event->handle, NULL);
            state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
            continue;
        }
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
static void work_on(waitable_event *event) {
    if (wine_thread_current.entered) {
        wine_critical_enter();          /* the owner must not die before it lets go */
        settle(&event->job);
        wine_critical_leave();
    } else {
        helper_queue(&event->job);
    }
}

void waitable_event_set(waitable_event *event, bool signaled) {
    uint32_t state = __atomic_load_n(&event->state, __ATOMIC_RELAXED), changed;
    bool take;
    if (!signaled && (state & PROGRAMS)) return;
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

static NTSTATUS create(waitable_event **event, HANDLE handle, uint32_t state) {
    waitable_event *new = calloc(1, sizeof *new);
    if (!new) return STATUS_NO_MEMORY;
    NTSTATUS status = helper_start();
    if (status < 0) {
        free(new);
        return status;
    }
    new->job.run = settle;
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
