/* Linux calls that Swift cannot make by itself: variadic ones, macros, control messages, signal frames, thread-local storage.
 * No policy and no NT word lives here. */
#ifndef NTLPC_LINUX_SHIMS_H
#define NTLPC_LINUX_SHIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef __clang__       /* gcc has no nullability words */
#define _Nonnull
#define _Nullable
#endif

/* ---- The calling thread -------------------------------------------------------------------------------------- */

/* What the library keeps for each thread. Found through static thread-local storage in one instruction.
 * `critical` and `deferred` are also read by the signal wrapper of the Wine preload library, on the same thread. */
typedef struct ntlpc_thread {
    uintptr_t reserved;     /* other threads read the two words below: they are not where the record begins */
    uintptr_t hazard;       /* object the thread is using; 0 when none (see HandleTable) */
    uintptr_t hazard2;
    uint32_t critical;      /* depth of critical sections: suspension and termination wait while it is above zero */
    uint32_t deferred;      /* 1 << signal for each signal that arrived meanwhile */
    int32_t tid;            /* kernel thread id, 0 until asked for */
    uint32_t registered;    /* 1 once on the list of all threads */
    uint64_t nt_process;    /* ids as the host's programs see them (CLIENT_ID), 0 until asked for */
    uint64_t nt_thread;
    void *_Nullable staging;          /* 64 KiB and a header: a message on its way between caller and transport */
    void *_Nullable call;       /* the link over which the thread waits for a reply, NULL when it does not */
    uint32_t call_slot, call_turn;      /* where, and for which message of which connection */
    uint32_t call_id, call_connection;
    void *_Nullable rundown;          /* list of terminate ports; owned by Ports */
    void *_Nullable identity;         /* whom the thread acts for; from malloc, freed with the thread. See NTObjects/ThreadIdentity */
    void *_Nullable waiting_in;       /* the queues that count the thread among their waiting receivers */
    void *_Nullable waiting_for;      /* the connection whose messages it takes there, NULL for any */
    uint32_t waiting_asleep;          /* NTLPC_ASLEEP_* */
    uint32_t is_worker;     /* 1 for a thread of the pool: its end is the pool's business */
    void *_Nullable tracked;          /* the count of a port's calls that the thread's is in (AlpcWaitForPortReferences) */
    uint64_t work_ticket;   /* for whom the thread works, 0 for itself; see NTExports/WorkOnBehalfCalls */
    uint32_t spin_failures; /* adaptive spinning, see Transport/Spin.swift */
    uint32_t spin_skips;
    struct ntlpc_thread *_Nullable next;
} ntlpc_thread;

extern __thread ntlpc_thread ntlpc_current_thread __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline ntlpc_thread *_Nonnull ntlpc_thread_current(void) { return &ntlpc_current_thread; }
/* Where the hazards are, without touching the record: only its own thread may do that. */
static inline uintptr_t *_Nonnull ntlpc_thread_hazard(ntlpc_thread *_Nonnull thread) { return &thread->hazard; }
static inline uintptr_t *_Nonnull ntlpc_thread_hazard2(ntlpc_thread *_Nonnull thread) { return &thread->hazard2; }

/* In an epoll set, for messages of any connection; for the answer to one message, which nobody counts. */
#define NTLPC_ASLEEP_IN_EPOLL   1u
#define NTLPC_ASLEEP_FOR_ANY    2u
#define NTLPC_ASLEEP_FOR_ANSWER 4u

/* What other threads read of a record, under the list's lock: who it is, and what it waits for. */
static inline void ntlpc_thread_set_call(ntlpc_thread *_Nonnull thread, void *_Nullable call) {
    __atomic_store_n(&thread->call, call, __ATOMIC_RELEASE);
}
static inline void *_Nullable ntlpc_thread_call(const ntlpc_thread *_Nonnull thread) {
    return __atomic_load_n(&thread->call, __ATOMIC_ACQUIRE);
}
static inline void ntlpc_thread_set_ids(ntlpc_thread *_Nonnull thread, uint64_t process, uint64_t id) {
    thread->nt_process = process;
    __atomic_store_n(&thread->nt_thread, id, __ATOMIC_RELEASE);
}
static inline uint64_t ntlpc_thread_id(const ntlpc_thread *_Nonnull thread) {
    return __atomic_load_n(&thread->nt_thread, __ATOMIC_ACQUIRE);
}

