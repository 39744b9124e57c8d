/* A pool of work for the host's worker threads. */
#define _GNU_SOURCE
#include "core_inside.h"
#include <linux_shims.h>
#include <pthread.h>

#define CAPACITY 4096u

static struct pool {
    pthread_mutex_t lock;
    NTLPC_WORK work[CAPACITY];
    ULONG head, tail, started, to_end;
    uint32_t changes;                   /* what waiting threads watch */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A thread may be ended while it waits, and not while it holds the lock. */
static void lock_pool(void) { ntlpc_critical_enter(); pthread_mutex_lock(&pool.lock); }
static void unlock_pool(void) { pthread_mutex_unlock(&pool.lock); ntlpc_critical_leave(); }
static void tell(int count) {
    __atomic_fetch_add(&pool.changes, 1, __ATOMIC_SEQ_CST);
    ntlpc_futex_wake(&pool.changes, count, false);
}

BOOLEAN ntlpc_next_work(PVOID which, NTLPC_WORK *work) {
    struct pool *p = which;
    BOOLEAN more = TRUE;
    lock_pool();
    while (p->head == p->tail && p->to_end == 0) {
        uint32_t changes = __atomic_load_n(&p->changes, __ATOMIC_SEQ_CST);
        unlock_pool();
        ntlpc_futex_wait(&p->changes, changes, false, 0);
        lock_pool();
    }
    if (p->head != p->tail) {
        *work = p->work[p->head++ % CAPACITY];
    } else {
        p->to_end--;
        more = FALSE;
    }
    unlock_pool();
    return more;
}

NTSTATUS start_worker(void) {
    NTSTATUS status = host->StartWorker(&pool);
    if (status >= 0) __atomic_fetch_add(&pool.started, 1, __ATOMIC_RELAXED);
    return status;
}

NTSTATUS push_work(core_request *request) {
    NTSTATUS status = STATUS_SUCCESS;
    lock_pool();
    if (pool.tail - pool.head == CAPACITY) {
        status = STATUS_QUOTA_EXCEEDED;
    } else {
        NTLPC_WORK *work = &pool.work[pool.tail++ % CAPACITY];
        work->Function = request->function;
        for (int i = 0; i < 4; i++) work->Arguments[i] = request->arguments[i];
    }
    unlock_pool();
    tell(1);
    return status;
}

NTSTATUS end_workers(void) {
    lock_pool();
    pool.to_end = pool.started;
    pool.started = 0;
    unlock_pool();
    tell(999);
    return STATUS_SUCCESS;
}
