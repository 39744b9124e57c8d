/* Wine as the core's host.
 *
 * A port's handle must come from wineserver, or it would collide with Wine's own handles, and programs wait on it, close it and
 * duplicate it with calls that Wine serves. So a port's handle is an event's. The program's handle carries no right to set
 * or reset the event; a waitable port keeps a second handle that does.
 *
 * All functions are for threads of Wine's, inside a port call or a hook, but for those that ntlpc_host.h lets any thread call.
 * They check it: the core's own threads are none of Wine's. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)

/* ---- The set of port handles ----
 * Two levels of bits by handle / 4, so that the question costs two loads for any handle, and memory only where ports are. */

#define HANDLE_BITS 24                  /* wineserver gives out no more */
#define PAGE_BITS 12
#define PAGE_WORDS ((1u << PAGE_BITS) / 64)

static uint64_t *pages[1u << (HANDLE_BITS - PAGE_BITS)];

static uint64_t *word_of(HANDLE handle) {
    uintptr_t index = (uintptr_t)handle >> 2;
    if (index >> HANDLE_BITS) return NULL;
    uint64_t *page = __atomic_load_n(&pages[index >> PAGE_BITS], __ATOMIC_ACQUIRE);
    return page ? page + ((index >> 6) & (PAGE_WORDS - 1)) : NULL;
}

static uint64_t bit_of(HANDLE handle) { return 1ull << (((uintptr_t)handle >> 2) & 63); }

bool port_handles_contain(HANDLE handle) {
    uint64_t *word = word_of(handle);
    return word && (__atomic_load_n(word, __ATOMIC_RELAXED) & bit_of(handle));
}