/* Puts the thread on the list of all threads and arranges that `ntlpc_thread_set_rundown`'s function runs when it ends. */
void ntlpc_thread_register(void);
/* Runs `visit` for every registered thread, under the list's lock. */
void ntlpc_thread_each(void (*_Nonnull visit)(ntlpc_thread *_Nonnull thread, void *_Nullable context), void *_Nullable context);
/* The function that ends a thread's business with the library. One for the process. */
void ntlpc_thread_set_rundown(void (*_Nullable rundown)(ntlpc_thread *_Nonnull thread));
int32_t ntlpc_gettid(void);
bool ntlpc_thread_exists(int32_t process, int32_t thread);

/* Critical sections. A host that suspends or ends threads by signal calls ntlpc_defer_signal first in its handler:
 * true means that the signal was noted and will be raised again when the section ends; the handler must return at once. */
static inline void ntlpc_critical_enter(void) { ntlpc_current_thread.critical++; __atomic_signal_fence(__ATOMIC_SEQ_CST); }
void ntlpc_critical_deliver(void);
static inline void ntlpc_critical_leave(void) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (--ntlpc_current_thread.critical == 0 && __builtin_expect(ntlpc_current_thread.deferred != 0, 0)) ntlpc_critical_deliver();
}
bool ntlpc_defer_signal(int signal);

/* ---- Copying memory that may not be there --------------------------------------------------------------------- */

/* Copies and returns the number of bytes NOT copied: 0 is success, anything else means that a page was missing. */
size_t ntlpc_copy(void *_Nullable to, const void *_Nullable from, size_t count);
/* The same for the sizes that every call copies: a word, and a message header. Straight lines of moves. */
size_t ntlpc_copy_8(void *_Nullable to, const void *_Nullable from);
size_t ntlpc_copy_40(void *_Nullable to, const void *_Nullable from);
/* One atomic change of an aligned word that may not be there, with full ordering: 0 when it held *expected and holds `desired` now; 1
 * when it held something else, which *expected then says; 8 when the page was missing. */
size_t ntlpc_compare_exchange_8(void *_Nullable at, uint64_t *_Nonnull expected, uint64_t desired);
/* Installs the SIGSEGV and SIGBUS handlers; they chain to those found. Returns 0 or -errno. */
int ntlpc_copy_install(void);
/* For hosts that own the signals: call first; true means the fault was ours and has been dealt with. */
bool ntlpc_handle_fault(int signal, void *_Nullable siginfo, void *_Nullable ucontext);
/* True when the instruction pointer in `ucontext` lies in the copy routine. */
bool ntlpc_fault_is_ours(const void *_Nullable ucontext);

/* ---- Futexes ---------------------------------------------------------------------------------------------------- */

/* All return 0 or more, or -errno. A NULL deadline waits for ever; deadlines are absolute CLOCK_MONOTONIC nanoseconds. */
int ntlpc_futex_wait(const void *_Nonnull word, uint32_t expected, bool shared, uint64_t deadline);
int ntlpc_futex_wake(const void *_Nonnull word, int count, bool shared);

/* A full memory barrier on every processor that runs a thread of this process; 0 or -errno. Register first, also after a fork. */
int ntlpc_membarrier_register(void);
int ntlpc_membarrier(void);

/* ---- Descriptors --------------------------------------------------------------------------------------------------- */

int ntlpc_memfd_create(const char *_Nonnull name);              /* CLOEXEC, NOEXEC_SEAL where known, sealing allowed */
int ntlpc_memfd_seal(int fd);                                   /* against shrinking, growing and more seals */
int ntlpc_memfd_is_sealed(int fd);                              /* 1, 0 or -errno */
int ntlpc_move_high(int fd);                                    /* a CLOEXEC duplicate above 1023; closes `fd` */
int ntlpc_raise_descriptor_limit(void);
int ntlpc_open_directory(int parent, const char *_Nonnull path, bool follow); /* for names only; parent -100 is the current one */
void ntlpc_descriptor_opened(int fd);                           /* bookkeeping for fork: the child closes all of these */
int ntlpc_descriptor_close(int fd);
/* What the child of a fork must do: close every descriptor, forget every thread, count one more fork. */
void ntlpc_fork_install(void);
extern uint32_t ntlpc_fork_generation;                          /* grows by one in the child of each fork */

