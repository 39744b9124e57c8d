/* Wine's own calls that must know a port's handle when they see one.
 *
 * Each hook takes the place of an entry in Wine's table of system calls and asks one question first: is the handle a port's?
 * For all others the answer costs about 4 ns and Wine's function does the work. The core is not loaded before there is a port.
 *
 * A closed handle's number may be given to another thread's new object at once. So the core hears of a close before Wine makes
 * it, and DUPLICATE_CLOSE_SOURCE is split into a duplication and a close. What would make Wine refuse, a handle protected
 * from closing, is asked beforehand.
 *
 * A bad pointer makes Wine abandon the call at the faulting instruction. Caller memory is touched only with nothing held. */
#include "wine_preload.h"
#include <string.h>

#if defined(__x86_64__)

static HANDLE plain(HANDLE handle) { return (HANDLE)((uintptr_t)handle & ~(uintptr_t)3); }

static bool is_protected(HANDLE handle) {
    OBJECT_DATA_INFORMATION flags;
    return wine_NtQueryObject(handle, ObjectDataInformation, &flags, sizeof flags, NULL) >= 0 && flags.ProtectFromClose;
}

/* ---- NtClose ---- */

static __attribute__((noinline)) NTSTATUS close_port(HANDLE handle) {
    wine_thread_enter();
    wine_critical_enter();
    if (!is_protected(handle) && port_handles_remove(handle)) core.handle_closed(plain(handle));
    NTSTATUS status = wine_NtClose(handle);
    wine_critical_leave();
    return status;
}

static NTSTATUS hook_NtClose(HANDLE handle) {
    return UNLIKELY(port_handles_contain(handle)) ? close_port(handle) : wine_NtClose(handle);
}

/* ---- NtDuplicateObject ---- */

static bool is_this_process(HANDLE process) {
    struct { NTSTATUS exit; PVOID block; ULONG_PTR affinity; LONG priority; HANDLE id, parent; } basic;
    if (process == NtCurrentProcess()) return true;
    return wine_NtQueryInformationProcess(process, 0, &basic, sizeof basic, NULL) >= 0
        && basic.id == current_client_id().UniqueProcess;
}

static NTSTATUS duplicate_within(HANDLE handle, HANDLE *result, ACCESS_MASK access, ULONG attributes, ULONG options) {
    NTSTATUS status = wine_NtDuplicateObject(NtCurrentProcess(), handle, NtCurrentProcess(), result, access, attributes, options);
    if (status < 0) return status;
    if (!port_handles_add(*result)) {
        wine_NtClose(*result);
        return STATUS_NO_MEMORY;
    }
    core.handle_duplicated(plain(handle), *result);
    return status;
}

static __attribute__((noinline)) NTSTATUS duplicate_port(HANDLE from, HANDLE handle, HANDLE to, HANDLE *result, ACCESS_MASK access,
                                                         ULONG attributes, ULONG options) {
    NTSTATUS status;
    HANDLE made = NULL;
    wine_thread_enter();
    if (!is_this_process(from)) return wine_NtDuplicateObject(from, handle, to, result, access, attributes, options);
    ULONG kept = options & ~DUPLICATE_CLOSE_SOURCE;
    access = event_access_for_port(access);
    wine_critical_enter();
    if (!to) {
        status = options & DUPLICATE_CLOSE_SOURCE ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    } else if (is_this_process(to)) {
        status = duplicate_within(handle, &made, access, attributes, kept);
    } else {
        status = wine_NtDuplicateObject(NtCurrentProcess(), handle, to, &made, access, attributes, kept);
    }
    /* As in NT, the source is closed whatever became of the duplication. */
    if (options & DUPLICATE_CLOSE_SOURCE) {
        NTSTATUS closed = hook_NtClose(handle);
        if (status >= 0 && !to) status = closed;
    }
    wine_critical_leave();
    if (status >= 0 && result) *result = made;
    return status;
}

static NTSTATUS hook_NtDuplicateObject(HANDLE from, HANDLE handle, HANDLE to, HANDLE *result, ACCESS_MASK access, ULONG attributes,
                                       ULONG options) {
    return UNLIKELY(port_handles_contain(handle)) ? duplicate_port(from, handle, to, result, access, attributes, options)
                                                  : wine_NtDuplicateObject(from, handle, to, result, access, attributes, options);
}

/* ---- NtQueryObject ---- */

