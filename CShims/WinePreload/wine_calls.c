/* Wine's own system calls, called from the Unix side.
 *
 * The functions that ntdll.so exports use the Microsoft convention up to Wine 8 or so and System V in newer ones; nothing in
 * the binary says which. So the first call goes to NtQuerySystemTime with both conventions' first argument registers set, and
 * the word that gets written tells.
 *
 * Each convention's call sits in a function of its own that is never inlined: gcc 12 merged the two branches of one function
 * into the wrong convention. Callers must be threads of Wine's, with one exception: memory calls during installation, which
 * runs on Wine's first thread before any Windows code. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <dlfcn.h>
#include <string.h>

#if defined(__x86_64__)

bool wine_calls_are_sysv;

#define DEFINE(name, parameters, arguments) \
    static void *entry_##name; \
    static __attribute__((noinline)) NTSTATUS name##_ms parameters { return ((MS_ABI NTSTATUS (*) parameters)entry_##name) arguments; } \
    static __attribute__((noinline)) NTSTATUS name##_sysv parameters { return ((NTSTATUS (*) parameters)entry_##name) arguments; } \
    NTSTATUS wine_##name parameters { return wine_calls_are_sysv ? name##_sysv arguments : name##_ms arguments; }
WINE_CALLS(DEFINE)
#undef DEFINE

#define DEFINE(name, parameters, arguments) \
    static void *entry_##name; \
    static __attribute__((noinline)) NTSTATUS name##_ms parameters { return ((MS_ABI NTSTATUS (*) parameters)entry_##name) arguments; } \
    static __attribute__((noinline)) NTSTATUS name##_sysv parameters { return ((NTSTATUS (*) parameters)entry_##name) arguments; } \
    NTSTATUS wine_##name parameters { \
        return !entry_##name ? STATUS_NOT_SUPPORTED : wine_calls_are_sysv ? name##_sysv arguments : name##_ms arguments; \
    }
WINE_OPTIONAL_CALLS(DEFINE)
WINE_SERVER_CALLS(DEFINE)
#undef DEFINE

static const struct { const char *name; void **entry; bool is_optional; } entries[] = {
#define ROW(name, parameters, arguments) { #name, &entry_##name, false },
    WINE_CALLS(ROW)
#undef ROW
#define ROW(name, parameters, arguments) { #name, &entry_##name, true },
    WINE_OPTIONAL_CALLS(ROW)
#undef ROW
#define ROW(name, parameters, arguments) { "wine_" #name, &entry_##name, true },
    WINE_SERVER_CALLS(ROW)
#undef ROW
};
#define ENTRY_COUNT (sizeof entries / sizeof *entries)

/* Calls `function`, an NtQuerySystemTime of unknown convention. Every register that either convention lets it change counts
 * as changed, and the stack pointer first steps over the red zone and leaves the Microsoft convention its home space. */
static bool probe_convention(void *function, bool *is_sysv) {
    int64_t by_ms = 0, by_sysv = 0;
    register int64_t *sysv_argument __asm__("rdi") = &by_sysv;
    register int64_t *ms_argument __asm__("rcx") = &by_ms;
    __asm__ volatile(
        "movq %%rsp, %%r12\n\t"
        "subq $256, %%rsp\n\t"
        "andq $-16, %%rsp\n\t"
        "call *%2\n\t"
        "movq %%r12, %%rsp"
        : "+r"(sysv_argument), "+r"(ms_argument)
        : "r"(function)
        : "rax", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
          "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    *is_sysv = by_sysv != 0;
    return (by_sysv != 0) != (by_ms != 0);
}

bool wine_calls_find(void *ntdll) {
    void *probe = dlsym(ntdll, "NtQuerySystemTime");
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        *entries[i].entry = dlsym(ntdll, entries[i].name);
        if (*entries[i].entry) continue;
        preload_trace("%sntdll.so has no %s", entries[i].is_optional ? "" : "not installed: ", entries[i].name);
        if (!entries[i].is_optional) return false;
    }
    if (!probe || !probe_convention(probe, &wine_calls_are_sysv)) {
        preload_trace("not installed: ntdll.so's calling convention is not known");
        return false;
    }
    return true;
}

void wine_calls_redirect(const char *name, void *function) {
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (!strcmp(entries[i].name, name)) *entries[i].entry = function;
}

#endif
