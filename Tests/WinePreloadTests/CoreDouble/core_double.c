/* Stands in for libntlpc.so in the tests of the Wine preload library: it knows the host seam and nothing of ports, and does
 * to the library what the real core does, one thing at a time. Built at test time, with the sources of CLinuxShims. */
#define _GNU_SOURCE
#include "core_inside.h"
#include <linux_shims.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

const NTLPC_HOST *host;
PVOID waitable;
static uint32_t gate, closes, duplicates, finished;
static pthread_key_t end_key;

NTSTATUS ntlpc_set_host(const NTLPC_HOST *table) {
    host = table;
    return STATUS_SUCCESS;
}
BOOLEAN ntlpc_handle_closed(HANDLE handle) { (void)handle; __atomic_fetch_add(&closes, 1, __ATOMIC_SEQ_CST); return TRUE; }
BOOLEAN ntlpc_handle_duplicated(HANDLE handle, HANDLE new) {
    (void)handle;
    (void)new;
    __atomic_fetch_add(&duplicates, 1, __ATOMIC_SEQ_CST);
    return TRUE;
}
BOOLEAN ntlpc_handle_is_port(HANDLE handle) { (void)handle; return FALSE; }
BOOLEAN ntlpc_handle_fault_signal(int signal, void *info, void *context) { return ntlpc_handle_fault(signal, info, context); }
BOOLEAN ntlpc_handle_thread_signal(int signal) { return ntlpc_defer_signal(signal); }

static void *signal_waitable(void *on) { host->SetSignaled(waitable, on != NULL); return NULL; }
static void signal_at_end(void *on) { signal_waitable(on); }
static void *toggle(void *unused) {
    (void)unused;
    for (int i = 0; i < 5000; i++) host->SetSignaled(waitable, i & 1);
    host->SetSignaled(waitable, TRUE);
    return NULL;
}
void from_outside(void *(*body)(void *), void *argument) {
    pthread_t thread;
    pthread_create(&thread, NULL, body, argument);
    pthread_join(thread, NULL);
}
static void make_key(void) { pthread_key_create(&end_key, signal_at_end); }

static NTSTATUS copy_status(size_t left) { return left ? STATUS_ACCESS_VIOLATION : STATUS_SUCCESS; }

/* With attributes the port is waitable, without it is not. */
static NTSTATUS create_port(PHANDLE result, POBJECT_ATTRIBUTES object, PALPC_PORT_ATTRIBUTES attributes) {
    OBJECT_ATTRIBUTES copy = { 0 };
    HANDLE handle;
    PVOID own = NULL;
    if (object && ntlpc_copy(&copy, object, sizeof copy)) return STATUS_ACCESS_VIOLATION;
    NTSTATUS status = host->CreateHandle(&handle, &own, PORT_ALL_ACCESS, copy.Attributes, !attributes);
    if (status < 0) return status;
    if (ntlpc_copy(result, &handle, sizeof handle)) {
        if (own) host->CloseWaitable(own);
        host->CloseHandle(handle);
        return STATUS_ACCESS_VIOLATION;
    }
    if (own) waitable = own;
    return STATUS_SUCCESS;
}

static NTSTATUS create_lpc_port(PHANDLE result, POBJECT_ATTRIBUTES object, ULONG info, ULONG message, ULONG pool) {
    return info + message + pool == 6 ? create_port(result, object, NULL) : STATUS_INVALID_PARAMETER;
}

static NTSTATUS work_in_critical(void) {
    uint64_t end = ntlpc_monotonic_ns() + 300000000u;
    ntlpc_critical_enter();
    while (ntlpc_monotonic_ns() < end) ntlpc_cpu_relax();
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
    ntlpc_critical_leave();
    return STATUS_SUCCESS;
}

static NTSTATUS block(void) {
    while (!__atomic_load_n(&gate, __ATOMIC_ACQUIRE)) ntlpc_futex_wait(&gate, 0, false, 0);
    return 0x55;
}