static NTSTATUS query_port_type(void *buffer, ULONG size, ULONG *needed) {
    static const WCHAR name[] = u"ALPC Port";
    struct answer { OBJECT_TYPE_INFORMATION type; WCHAR text[sizeof name / sizeof *name]; } *answer = buffer;
    if (size < sizeof *answer) {
        if (needed) *needed = sizeof *answer;
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    memset(answer, 0, sizeof *answer);
    memcpy(answer->text, name, sizeof name);
    answer->type.TypeName = (UNICODE_STRING){ .Length = sizeof name - sizeof *name, .MaximumLength = sizeof name, .Buffer = answer->text };
    answer->type.TotalNumberOfObjects = answer->type.TotalNumberOfHandles = 1;
    answer->type.GenericMapping = (GENERIC_MAPPING){ ALPC_PORT_GENERIC_READ, ALPC_PORT_GENERIC_WRITE, ALPC_PORT_GENERIC_EXECUTE,
                                                     ALPC_PORT_GENERIC_ALL };
    answer->type.ValidAccessMask = PORT_ALL_ACCESS;
    if (needed) *needed = sizeof *answer;
    return STATUS_SUCCESS;
}

static __attribute__((noinline)) NTSTATUS query_port(HANDLE handle, ULONG kind, void *buffer, ULONG size, ULONG *needed) {
    if (kind == ObjectTypeInformation) return query_port_type(buffer, size, needed);
    NTSTATUS status = wine_NtQueryObject(handle, kind, buffer, size, needed);
    /* The event behind the handle has the standard rights that were granted; what a port adds is the right to connect. */
    if (status >= 0 && kind == ObjectBasicInformation) ((OBJECT_BASIC_INFORMATION *)buffer)->GrantedAccess |= PORT_CONNECT;
    return status;
}

static NTSTATUS hook_NtQueryObject(HANDLE handle, ULONG kind, void *buffer, ULONG size, ULONG *needed) {
    return UNLIKELY(port_handles_contain(handle)) ? query_port(handle, kind, buffer, size, needed)
                                                  : wine_NtQueryObject(handle, kind, buffer, size, needed);
}

/* ---- NtQueryInformationThread, NtTerminateThread ----
 * A thread that returns asks whether it is the last one; our own threads do not count (own_threads.c). They exist only together
 * with the helper. */

static NTSTATUS hook_NtQueryInformationThread(HANDLE thread, ULONG kind, void *buffer, ULONG size, ULONG *needed) {
    NTSTATUS status = wine_NtQueryInformationThread(thread, kind, buffer, size, needed);
    if (UNLIKELY(kind == ThreadAmILastThread) && status >= 0 && helper_is_running()) {
        ULONG *last = buffer;
        wine_thread_enter();
        if (!*last && own_threads_are_all_others()) *last = 1;
    }
    return status;
}

static NTSTATUS hook_NtTerminateThread(HANDLE thread, NTSTATUS status) {
    if (UNLIKELY(helper_is_running())) own_threads_one_ends(status);
    return wine_NtTerminateThread(thread, status);
}

/* ---- The table ---- */

static MS_ABI NTSTATUS ms_NtClose(HANDLE handle) { return hook_NtClose(handle); }
static MS_ABI NTSTATUS ms_NtDuplicateObject(HANDLE from, HANDLE handle, HANDLE to, HANDLE *result, ACCESS_MASK access,
                                            ULONG attributes, ULONG options) {
    return hook_NtDuplicateObject(from, handle, to, result, access, attributes, options);
}
static MS_ABI NTSTATUS ms_NtQueryObject(HANDLE handle, ULONG kind, void *buffer, ULONG size, ULONG *needed) {
    return hook_NtQueryObject(handle, kind, buffer, size, needed);
}
static MS_ABI NTSTATUS ms_NtQueryInformationThread(HANDLE thread, ULONG kind, void *buffer, ULONG size, ULONG *needed) {
    return hook_NtQueryInformationThread(thread, kind, buffer, size, needed);
}
static MS_ABI NTSTATUS ms_NtTerminateThread(HANDLE thread, NTSTATUS status) { return hook_NtTerminateThread(thread, status); }

const hook hooks[] = {
    { "NtClose", { (void *)ms_NtClose, (void *)hook_NtClose } },
    { "NtDuplicateObject", { (void *)ms_NtDuplicateObject, (void *)hook_NtDuplicateObject } },
    { "NtQueryObject", { (void *)ms_NtQueryObject, (void *)hook_NtQueryObject } },
    { "NtQueryInformationThread", { (void *)ms_NtQueryInformationThread, (void *)hook_NtQueryInformationThread } },
    { "NtTerminateThread", { (void *)ms_NtTerminateThread, (void *)hook_NtTerminateThread } },
};
const uint32_t hooks_count = sizeof hooks / sizeof *hooks;

#endif