/* ---- Sockets --------------------------------------------------------------------------------------------------------- */

#define NTLPC_DESCRIPTORS_MAX 253   /* the kernel's limit for one message */
/* Sends one datagram with descriptors; returns bytes sent or -errno. */
ssize_t ntlpc_send_with_descriptors(int socket, const void *_Nonnull bytes, size_t count, const int *_Nullable fds, int fd_count, bool wait);
/* Receives one datagram and its descriptors, CLOEXEC. *fd_count: room in `fds`, out how many came; surplus ones are closed. Returns bytes,
 * 0 at end, or -errno. */
ssize_t ntlpc_receive_with_descriptors(int socket, void *_Nonnull bytes, size_t count, int *_Nonnull fds, int *_Nonnull fd_count, bool wait);
typedef struct ntlpc_peer { int32_t pid; uint32_t uid; uint32_t gid; } ntlpc_peer;
int ntlpc_peer_credentials(int socket, ntlpc_peer *_Nonnull peer);
/* AF_UNIX, SEQPACKET, by a name inside an open directory: no limit of 108 bytes applies. */
int ntlpc_unix_listen(int directory, const char *_Nonnull leaf, int backlog);
int ntlpc_unix_connect(int directory, const char *_Nonnull leaf);
int ntlpc_unix_accept(int listener);
int ntlpc_wait_readable(int socket, uint64_t deadline);         /* 0, -ETIMEDOUT or -errno */
int ntlpc_wait_writable(int socket, uint64_t deadline);
void ntlpc_shutdown(int socket);

/* ---- Epoll and eventfd ------------------------------------------------------------------------------------------------- */

int ntlpc_epoll_create(void);
int ntlpc_epoll_add(int epoll, int fd, uint64_t key, bool edge);    /* readable or hung up */
int ntlpc_epoll_remove(int epoll, int fd);
#define NTLPC_EPOLL_BATCH 16
typedef struct ntlpc_ready { uint64_t key; uint32_t hung_up; uint32_t readable; } ntlpc_ready;
/* Waits until `deadline` (absolute, 0 for ever). Returns the number of entries filled, 0 when the time has passed, -errno. */
int ntlpc_epoll_wait(int epoll, ntlpc_ready *_Nonnull ready, int count, uint64_t deadline);
int ntlpc_eventfd(void);                                        /* non-blocking */
void ntlpc_eventfd_kick(int fd);                                /* adds one; a full counter is already a kick */
bool ntlpc_hung_up(int socket);                                 /* the peer's end is closed */

/* ---- Signal states that processes share ------------------------------------------------------------------------------ */

/* An eventfd, signaled while its counter is not 0. `taken_by_wait`: a wait that sees the signal takes it. */
int ntlpc_event_create(bool taken_by_wait, bool signaled);
bool ntlpc_event_is_taken_by_wait(int fd);
bool ntlpc_event_take(int fd);                                  /* whether it was signaled; it no longer is. Never waits */
bool ntlpc_event_put(int fd);                                   /* signals; whether it was signaled before */
bool ntlpc_readable(int fd);
/* Waits until one of `fds` is readable or at an end, or until `deadline` (0 for ever); negative ones are passed over. Fills in
 * `ready` and returns how many are, 0 when the time has passed, -errno. */
int ntlpc_poll(const int32_t *_Nonnull fds, uint8_t *_Nonnull ready, int count, uint64_t deadline);

/* ---- Descriptors that came from outside --------------------------------------------------------------------------------- */

