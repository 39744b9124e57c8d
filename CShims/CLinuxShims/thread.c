/* The calling thread's record, the list of all of them, critical sections, and what a fork's child must forget. */
#define _GNU_SOURCE
#include "linux_shims.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread ntlpc_thread ntlpc_current_thread __attribute__((tls_model("initial-exec")));

/* The list is walked rarely (by the reclaimer of handles) and changed once in a thread's life. Signals stay blocked while the
 * mutex is held, so a host's suspension cannot stop its owner. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static ntlpc_thread *list_head;
static pthread_key_t end_key;
static pthread_once_t end_once = PTHREAD_ONCE_INIT;
static void (*rundown_function)(ntlpc_thread *thread);

static void lock_list(sigset_t *saved) {
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &all, saved);
    pthread_mutex_lock(&list_lock);
}

static void unlock_list(const sigset_t *saved) {
    pthread_mutex_unlock(&list_lock);
    pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* The address sanitizer does not see that a thread that was cancelled has left its frames, in whose place others come now. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
void __asan_unpoison_memory_region(void const volatile *address, size_t size);
#define FRAMES_ARE_LEFT() __asan_unpoison_memory_region((char *)__builtin_frame_address(0) - 0x8000, 0x8000)
#endif
#endif
#ifndef FRAMES_ARE_LEFT
#define FRAMES_ARE_LEFT() ((void)0)
#endif

static void thread_ends(void *record) {
    ntlpc_thread *thread = record;
    FRAMES_ARE_LEFT();
    sigset_t saved;
    void (*rundown)(ntlpc_thread *) = __atomic_load_n(&rundown_function, __ATOMIC_ACQUIRE);
    if (rundown) rundown(thread);
    lock_list(&saved);
    for (ntlpc_thread **link = &list_head; *link; link = &(*link)->next)
        if (*link == thread) { *link = thread->next; break; }
    unlock_list(&saved);
    free(thread->staging);
    free(thread->identity);
    memset(thread, 0, sizeof *thread);
}

static void make_key(void) { pthread_key_create(&end_key, thread_ends); }

void ntlpc_thread_register(void) {
    ntlpc_thread *thread = &ntlpc_current_thread;
    sigset_t saved;
    if (thread->registered) return;
    pthread_once(&end_once, make_key);
    pthread_setspecific(end_key, thread);
    thread->tid = (int32_t)syscall(SYS_gettid);
    thread->registered = 1;
    lock_list(&saved);
    thread->next = list_head;
    list_head = thread;
    unlock_list(&saved);
}

void ntlpc_thread_each(void (*visit)(ntlpc_thread *thread, void *context), void *context) {
    sigset_t saved;
    lock_list(&saved);
    for (ntlpc_thread *thread = list_head; thread; thread = thread->next) visit(thread, context);
    unlock_list(&saved);
}

void ntlpc_thread_set_rundown(void (*rundown)(ntlpc_thread *thread)) {
    __atomic_store_n(&rundown_function, rundown, __ATOMIC_RELEASE);
}

int32_t ntlpc_gettid(void) {
    if (!ntlpc_current_thread.tid) ntlpc_current_thread.tid = (int32_t)syscall(SYS_gettid);
    return ntlpc_current_thread.tid;
}

bool ntlpc_thread_exists(int32_t process, int32_t thread) {
    return syscall(SYS_tgkill, process, thread, 0) == 0 || errno != ESRCH;
}

bool ntlpc_defer_signal(int signal) {
    if (!ntlpc_current_thread.critical || signal <= 0 || signal > 31) return false;
    ntlpc_current_thread.deferred |= 1u << signal;
    return true;
}

void ntlpc_critical_deliver(void) {
    /* Each raised signal runs its handler before tgkill returns; what a handler defers again stays noted. */
    uint32_t pending = __atomic_exchange_n(&ntlpc_current_thread.deferred, 0, __ATOMIC_RELAXED);
    for (int signal = 1; signal < 32; signal++)
        if (pending & (1u << signal)) syscall(SYS_tgkill, getpid(), ntlpc_gettid(), signal);
}

/* ---- Fork ---- */

uint32_t ntlpc_fork_generation;

#define TRACKED_DESCRIPTORS 1048576
static uint64_t open_descriptors[TRACKED_DESCRIPTORS / 64];
static int highest_descriptor;

void ntlpc_descriptor_opened(int fd) {
    if (fd < 0 || fd >= TRACKED_DESCRIPTORS) return;
    __atomic_fetch_or(&open_descriptors[fd / 64], 1ull << (fd % 64), __ATOMIC_RELAXED);
    int highest = __atomic_load_n(&highest_descriptor, __ATOMIC_RELAXED);
    while (fd > highest &&
           !__atomic_compare_exchange_n(&highest_descriptor, &highest, fd, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

int ntlpc_descriptor_close(int fd) {
    if (fd < 0) return -EBADF;
    if (fd < TRACKED_DESCRIPTORS) __atomic_fetch_and(&open_descriptors[fd / 64], ~(1ull << (fd % 64)), __ATOMIC_RELAXED);
    return close(fd) ? -errno : 0;
}

static void in_child(void) {
    /* The parent's other threads are gone and their locks may be held for ever: nothing of theirs is used again. */
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    for (int word = 0; word <= highest_descriptor / 64; word++) {
        uint64_t bits = open_descriptors[word];
        open_descriptors[word] = 0;
        while (bits) {
            close(word * 64 + __builtin_ctzll(bits));
            bits &= bits - 1;
        }
    }
    memcpy(&list_lock, &fresh, sizeof fresh);
    list_head = NULL;
    free(ntlpc_current_thread.staging);
    free(ntlpc_current_thread.identity);
    memset(&ntlpc_current_thread, 0, sizeof ntlpc_current_thread);
    if (end_key) pthread_setspecific(end_key, NULL);
    __atomic_add_fetch(&ntlpc_fork_generation, 1, __ATOMIC_RELEASE);
}

static void install_fork_handler(void) { pthread_atfork(NULL, NULL, in_child); }

void ntlpc_fork_install(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_fork_handler);
}

void *ntlpc_allocate(size_t count) {
    void *memory = malloc(count ? count : 1);
    if (!memory) abort();
    return memory;
}

void ntlpc_free(void *memory) { free(memory); }

/* ---- Threads of our own ---- */

struct start { void (*body)(void *); void *argument; char name[16]; };

static void *run(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    pthread_setname_np(pthread_self(), start.name);
    start.body(start.argument);
    return NULL;
}

/* Starts a detached thread; stack size 0 is the program's own. */
static int start_detached(const char *name, void (*body)(void *), void *argument, size_t stack) {
    struct start *start = malloc(sizeof *start);
    pthread_attr_t attributes;
    pthread_t thread;
    if (!start) return -ENOMEM;
    start->body = body;
    start->argument = argument;
    strncpy(start->name, name, sizeof start->name - 1);
    start->name[sizeof start->name - 1] = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack) pthread_attr_setstacksize(&attributes, stack);
    int error = pthread_create(&thread, &attributes, run, start);
    pthread_attr_destroy(&attributes);
    if (error) free(start);
    return -error;
}

int ntlpc_start_thread(const char *name, void (*body)(void *), void *argument) {
    sigset_t most, saved;
    sigfillset(&most);
    sigdelset(&most, SIGSEGV);
    sigdelset(&most, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &most, &saved);
    int result = start_detached(name, body, argument, 256 * 1024);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    return result;
}

int ntlpc_start_program_thread(const char *name, void (*body)(void *), void *argument) {
    return start_detached(name, body, argument, 0);
}
