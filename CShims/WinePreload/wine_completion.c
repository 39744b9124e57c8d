/* Packets for Wine's completion ports, posted from any thread and in order.
 *
 * A completion port is kept by a handle of our own, so that packets still find it when the program has closed its own. A thread of
 * Wine's posts directly; another queues the packet for the helper. While packets of a port are queued, threads of Wine's queue
 * theirs behind them: what one thread posted before another began is taken first.
 *
 * `references` are the core's one and one for each queued packet; the last to go closes the handle. */
#include "wine_preload.h"
#include <stdlib.h>

#if defined(__x86_64__)

#define IO_COMPLETION_MODIFY_STATE 0x0002u

typedef struct completion_port {
    helper_job close;
    HANDLE handle;
    uint32_t references, queued;
} completion_port;

typedef struct packet {
    helper_job job;
    completion_port *port;
    PVOID key, context;
    NTSTATUS status;
    ULONG_PTR information;
} packet;

/* As NtSetIoCompletion judges a handle: its type, then its right to post. */
static NTSTATUS check_handle(HANDLE handle) {
    static const WCHAR wanted[] = u"IoCompletion";
    OBJECT_BASIC_INFORMATION basic;
    WCHAR name[32];
    ULONG length;
    NTSTATUS status = query_type_name(handle, name, &length);
    if (status < 0) return status;
    bool is_completion_port = !port_handles_contain(handle) && length == sizeof wanted / sizeof *wanted - 1;
    for (ULONG i = 0; is_completion_port && i < length; i++) is_completion_port = name[i] == wanted[i];
    if (!is_completion_port) return STATUS_OBJECT_TYPE_MISMATCH;
    status = wine_NtQueryObject(handle, ObjectBasicInformation, &basic, sizeof basic, NULL);
    if (status < 0) return status;
    return basic.GrantedAccess & IO_COMPLETION_MODIFY_STATE ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

static void close_port(helper_job *job) {
    completion_port *port = (completion_port *)job;
    wine_NtClose(port->handle);
    free(port);
}

NTSTATUS wine_reference_completion_port(HANDLE handle, PVOID *completion) {
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    NTSTATUS status = check_handle(handle);
    if (status < 0) return status;
    status = helper_start();                    /* packets may come from threads that cannot start it */
    if (status < 0) return status;
    completion_port *port = calloc(1, sizeof *port);
    if (!port) return STATUS_NO_MEMORY;
    port->close.run = close_port;
    port->references = 1;
    status = wine_NtDuplicateObject(NtCurrentProcess(), handle, NtCurrentProcess(), &port->handle, IO_COMPLETION_MODIFY_STATE, 0, 0);
    if (status < 0) free(port);
    else *completion = port;
    return status;
}

static void drop(completion_port *port) {
    /* ORDER: whoever closes has seen what the others did before they dropped theirs. */
    if (__atomic_sub_fetch(&port->references, 1, __ATOMIC_ACQ_REL)) return;
    if (wine_thread_current.entered) close_port(&port->close);
    else helper_queue(&port->close);
}

static void post_and_free(helper_job *job) {
    packet *sent = (packet *)job;
    completion_port *port = sent->port;
    wine_NtSetIoCompletion(port->handle, (ULONG_PTR)sent->key, (ULONG_PTR)sent->context, sent->status, sent->information);
    __atomic_sub_fetch(&port->queued, 1, __ATOMIC_RELEASE);     /* ORDER: pairs with the load in wine_post_completion */
    free(sent);
    drop(port);
}

static NTSTATUS queue_packet(completion_port *port, PVOID key, PVOID context, NTSTATUS status, ULONG_PTR information) {
    packet *new = malloc(sizeof *new);
    if (!new) return STATUS_NO_MEMORY;
    *new = (packet){ { NULL, post_and_free }, port, key, context, status, information };
    __atomic_add_fetch(&port->references, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&port->queued, 1, __ATOMIC_RELAXED);
    helper_queue(&new->job);
    return STATUS_SUCCESS;
}

NTSTATUS wine_post_completion(PVOID completion, PVOID key, PVOID context, NTSTATUS status, ULONG_PTR information) {
    completion_port *port = completion;
    NTSTATUS result;
    wine_critical_enter();
    if (wine_thread_current.entered && !__atomic_load_n(&port->queued, __ATOMIC_ACQUIRE))
        result = wine_NtSetIoCompletion(port->handle, (ULONG_PTR)key, (ULONG_PTR)context, status, information);
    else
        result = queue_packet(port, key, context, status, information);
    wine_critical_leave();
    return result;
}

void wine_release_completion_port(PVOID completion) {
    wine_critical_enter();
    drop(completion);
    wine_critical_leave();
}

#endif
