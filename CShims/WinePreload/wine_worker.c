/* Threads that run a program's callbacks.
 *
 * A worker is a thread of Wine's like any other: created through Wine, attached to the program's DLLs, with a stack as the program's
 * image asks for. Its Windows side (worker_code.S) fetches one piece of work after the other from here. While it waits it is idle
 * and keeps no process alive; while it runs a callback it counts as the program's (own_threads.c).
 *
 * A callback that impersonates and does not revert would lend its client's identity to the next one: what the core made the
 * thread impersonate is taken away between two callbacks. */
#include "wine_preload.h"
#include <string.h>

#if defined(__x86_64__)

#define THREAD_CREATE_FLAGS_CREATE_SUSPENDED 1u

extern const uint8_t worker_code[], worker_code_table[], worker_code_slots[], worker_code_end[];

struct worker_slots { const uint8_t *dispatcher; NTSTATUS (*const *functions)(uint64_t *); uint64_t index; };

static uint8_t *entry;                  /* of the copy that runs */
static void *add_function_table;        /* RtlAddFunctionTable of ntdll.dll */
static uint32_t is_registered;

size_t worker_code_size(void) { return (size_t)(worker_code_end - worker_code); }

void worker_code_write(uint8_t *at, NTSTATUS (*const *functions)(uint64_t *), uint32_t index, const uint8_t *dispatcher,
                       void *add_table) {
    const struct worker_slots slots = { dispatcher, functions, index };
    memcpy(at, worker_code, worker_code_size());
    memcpy(at + (worker_code_slots - worker_code), &slots, sizeof slots);
    entry = at;
    add_function_table = add_table;
}

/* The Unix side of the loop. arguments[0] is the pool; the others receive the function and what it is called with. FALSE ends the
 * thread. A callback's exception that nobody handles before the unwind data are registered, in another worker, is the one
 * that is reported badly. */
NTSTATUS worker_body(uint64_t *arguments) {
    NTLPC_WORK work;
    wine_thread_enter();
    if (!wine_thread_current.own) own_thread_begin();
    if (add_function_table && !__atomic_exchange_n(&is_registered, 1, __ATOMIC_RELAXED)) {
        work = (NTLPC_WORK){ add_function_table, { entry + (worker_code_table - worker_code), (void *)1, entry } };
    } else {
        wine_revert();
        own_thread_is_idle(true);
        if (!core.next_work((PVOID)arguments[0], &work)) {
            own_thread_end();           /* from here on a thread that returns, as any */
            return FALSE;
        }
        own_thread_is_idle(false);
    }
    memcpy(&arguments[1], &work, sizeof work);
    return TRUE;
}
_Static_assert(sizeof(NTLPC_WORK) == 40, "worker_code.S");

static NTSTATUS create_worker(PVOID pool) {
    CLIENT_ID id;
    HANDLE thread;
    NTSTATUS status = helper_start();   /* looks for the end of a process that only idle workers are left of */
    if (status < 0) return status;
    /* Suspended, so that it is known as ours before it runs. */
    status = wine_NtCreateThreadEx(&thread, THREAD_ALL_ACCESS, NULL, NtCurrentProcess(), entry, pool,
                                   THREAD_CREATE_FLAGS_CREATE_SUSPENDED, 0, 0, 0, NULL);
    if (status < 0) return status;
    if (wine_thread_id(thread, &id) >= 0) own_thread_add((uint32_t)(uintptr_t)id.UniqueThread);
    status = wine_NtResumeThread(thread, NULL);
    if (status < 0) wine_NtTerminateThread(thread, status);
    wine_NtClose(thread);
    return status;
}

typedef struct worker_order { helper_call call; PVOID pool; NTSTATUS status; } worker_order;

static void carry_out(helper_call *call) {
    worker_order *order = (worker_order *)call;
    order->status = create_worker(order->pool);
}

NTSTATUS wine_start_worker(PVOID pool) {
    worker_order order = { .call.run = carry_out, .pool = pool, .status = STATUS_UNSUCCESSFUL };
    if (!core.next_work || !entry) return STATUS_NOT_SUPPORTED;
    if (!wine_thread_current.entered) {
        helper_call_and_wait(&order.call);
        return order.status;
    }
    wine_critical_enter();
    NTSTATUS status = create_worker(pool);
    wine_critical_leave();
    return status;
}

#endif
