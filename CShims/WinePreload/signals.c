/* Signals under Wine, and what the library knows of each thread.
 *
 * Wine owns SIGSEGV, SIGBUS and SIGILL (exceptions), SIGUSR1 (suspend a thread) and SIGQUIT (end a thread). When its ntdll.so
 * installs its handlers, this library, which comes first in symbol lookup, installs one of its own that calls Wine's. Calls
 * of sigaction by anybody else pass through untouched, in Wine's processes too.
 *
 * - Suspend and end: put off while the thread is in a critical section, the core's or ours. The section's end raises the
 *   signal again. A thread that vanished with a lock held would hang every other.
 * - A fault in the core's copy routine: Wine's handler runs first. If it leaves the instruction pointer alone, it has
 *   dealt with the fault (a write-watched page, a guard page that grew a stack) and the copy goes on. If not, Wine was about to
 *   throw the call's frames away, with whatever they hold: the registers are put back and the copy routine reports the
 *   bad address instead.
 * - Any other fault in the core's code is a defect. Wine would turn it into a status and let the program go on with half a
 *   change made; the process ends instead, with the core dump at the right place.
 *
 * A 32-bit program's thread may be interrupted while FS holds its own selector. Thread-local storage is out of reach then, and
 * nothing of ours is running: Wine's handler is called at once. For the same reason no stack protector here, which reads FS. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)

#define NO_STACK_PROTECTOR __attribute__((no_stack_protector))

/* ---- Threads ---- */

__thread wine_thread wine_thread_current __attribute__((tls_model("initial-exec")));

extern int __cxa_thread_atexit_impl(void (*function)(void *), void *argument, void *library);
extern void *__dso_handle __attribute__((visibility("hidden")));

/* Runs before the destructors of thread-specific data, and so before the core's. Wine has closed the thread's connection to
 * its server by then: from here on the thread is as foreign to Wine as any. */
static void thread_ends(void *thread) {
    own_thread_end();
    ((wine_thread *)thread)->entered = false;
}

void wine_thread_enter_slow(void) {
    wine_critical_enter();
    if (!wine_thread_current.entered) {
        __cxa_thread_atexit_impl(thread_ends, &wine_thread_current, &__dso_handle);
        wine_thread_current.entered = true;
    }
    wine_critical_leave();
}

void wine_critical_deliver(void) {
    uint32_t pending = __atomic_exchange_n(&wine_thread_current.deferred, 0, __ATOMIC_RELAXED);
    for (int signal = 1; signal < 32; signal++)
        if (pending & (1u << signal)) syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), signal);
}

/* ---- Handlers ---- */

static struct sigaction wine_actions[32];

static inline bool storage_is_reachable(void) {
    uint16_t selector;
    __asm__ volatile("movw %%fs, %0" : "=r"(selector));
    return selector == 0;
}

static NO_STACK_PROTECTOR bool put_off(int signal) {
    if (wine_thread_current.critical) {
        wine_thread_current.deferred |= 1u << signal;
        return true;
    }
    return core_ready && core.handle_thread_signal(signal);
}

static void end_process(int signal) {
    static const char text[] = "ntlpc: a fault inside libntlpc.so: the process ends, its ports can no longer be trusted\n";
    const struct sigaction standard = { .sa_handler = SIG_DFL };
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) { /* nobody to tell */ }
    sigaction(signal, &standard, NULL);         /* the instruction runs again, and now the kernel ends the process */
}

/* True when Wine's handler is not to run any more. */
static NO_STACK_PROTECTOR bool handle_fault(int signal, siginfo_t *info, void *context, const struct sigaction *wine) {
    ucontext_t *frame = context;
    gregset_t before, fixed;
    memcpy(before, frame->uc_mcontext.gregs, sizeof before);
    if (!core.handle_fault_signal(signal, info, context)) {
        uintptr_t at = (uintptr_t)before[REG_RIP];
        if (info->si_code <= 0 || at < core.code_begin || at >= core.code_end) return false;
        end_process(signal);
        return true;
    }
    if (!wine_thread_current.entered) return true;      /* no thread of Wine's: its handler would take us for another */
    memcpy(fixed, frame->uc_mcontext.gregs, sizeof fixed);
    memcpy(frame->uc_mcontext.gregs, before, sizeof before);
    wine->sa_sigaction(signal, info, context);
    if (frame->uc_mcontext.gregs[REG_RIP] != before[REG_RIP] || frame->uc_mcontext.gregs[REG_RSP] != before[REG_RSP])
        memcpy(frame->uc_mcontext.gregs, fixed, sizeof fixed);
    return true;
}

static NO_STACK_PROTECTOR void on_signal(int signal, siginfo_t *info, void *context) {
    const struct sigaction *wine = &wine_actions[signal];
    if (storage_is_reachable()) {
        if (signal == SIGUSR1 || signal == SIGQUIT) {
            if (put_off(signal)) return;
        } else if (core_ready && handle_fault(signal, info, context, wine)) {
            return;
        }
    }
    wine->sa_sigaction(signal, info, context);
}

/* ---- The door ---- */

typedef int (*sigaction_function)(int signal, const struct sigaction *action, struct sigaction *before);

static bool is_ours_to_wrap(int signal) {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGUSR1 || signal == SIGQUIT;
}

static bool lies_in_wine(void *address) {
    struct dl_find_object object;
    if (_dl_find_object(address, &object) != 0 || !object.dlfo_link_map->l_name) return false;
    const char *leaf = strrchr(object.dlfo_link_map->l_name, '/');
    return leaf && !strcmp(leaf, "/ntdll.so");
}

/* glibc's, in every program; Wine's calls get what the head of this file says. */
__attribute__((visibility("default")))
int sigaction(int signal, const struct sigaction *action, struct sigaction *before) {
    static sigaction_function next;
    if (!next) {
        void *found = dlsym(RTLD_NEXT, "sigaction");
        memcpy(&next, &found, sizeof found);
    }
    if (!is_ours_to_wrap(signal) || !lies_in_wine(__builtin_return_address(0)) || preload_disabled())
        return next(signal, action, before);

    if (signal == SIGSEGV && action) preload_wine_starts(__builtin_return_address(0));
    struct sigaction wrapped, found, wine_before = wine_actions[signal];
    if (action) {
        wrapped = *action;
        if (action->sa_flags & SA_SIGINFO) {
            wine_actions[signal] = *action;
            wrapped.sa_sigaction = on_signal;
        }
    }
    int result = next(signal, action ? &wrapped : NULL, &found);
    if (result == 0 && before) {
        *before = found;
        if ((found.sa_flags & SA_SIGINFO) && found.sa_sigaction == on_signal) *before = wine_before;
    }
    return result;
}

#endif