bool port_handles_add(HANDLE handle) {
    uintptr_t index = (uintptr_t)handle >> 2;
    if (index >> HANDLE_BITS) return false;
    if (!__atomic_load_n(&pages[index >> PAGE_BITS], __ATOMIC_ACQUIRE)) {
        uint64_t *new = calloc(PAGE_WORDS, sizeof *new), *none = NULL;
        if (!new) return false;
        if (!__atomic_compare_exchange_n(&pages[index >> PAGE_BITS], &none, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) free(new);
    }
    __atomic_fetch_or(word_of(handle), bit_of(handle), __ATOMIC_ACQ_REL);
    return true;
}

bool port_handles_remove(HANDLE handle) {
    uint64_t *word = word_of(handle);
    return word && (__atomic_fetch_and(word, ~bit_of(handle), __ATOMIC_ACQ_REL) & bit_of(handle));
}

/* ---- Handles ---- */

ACCESS_MASK event_access_for_port(ACCESS_MASK access) {
    ACCESS_MASK result = access & STANDARD_RIGHTS_ALL;
    if (access & (GENERIC_ALL | MAXIMUM_ALLOWED)) result |= STANDARD_RIGHTS_ALL;
    if (access & GENERIC_READ) result |= ALPC_PORT_GENERIC_READ & STANDARD_RIGHTS_ALL;
    if (access & GENERIC_WRITE) result |= ALPC_PORT_GENERIC_WRITE & STANDARD_RIGHTS_ALL;
    return result;
}

static NTSTATUS create_plain(HANDLE *handle, ACCESS_MASK access, ULONG attributes) {
    OBJECT_ATTRIBUTES object = { .Length = sizeof object, .Attributes = attributes };
    return wine_NtCreateEvent(handle, access, &object, NotificationEvent, TRUE);
}

static NTSTATUS create_waitable(HANDLE *handle, PVOID *waitable, ACCESS_MASK access, ULONG attributes) {
    HANDLE own;
    waitable_event *event;
    NTSTATUS status = wine_NtCreateEvent(&own, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE);
    if (status < 0) return status;
    status = wine_NtDuplicateObject(NtCurrentProcess(), own, NtCurrentProcess(), handle, access, attributes, 0);
    if (status >= 0) {
        status = waitable_event_create(&event, own);
        if (status >= 0) {
            *waitable = event;
            return status;
        }
        wine_NtClose(*handle);
    }
    wine_NtClose(own);
    return status;
}

/* A port that is signaled from the start is one that cannot be waited for: it stays so, gets no *waitable, and spares the process
 * the helper thread. */
static NTSTATUS create_handle(HANDLE *handle, PVOID *waitable, ACCESS_MASK access, ULONG attributes, BOOLEAN signaled) {
    HANDLE new;
    PVOID new_waitable = NULL;
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    access = event_access_for_port(access);
    attributes &= OBJ_INHERIT;
    NTSTATUS status = signaled ? create_plain(&new, access, attributes) : create_waitable(&new, &new_waitable, access, attributes);
    if (status < 0) return status;
    if (!port_handles_add(new)) {
        if (new_waitable) waitable_event_close(new_waitable);
        wine_NtClose(new);
        return STATUS_NO_MEMORY;
    }
    *waitable = new_waitable;
    *handle = new;
    return STATUS_SUCCESS;
}

static NTSTATUS close_handle(HANDLE handle) {
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    port_handles_remove(handle);
    return wine_NtClose(handle);
}

static void set_signaled(PVOID waitable, BOOLEAN signaled) {
    if (waitable) waitable_event_set(waitable, signaled);
}

static void close_waitable(PVOID waitable) {
    if (waitable) waitable_event_close(waitable);
}

/* ---- Questions about other handles ---- */

static NTSTATUS classify_handle(HANDLE handle) {
    OBJECT_BASIC_INFORMATION basic;
    if (!wine_thread_current.entered) return STATUS_INVALID_HANDLE;
    NTSTATUS status = wine_NtQueryObject(handle, ObjectBasicInformation, &basic, sizeof basic, NULL);
    return status == STATUS_INVALID_HANDLE ? STATUS_INVALID_HANDLE : STATUS_OBJECT_TYPE_MISMATCH;
}

NTSTATUS query_type_name(HANDLE handle, WCHAR name[32], ULONG *length) {
    struct { OBJECT_TYPE_INFORMATION type; WCHAR text[64]; } information;
    NTSTATUS status = wine_NtQueryObject(handle, ObjectTypeInformation, &information, sizeof information, NULL);
    if (status < 0) return status;
    *length = information.type.TypeName.Length / sizeof *name;
    if (*length > 32) *length = 0;
    memcpy(name, information.type.TypeName.Buffer, *length * sizeof *name);
    return status;
}

static bool is_directory(HANDLE handle, NTSTATUS *status) {
    static const WCHAR wanted[] = u"Directory";
    WCHAR name[32];
    ULONG length;
    *status = query_type_name(handle, name, &length);
    return *status >= 0 && length == sizeof wanted / sizeof *wanted - 1 && !memcmp(name, wanted, length * sizeof *name);
}

static NTSTATUS query_directory_name(HANDLE directory, WCHAR *buffer, ULONG *length) {
    struct { OBJECT_NAME_INFORMATION name; WCHAR text[0x8000]; } *information;
    NTSTATUS status;
    if (!wine_thread_current.entered) return STATUS_INVALID_HANDLE;
    if (!is_directory(directory, &status)) return status < 0 ? status : STATUS_OBJECT_TYPE_MISMATCH;
    /* Wine may abandon a call that faults; everything it writes to here is ours, so it never does. */
    information = malloc(sizeof *information);
    if (!information) return STATUS_NO_MEMORY;
    status = wine_NtQueryObject(directory, ObjectNameInformation, information, sizeof *information, NULL);
    if (status >= 0) {
        ULONG needed = information->name.Name.Length;
        if (needed > *length) status = STATUS_BUFFER_TOO_SMALL;
        else memcpy(buffer, information->name.Name.Buffer, needed);
        *length = needed;
    }
    free(information);
    return status;
}

CLIENT_ID current_client_id(void) {
    CLIENT_ID id;
    __asm__ volatile("movq %%gs:0x40, %0" : "=r"(id.UniqueProcess));
    __asm__ volatile("movq %%gs:0x48, %0" : "=r"(id.UniqueThread));
    return id;
}

/* Wine's numbers, which are not Linux's. For a thread that Wine does not know: the process's, and no thread. */
static void query_client_id(CLIENT_ID *id) {
    static HANDLE process;
    if (wine_thread_current.entered) {
        *id = current_client_id();
        __atomic_store_n(&process, id->UniqueProcess, __ATOMIC_RELAXED);
    } else {
        *id = (CLIENT_ID){ .UniqueProcess = __atomic_load_n(&process, __ATOMIC_RELAXED) };
    }
}

/* ---- Waits ----
 * When an alertable wait is interrupted, Wine prepares the thread to run its APC as soon as it is back on the Windows side, with
 * STATUS_USER_APC as what the call under way returns, whatever it really returns. So the wait ends here as any other does, and
 * nothing is abandoned; but the call has been answered. */
static NTSTATUS wait_for_handle(HANDLE handle, BOOLEAN alertable, PLARGE_INTEGER timeout) {
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    helper_stand_in();
    return wine_NtWaitForSingleObject(handle, alertable != 0, timeout);
}

const NTLPC_HOST wine_host = {
    .Size = sizeof(NTLPC_HOST),
    .World = NTLPC_WORLD_WINE,
    .CreateHandle = create_handle,
    .CloseHandle = close_handle,
    .SetSignaled = set_signaled,
    .CloseWaitable = close_waitable,
    .ClassifyHandle = classify_handle,
    .QueryDirectoryName = query_directory_name,
    .QueryClientId = query_client_id,
    .QueryHandle = wine_query_handle,
    .HandleToDescriptor = wine_handle_to_descriptor,
    .DescriptorToHandle = wine_descriptor_to_handle,
    .QuerySession = wine_query_session,
    .SendHandle = wine_send_handle,
    .CloseObject = wine_close_object,
    .ReferenceEvent = wine_reference_event,
    .ReferenceCompletionPort = wine_reference_completion_port,
    .PostCompletion = wine_post_completion,
    .ReleaseCompletionPort = wine_release_completion_port,
    .OpenProcess = wine_open_process,
    .OpenThread = wine_open_thread,
    .QueryThread = wine_thread_id,
    .QueryToken = wine_query_token,
    .Impersonate = wine_impersonate,
    .WaitForHandle = wait_for_handle,
    .StartWorker = wine_start_worker,
    .QueryUserSid = wine_query_user_sid,
};

#endif