#define NTLPC_DESCRIPTOR_OTHER   0
#define NTLPC_DESCRIPTOR_REGULAR 1      /* a file of a file system */
#define NTLPC_DESCRIPTOR_MEMORY  2      /* a memory file that takes seals */
#define NTLPC_DESCRIPTOR_EVENT   3      /* an eventfd */
#define NTLPC_DESCRIPTOR_TASK    4      /* a pidfd */
int ntlpc_descriptor_kind(int fd);                              /* or -errno, without /proc among others */
int64_t ntlpc_regular_size(int fd);                             /* of a file as the kernel knows it, -EINVAL for other things */
int ntlpc_duplicate(int fd, bool ours);                         /* `ours`: high, and closed in the child of a fork */
int ntlpc_reopen(int fd, bool reads, bool writes);              /* the same file, opened anew */
int ntlpc_open_mode(int fd);                                    /* 1 reads, 2 writes, 3 both, 0 neither; -errno */
int ntlpc_memory_keep_size(int fd);                             /* a memory file that does not shrink any more; 0 or -errno */

/* ---- Processes and threads ------------------------------------------------------------------------------------------------ */

typedef struct ntlpc_task {
    int32_t process, parent;
    uint32_t uid, gid;          /* effective */
    uint64_t started;           /* clock ticks since boot: with the id it names the task for ever */
    bool ended;                 /* it waits to be forgotten */
} ntlpc_task;
int ntlpc_task_open(int32_t id, bool thread);                   /* readable when it has ended; -EINVAL before Linux 6.9 for a thread */
int ntlpc_task_permitted(int32_t process, int32_t thread, int fd); /* whether a signal would be: 0, -EPERM, -ESRCH. fd may be -1 */
bool ntlpc_task_is_thread(int fd);
int32_t ntlpc_task_id(int fd);                                  /* the id that the descriptor names; -ESRCH when it has none any more */
int ntlpc_task_read(int32_t id, ntlpc_task *_Nonnull task);     /* of a process or thread; -ESRCH */
uint64_t ntlpc_task_affinity(int32_t id);                       /* the first 64 processors; 0 when not known */
bool ntlpc_task_exit_status(int fd, int *_Nonnull status);      /* exit code, or 128 + signal; false when not known */

/* ---- Time and processors --------------------------------------------------------------------------------------------- */

uint64_t ntlpc_monotonic_ns(void);
void ntlpc_sleep_ns(uint64_t nanoseconds);
uint64_t ntlpc_realtime_100ns(void);                            /* since 1601, as NT counts */
uint32_t ntlpc_current_cpu_slow(void);
/* The processor the thread runs on, as the kernel keeps it in the thread's rseq area (glibc 2.35 and later): one load. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
static inline uint32_t ntlpc_current_cpu(void) {
    if (&__rseq_size && __rseq_size) {
        int32_t cpu = *(volatile int32_t *)((char *)__builtin_thread_pointer() + __rseq_offset + 4);
        if (__builtin_expect(cpu >= 0, 1)) return (uint32_t)cpu;
    }
    return ntlpc_current_cpu_slow();
}
static inline void ntlpc_cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}
/* Starts to fetch a line that will be read in a moment. */
static inline void ntlpc_prefetch(const void *_Nonnull address) { __builtin_prefetch(address, 0, 3); }
static inline uint64_t ntlpc_cycles(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    uint64_t v; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(v)); return v;
#endif
}

/* Memory that must be had: a process without memory ends here rather than later, with its messages half changed. */
void *_Nonnull ntlpc_allocate(size_t count);
void ntlpc_free(void *_Nullable memory);

/* ---- Settings, read from the environment when the library is loaded ------------------------------------------------------ */

extern uint32_t ntlpc_trace_mask;
extern int64_t ntlpc_spin_nanoseconds;
/* NTLPC_TRACE; the bits are Tracing's. */
static inline uint32_t ntlpc_trace_setting(void) { return ntlpc_trace_mask; }
/* NTLPC_SPIN, in nanoseconds; 0 never looks, -1 ("always") looks until the deadline. */
static inline int64_t ntlpc_spin_setting(void) { return ntlpc_spin_nanoseconds; }

/* ---- Threads of our own ------------------------------------------------------------------------------------------------ */

/* Starts a detached thread with every signal blocked but SIGSEGV and SIGBUS. Returns 0 or -errno. */
int ntlpc_start_thread(const char *_Nonnull name, void (*_Nonnull body)(void *_Nullable), void *_Nullable argument);
/* The same with the stack and the signals of any thread of the program: it runs the program's functions. */
int ntlpc_start_program_thread(const char *_Nonnull name, void (*_Nonnull body)(void *_Nullable), void *_Nullable argument);

#endif