static NTSTATUS operate(HANDLE port, ULONG operation, PPORT_MESSAGE a, PALPC_MESSAGE_ATTRIBUTES send, PPORT_MESSAGE b, PSIZE_T c,
                        PALPC_MESSAGE_ATTRIBUTES receive, PLARGE_INTEGER timeout) {
    static char memory[65536];
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CLIENT_ID id;
    ULONG length = 512;
    uint64_t sum = (uintptr_t)port + (uintptr_t)a + (uintptr_t)send + (uintptr_t)b + (uintptr_t)receive + (uintptr_t)timeout;
    NTSTATUS status;
    switch (operation) {
    case ADD_ARGUMENTS: return copy_status(ntlpc_copy(c, &sum, sizeof sum));
    case BLOCK: return block();
    case RELEASE:
        __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
        return ntlpc_futex_wake(&gate, 99, false) < 0 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
    case READ_MEMORY: return copy_status(ntlpc_copy(memory, a, (size_t)c));
    case WRITE_MEMORY: memset(memory, 0, sizeof memory); return copy_status(ntlpc_copy(a, memory, (size_t)c));
    case READ_IN_CRITICAL:
        ntlpc_critical_enter();
        status = copy_status(ntlpc_copy(memory, a, (size_t)c));
        ntlpc_critical_leave();
        return status;
    case COUNT_CLOSES: return (NTSTATUS)closes;
    case COUNT_DUPLICATES: return (NTSTATUS)duplicates;
    case QUERY_CLIENT_ID: host->QueryClientId(&id); return copy_status(ntlpc_copy(a, &id, sizeof id));
    case CLASSIFY_HANDLE: return host->ClassifyHandle(a);
    case QUERY_DIRECTORY_NAME:
        status = host->QueryDirectoryName(a, (WCHAR *)b, &length);
        return ntlpc_copy(c, &length, sizeof length) ? STATUS_ACCESS_VIOLATION : status;
    case SIGNAL: signal_waitable(&gate); return STATUS_SUCCESS;
    case UNSIGNAL: signal_waitable(NULL); return STATUS_SUCCESS;
    case SIGNAL_FROM_OUTSIDE: from_outside(signal_waitable, &gate); return STATUS_SUCCESS;
    case UNSIGNAL_FROM_OUTSIDE: from_outside(signal_waitable, NULL); return STATUS_SUCCESS;
    case SIGNAL_IN_A_RACE: {
        pthread_t other;
        pthread_create(&other, NULL, toggle, NULL);
        toggle(NULL);
        pthread_join(other, NULL);
        return STATUS_SUCCESS;
    }
    case SIGNAL_AT_THREAD_END: pthread_once(&once, make_key); pthread_setspecific(end_key, &gate); return STATUS_SUCCESS;
    case CLOSE_WAITABLE: host->CloseWaitable(waitable); waitable = NULL; return STATUS_SUCCESS;
    case WORK_IN_CRITICAL: return work_in_critical();
    case COUNT_FINISHED: return (NTSTATUS)__atomic_load_n(&finished, __ATOMIC_SEQ_CST);
    case TRAP: __builtin_trap();
    case STRAY_WRITE: *(volatile int *)(uintptr_t)0x10 = 1; return STATUS_SUCCESS;
    default: return use_host(operation, (core_request *)a);
    }
}

/* Calls that show how arguments and results arrive */
static NTSTATUS accept_alpc(PHANDLE a, HANDLE b, ULONG c, POBJECT_ATTRIBUTES d, PALPC_PORT_ATTRIBUTES e, PVOID f, PPORT_MESSAGE g,
                            PALPC_MESSAGE_ATTRIBUTES h, uint32_t accept) {
    (void)a, (void)b, (void)d, (void)e, (void)f, (void)g, (void)h;
    return (NTSTATUS)(accept + (c << 8));       /* as a compiler may read a BOOLEAN: all 32 bits of it */
}
static NTSTATUS accept_lpc(PHANDLE a, PVOID b, PPORT_MESSAGE c, uint32_t accept, PPORT_VIEW d, PREMOTE_PORT_VIEW e) {
    (void)a, (void)b, (void)c, (void)e;
    return (NTSTATUS)((uintptr_t)d + accept);
}
static PVOID get_attribute(PALPC_MESSAGE_ATTRIBUTES buffer, ULONG flag) { return (char *)buffer + ((uint64_t)flag << 32); }
static SIZE_T get_header_size(ULONG flags) { return 0x1122334400000000u + flags; }
static PVOID give_null(void) { return NULL; }
static NTSTATUS give_not_implemented(void) { return STATUS_NOT_IMPLEMENTED; }

void *ntlpc_resolve(const char *name, unsigned abi) {
    static const struct { const char *name; void *function; } calls[] = {
        { "NtAlpcCreatePort", (void *)create_port }, { "NtCreatePort", (void *)create_lpc_port },
        { "NtAlpcSendWaitReceivePort", (void *)operate }, { "NtAlpcAcceptConnectPort", (void *)accept_alpc },
        { "NtAcceptConnectPort", (void *)accept_lpc }, { "AlpcGetMessageAttribute", (void *)get_attribute },
        { "AlpcGetHeaderSize", (void *)get_header_size }, { "AlpcGetMessageFromCompletionList", (void *)give_null },
    };
    if (abi != NTLPC_ABI_SYSV) return NULL;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) if (!strcmp(calls[i].name, name)) return calls[i].function;
    return (void *)give_not_implemented;
}
