/* The signal side of ntlpc_copy: a fault inside it becomes its return value, every other fault goes where it went before. */
#define _GNU_SOURCE
#include "linux_shims.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

extern const char ntlpc_copy_begin[], ntlpc_copy_end[], ntlpc_copy_fixup[];
static struct sigaction previous[2];

static struct sigaction *previous_of(int signal) { return &previous[signal == SIGBUS]; }

bool ntlpc_fault_is_ours(const void *context) {
    const ucontext_t *frame = context;
    uintptr_t at = (uintptr_t)frame->uc_mcontext.gregs[REG_RIP];
    return at - (uintptr_t)ntlpc_copy_begin < (uintptr_t)(ntlpc_copy_end - ntlpc_copy_begin);
}

bool ntlpc_handle_fault(int signal, void *siginfo, void *context) {
    ucontext_t *frame = context;
    (void)signal;
    (void)siginfo;
    if (!ntlpc_fault_is_ours(context)) return false;
    frame->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)ntlpc_copy_fixup;
    return true;
}

static void on_fault(int signal, siginfo_t *info, void *context) {
    struct sigaction *before = previous_of(signal);
    if (ntlpc_handle_fault(signal, info, context)) return;
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(signal, info, context);
    } else if (before->sa_handler == SIG_DFL || before->sa_handler == SIG_IGN) {
        /* Run the instruction again under the default action, so that a core dump shows the fault's own address. The kernel
         * treats an ignored synchronous fault as the default too. A signal sent by kill() would not come again: raise it. */
        struct sigaction standard = { .sa_handler = SIG_DFL };
        sigaction(signal, &standard, NULL);
        if (info->si_code <= 0) raise(signal);
    } else {
        before->sa_handler(signal);
    }
}

int ntlpc_copy_install(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const int signals[2] = { SIGSEGV, SIGBUS };
    int result = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 2 && result == 0; i++) {
        struct sigaction found;
        if (sigaction(signals[i], NULL, &found)) { result = -errno; break; }
        if ((found.sa_flags & SA_SIGINFO) && found.sa_sigaction == on_fault) continue;
        *previous_of(signals[i]) = found;
        struct sigaction ours = {
            .sa_sigaction = on_fault,
            .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | (found.sa_flags & SA_NODEFER),
            .sa_mask = found.sa_mask,
        };
        if (sigaction(signals[i], &ours, NULL)) result = -errno;
    }
    pthread_mutex_unlock(&lock);
    return result;
}
