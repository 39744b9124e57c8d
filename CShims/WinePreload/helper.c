/* Work for a thread of Wine's, queued by any thread.
 *
 * Only a thread of Wine's may call Wine: a plain one has no connection to wineserver, and its GS register still points at the
 * thread block of whoever created it. What a plain thread wants of Wine it hands to the helper, one thread created through
 * Wine when the process first makes something that plain threads act on. It sleeps until an eventfd is written to.
 *
 * Jobs run in the order in which they were queued: they are pushed onto a list, and whoever takes the list takes all of it and
 * turns it around. Nothing bounds the queue but memory; the core's quotas bound what fills it.
 *
 * Without a helper a job waits until one starts or until a thread of Wine's comes by (helper_stand_in). That is for what may be
 * late and may be done by anybody, such as closing a handle.
 *
 * The helper is a thread of the program's process that the program did not make: see own_threads.c. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)

#define LOWEST_DESCRIPTOR 1024          /* out of the way of programs that use select() */
#define HELPER_STACK 0x10000u           /* on the Windows side, where it does nothing */
#define THREAD_CREATE_FLAGS_SKIP_THREAD_ATTACH 2u
#define THREAD_CREATE_FLAGS_HIDE_FROM_DEBUGGER 4u
#define LONGEST_LOOK 1024               /* ms between two looks whether the others have gone; the first comes after 1 ms */

static helper_job *queue;               /* the last one first */
static int doorbell = -1;
static bool running;

bool helper_is_running(void) { return __atomic_load_n(&running, __ATOMIC_ACQUIRE); }

void helper_ring(void) {
    static const uint64_t one = 1;
    /* ORDER: sequentially consistent, after the queue's. Pairs with make_doorbell, which stores the doorbell before the helper takes
     * the queue. Either the helper's first taking sees our job, or we see the doorbell. */
    int bell = __atomic_load_n(&doorbell, __ATOMIC_SEQ_CST);
    if (bell >= 0) while (write(bell, &one, sizeof one) < 0 && errno == EINTR) {}
}

void helper_queue(helper_job *job) {
    wine_critical_enter();
    helper_job *first = __atomic_load_n(&queue, __ATOMIC_RELAXED);
    do job->next = first;
    /* ORDER: publishes the job. Pairs with the exchange in run_jobs, and for a missing doorbell with helper_ring's load. */
    while (!__atomic_compare_exchange_n(&queue, &first, job, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    /* The helper empties the queue after each read, so only the first into an empty queue need ring. */
    if (!first) helper_ring();
    wine_critical_leave();
}

static void run_jobs(void) {
    helper_job *taken, *first = NULL;
    wine_critical_enter();              /* nobody else would do what we took */
    taken = __atomic_exchange_n(&queue, NULL, __ATOMIC_SEQ_CST);    /* ORDER: pairs with the push in helper_queue */
    while (taken) {
        helper_job *next = taken->next;
        taken->next = first;
        first = taken;
        taken = next;
    }
    while (first) {
        helper_job *job = first;
        first = job->next;              /* before it runs: a job frees itself */
        job->run(job);
    }
    wine_critical_leave();
}

void helper_stand_in(void) {
    if (UNLIKELY(__atomic_load_n(&queue, __ATOMIC_RELAXED) != NULL) && !helper_is_running()) run_jobs();
}

static void answer(helper_job *job) {
    helper_call *call = (helper_call *)job;
    call->run(call);
    __atomic_store_n(&call->done, 1, __ATOMIC_RELEASE);     /* ORDER: pairs with the load in helper_call_and_wait */
    syscall(SYS_futex, &call->done, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void helper_call_and_wait(helper_call *call) {
    if (!helper_is_running()) return;
    call->job.run = answer;
    helper_queue(&call->job);
    while (!__atomic_load_n(&call->done, __ATOMIC_ACQUIRE))
        syscall(SYS_futex, &call->done, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

/* The helper's life, as the Unix side of a call that never returns. Wine ends it with the process.
 *
 * It sleeps until somebody rings. After the end of a thread it also wakes a few times by itself, because the ring comes just
 * before that end. */
NTSTATUS helper_body(uint64_t *arguments) {
    uint64_t count;
    int patience = -1;
    (void)arguments;
    wine_thread_enter();
    own_thread_add((uint32_t)(uintptr_t)current_client_id().UniqueThread);
    own_thread_begin();
    own_thread_is_idle(true);
    pthread_setname_np(pthread_self(), "ntlpc-helper");
    run_jobs();
    for (;;) {
        struct pollfd bell = { .fd = doorbell, .events = POLLIN };
        int rung = poll(&bell, 1, patience);
        if (rung < 0 && errno != EINTR) return STATUS_UNSUCCESSFUL;
        if (rung > 0 && read(doorbell, &count, sizeof count) == sizeof count) run_jobs();
        if (own_threads_have_news()) patience = 1;
        else if (rung == 0) patience = patience < LONGEST_LOOK ? patience * 2 : -1;
        if (rung == 0) own_threads_end_process_if_alone();
    }
}

/* The doorbell is kept when no thread can be had: it serves the next attempt, and nobody writes to a closed descriptor. */
static NTSTATUS make_doorbell(void) {
    if (doorbell >= 0) return STATUS_SUCCESS;
    int low = eventfd(0, EFD_CLOEXEC);
    if (low < 0) return STATUS_INSUFFICIENT_RESOURCES;
    int bell = fcntl(low, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (bell < 0) bell = low; else close(low);
    __atomic_store_n(&doorbell, bell, __ATOMIC_SEQ_CST);    /* ORDER: pairs with helper_ring's load */
    return STATUS_SUCCESS;
}

static NTSTATUS start_helper(void) {
    HANDLE thread;
    NTSTATUS status = make_doorbell();
    if (status < 0) return status;
    status = wine_NtCreateThreadEx(&thread, THREAD_ALL_ACCESS, NULL, NtCurrentProcess(), stubs_helper(), NULL,
                                   THREAD_CREATE_FLAGS_SKIP_THREAD_ATTACH | THREAD_CREATE_FLAGS_HIDE_FROM_DEBUGGER,
                                   0, HELPER_STACK, HELPER_STACK, NULL);
    if (status < 0) return status;
    wine_NtClose(thread);
    __atomic_store_n(&running, true, __ATOMIC_RELEASE);
    return STATUS_SUCCESS;
}

NTSTATUS helper_start(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    NTSTATUS status = STATUS_SUCCESS;
    if (LIKELY(helper_is_running())) return STATUS_SUCCESS;
    wine_critical_enter();
    pthread_mutex_lock(&lock);
    if (!running) status = start_helper();
    pthread_mutex_unlock(&lock);
    wine_critical_leave();
    return status;
}

#endif
