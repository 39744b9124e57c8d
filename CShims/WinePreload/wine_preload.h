/* What the files of the Wine preload library share.
 *
 *   install.c          sees Wine start, finds its parts, makes the changes in one go
 *   exports.c          ntdll.dll's new export directory
 *   stubs.c            code that ntdll.dll's new exports lead to, and the Unix side of each call
 *   core.c             loads libntlpc.so at the first port call
 *   wine_calls.c       Wine's own calls, whatever their calling convention
 *   hooks.c            NtClose, NtDuplicateObject, NtQueryObject, and the end of threads
 *   signals.c          what comes before Wine's signal handlers, and what is known of each thread
 *
 *   wine_host.c        the host table that the core works through; the handles of ports
 *   wine_objects.c     what messages carry: handles, descriptors
 *   wine_processes.c   other processes of the session, threads
 *   wine_identity.c    tokens and impersonation
 *   wine_completion.c  packets for completion ports
 *   wine_worker.c      threads that run callbacks; worker_code.S is their Windows side
 *   waitable_event.c   events that any thread sets: those behind ports, and the program's
 *   helper.c           work for a thread of Wine's, queued by any thread
 *   own_threads.c      the process's end, when only threads of ours are left
 *
 * Down: install calls exports, stubs and hooks; stubs call core; core calls back through wine_host's table, whose functions use
 * the helper and Wine's calls. Everything here runs on
 * the Unix side of Wine: System V calls, glibc's thread-local storage, Wine's stack for system calls. */
#ifndef WINE_PRELOAD_H
#define WINE_PRELOAD_H

#include <ntlpc/ntlpc_calls.h>
#include <ntlpc/ntlpc_host.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define MS_ABI __attribute__((ms_abi))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* A status of the loader: the core cannot be had */
#undef STATUS_DLL_NOT_FOUND
#define STATUS_DLL_NOT_FOUND ((NTSTATUS)0xC0000135)

/* ---- install.c ---- */
bool preload_disabled(void);                    /* NTLPC_DISABLE is set */
void preload_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* with NTLPC_TRACE=wine only */
void preload_complain(const char *format, ...) __attribute__((format(printf, 1, 2))); /* always: the user must know */
bool preload_directory(char *buffer, size_t size);  /* of this library, with the closing slash */
void preload_wine_starts(void *address_in_ntdll);   /* by signals.c, when Wine sets up SIGSEGV */

/* ---- exports.c ---- */
typedef struct pe_image {
    uint8_t *base;
    uint32_t size;
    uint32_t *export_slot;      /* DataDirectory[0] in the header: RVA, size */
} pe_image;

typedef struct pe_export { const char *name; uint32_t rva; } pe_export;

bool pe_image_open(pe_image *image, uint8_t *base);
uint8_t *pe_image_find(const pe_image *image, const char *name);
size_t pe_exports_size(const pe_image *image, const pe_export *added, uint32_t count);
/* Writes a directory at `at`, which lies above the image and below base + 4 GB: everything that `image` exports and `added`,
 * where `added` wins. `added` gets sorted. Returns the size to put in the header. */
uint32_t pe_exports_write(const pe_image *image, uint8_t *at, pe_export *added, uint32_t count);

/* ---- stubs.c ---- */
#define STUB_SIZE 64u
uint32_t stubs_count(void);                     /* one for each port call, stub i at i * STUB_SIZE */
const char *stubs_name(uint32_t index);
size_t stubs_size(void);                        /* with the helper's and the workers' code behind them */
/* `dispatcher` is the address of ntdll.dll's pointer to Wine's Unix call dispatcher, `add_function_table` its RtlAddFunctionTable
 * or NULL. */
bool stubs_write(uint8_t *at, const uint8_t *dispatcher, void *add_function_table);
uint8_t *stubs_helper(void);                    /* Windows-side start address of the helper */

/* ---- core.c ---- */
typedef struct core_library {
    BOOLEAN (*handle_closed)(HANDLE Handle);
    BOOLEAN (*handle_duplicated)(HANDLE Handle, HANDLE NewHandle);
    BOOLEAN (*handle_is_port)(HANDLE Handle);
    BOOLEAN (*handle_fault_signal)(int Signal, void *SigInfo, void *UContext);
    BOOLEAN (*handle_thread_signal)(int Signal);
    BOOLEAN (*next_work)(PVOID Pool, NTLPC_WORK *Work);     /* NULL in a core without callbacks */
    uintptr_t code_begin, code_end;             /* the library's address range */
} core_library;

extern core_library core;
extern bool core_ready;                         /* set last, never cleared */
bool core_load(void);                           /* the first caller loads, the others wait; false when that failed */
void *core_entry(const char *name);             /* System V entry of a call, or NULL */

/* ---- wine_calls.c: NtX of Wine is wine_NtX here ---- */
#define WINE_CALLS(X) \
    X(NtClose, (HANDLE handle), (handle)) \
    X(NtDuplicateObject, (HANDLE from, HANDLE handle, HANDLE to, HANDLE *result, ACCESS_MASK access, ULONG attributes, ULONG options), \
      (from, handle, to, result, access, attributes, options)) \
    X(NtQueryObject, (HANDLE handle, ULONG kind, void *buffer, ULONG size, ULONG *needed), (handle, kind, buffer, size, needed)) \
    X(NtQueryInformationThread, (HANDLE thread, ULONG kind, void *buffer, ULONG size, ULONG *needed), \
      (thread, kind, buffer, size, needed)) \
    X(NtQueryInformationProcess, (HANDLE process, ULONG kind, void *buffer, ULONG size, ULONG *needed), \
      (process, kind, buffer, size, needed)) \
    X(NtTerminateThread, (HANDLE thread, NTSTATUS status), (thread, status)) \
    X(NtTerminateProcess, (HANDLE process, NTSTATUS status), (process, status)) \
    X(NtGetNextThread, (HANDLE process, HANDLE thread, ACCESS_MASK access, ULONG attributes, ULONG flags, HANDLE *next), \
      (process, thread, access, attributes, flags, next)) \
    X(NtCreateThreadEx, (HANDLE *thread, ACCESS_MASK access, void *attributes, HANDLE process, void *start, void *argument, \
      ULONG flags, ULONG_PTR zero_bits, SIZE_T commit, SIZE_T reserve, void *list), \
      (thread, access, attributes, process, start, argument, flags, zero_bits, commit, reserve, list)) \
    X(NtCreateEvent, (HANDLE *event, ACCESS_MASK access, const OBJECT_ATTRIBUTES *attributes, ULONG type, ULONG signaled), \
      (event, access, attributes, type, signaled)) \
    X(NtSetEvent, (HANDLE event, LONG *before), (event, before)) \
    X(NtResetEvent, (HANDLE event, LONG *before), (event, before)) \
    X(NtAllocateVirtualMemory, (HANDLE process, void **address, ULONG_PTR zero_bits, SIZE_T *size, ULONG type, ULONG protection), \
      (process, address, zero_bits, size, type, protection)) \
    X(NtProtectVirtualMemory, (HANDLE process, void **address, SIZE_T *size, ULONG protection, ULONG *before), \
      (process, address, size, protection, before)) \
    X(NtFreeVirtualMemory, (HANDLE process, void **address, SIZE_T *size, ULONG type), (process, address, size, type))

/* Calls that not everything depends on: one that Wine lacks answers STATUS_NOT_SUPPORTED. */
#define WINE_OPTIONAL_CALLS(X) \
    X(NtResumeThread, (HANDLE thread, ULONG *before), (thread, before)) \
    X(NtWaitForSingleObject, (HANDLE handle, ULONG alertable, const LARGE_INTEGER *timeout), (handle, alertable, timeout)) \
    X(NtCreateSection, (HANDLE *section, ACCESS_MASK access, const OBJECT_ATTRIBUTES *attributes, const LARGE_INTEGER *size, \
      ULONG protection, ULONG flags, HANDLE file), (section, access, attributes, size, protection, flags, file)) \
    X(NtQuerySection, (HANDLE section, ULONG kind, void *buffer, SIZE_T size, SIZE_T *needed), (section, kind, buffer, size, needed)) \
    X(NtSetIoCompletion, (HANDLE port, ULONG_PTR key, ULONG_PTR value, NTSTATUS status, SIZE_T count), (port, key, value, status, count)) \
    X(NtOpenProcess, (HANDLE *process, ACCESS_MASK access, const OBJECT_ATTRIBUTES *attributes, const CLIENT_ID *id), \
      (process, access, attributes, id)) \
    X(NtOpenThread, (HANDLE *thread, ACCESS_MASK access, const OBJECT_ATTRIBUTES *attributes, const CLIENT_ID *id), \
      (thread, access, attributes, id)) \
    X(NtSetInformationThread, (HANDLE thread, ULONG kind, const void *buffer, ULONG size), (thread, kind, buffer, size)) \
    X(NtOpenProcessToken, (HANDLE process, ACCESS_MASK access, HANDLE *token), (process, access, token)) \
    X(NtQueryInformationToken, (HANDLE token, ULONG kind, void *buffer, ULONG size, ULONG *needed), (token, kind, buffer, size, needed)) \
    X(NtDuplicateToken, (HANDLE token, ACCESS_MASK access, const OBJECT_ATTRIBUTES *attributes, ULONG effective_only, ULONG type, \
      HANDLE *result), (token, access, attributes, effective_only, type, result)) \
    X(NtImpersonateAnonymousToken, (HANDLE thread), (thread))

/* The same of the functions that ntdll.so has for Wine's other libraries, under the names that they have there. */
#define WINE_SERVER_CALLS(X) \
    X(server_handle_to_fd, (HANDLE handle, unsigned access, int *descriptor, unsigned *options), (handle, access, descriptor, options)) \
    X(server_fd_to_handle, (int descriptor, unsigned access, unsigned attributes, HANDLE *handle), \
      (descriptor, access, attributes, handle))

#define WINE_DECLARE(name, parameters, arguments) NTSTATUS wine_##name parameters;
WINE_CALLS(WINE_DECLARE)
WINE_OPTIONAL_CALLS(WINE_DECLARE)
WINE_SERVER_CALLS(WINE_DECLARE)
#undef WINE_DECLARE

/* Numbers that these calls take */
#define ThreadBasicInformation              0u
#define ThreadImpersonationToken            5u
#define ThreadAmILastThread                 12u
#define THREAD_QUERY_LIMITED_INFORMATION    0x0800u
#define THREAD_ALL_ACCESS                   0x1fffffu
#define PROCESS_DUP_HANDLE                  0x0040u
#define PROCESS_QUERY_INFORMATION           0x0400u

extern bool wine_calls_are_sysv;                /* the convention of Wine's own Unix-side functions: newer Wine's, or Microsoft's */
bool wine_calls_find(void *ntdll);              /* false, after a trace line, when Wine lacks one */
/* Makes wine_<name> call `function` from now on: the entry that a hook took the place of. */
void wine_calls_redirect(const char *name, void *function);

/* ---- hooks.c ---- */
typedef struct hook { const char *name; void *function[2]; } hook;     /* by wine_calls_are_sysv */
extern const hook hooks[];
extern const uint32_t hooks_count;

/* ---- wine_host.c ---- */
extern const NTLPC_HOST wine_host;
/* The set of handles in this process that are ports. Wine ignores a handle's two lowest bits, and so does the set. */
bool port_handles_contain(HANDLE handle);
bool port_handles_add(HANDLE handle);           /* false when out of memory */
bool port_handles_remove(HANDLE handle);        /* true for the one caller that took it out */
/* The rights of the event behind a port's handle: the standard ones alone, so that nobody sets it but us. */
ACCESS_MASK event_access_for_port(ACCESS_MASK access);
CLIENT_ID current_client_id(void);              /* of the calling thread, which must be Wine's */

NTSTATUS query_type_name(HANDLE handle, WCHAR name[32], ULONG *length);    /* in characters; 0 when it is longer */

/* ---- wine_objects.c ---- */
NTSTATUS wine_query_handle(HANDLE handle, ULONG *type, ACCESS_MASK *access, ULONG *attributes);
NTSTATUS wine_handle_to_descriptor(HANDLE handle, ACCESS_MASK access, int *descriptor);
NTSTATUS wine_descriptor_to_handle(int descriptor, ULONG type, ACCESS_MASK access, ULONG attributes, HANDLE *handle);
void wine_close_object(HANDLE handle);

/* ---- wine_processes.c ---- */
ULONGLONG wine_query_session(void);
NTSTATUS wine_send_handle(HANDLE handle, HANDLE process, ACCESS_MASK access, ULONG attributes, ULONG options, HANDLE *sent);
NTSTATUS wine_open_process(HANDLE *process, ACCESS_MASK access, ULONG attributes, const CLIENT_ID *id);
NTSTATUS wine_open_thread(HANDLE *thread, ACCESS_MASK access, ULONG attributes, const CLIENT_ID *id);
NTSTATUS wine_thread_id(HANDLE thread, CLIENT_ID *id);

/* ---- wine_identity.c ---- */
NTSTATUS wine_query_token(HANDLE process, LUID ids[3]);
NTSTATUS wine_impersonate(const NTLPC_CLIENT *client);
void wine_identity_prepare(void);               /* before anything asks for the user */
NTSTATUS wine_query_user_sid(PVOID sid, ULONG *length);    /* any thread */
void wine_revert(void);                         /* if wine_impersonate was the last to change the thread's token, for all we know */

/* ---- wine_completion.c ---- */
NTSTATUS wine_reference_completion_port(HANDLE handle, PVOID *completion);
NTSTATUS wine_post_completion(PVOID completion, PVOID key, PVOID context, NTSTATUS status, ULONG_PTR information);
void wine_release_completion_port(PVOID completion);

/* ---- wine_worker.c ---- */
NTSTATUS wine_start_worker(PVOID pool);
NTSTATUS worker_body(uint64_t *arguments);
size_t worker_code_size(void);
void worker_code_write(uint8_t *at, NTSTATUS (*const *functions)(uint64_t *), uint32_t index, const uint8_t *dispatcher,
                       void *add_function_table);

/* ---- waitable_event.c ---- */
typedef struct waitable_event waitable_event;
/* For an event that is not signaled. Takes the handle on success. */
NTSTATUS waitable_event_create(waitable_event **event, HANDLE handle);
NTSTATUS wine_reference_event(HANDLE handle, PVOID *waitable);      /* one of the program's, to be signaled */
void waitable_event_set(waitable_event *event, bool signaled);
void waitable_event_close(waitable_event *event);

/* ---- helper.c ---- */
typedef struct helper_job {
    struct helper_job *next;
    void (*run)(struct helper_job *job);        /* on a thread of Wine's, once; may free the job */
} helper_job;
typedef struct helper_call {
    helper_job job;
    void (*run)(struct helper_call *call);
    uint32_t done;
} helper_call;

NTSTATUS helper_start(void);                    /* if there is none yet; by threads of Wine's */
bool helper_is_running(void);
void helper_queue(helper_job *job);             /* by any thread */
void helper_call_and_wait(helper_call *call);   /* by threads that are not Wine's; does nothing when there is no helper */
void helper_stand_in(void);                     /* by threads of Wine's: does what waits for a helper that was never started */
void helper_ring(void);
NTSTATUS helper_body(uint64_t *arguments);

/* ---- own_threads.c ---- */
bool own_thread_add(uint32_t thread);           /* by its id in Wine, as one at work */
void own_thread_begin(void);                    /* by the thread itself */
void own_thread_is_idle(bool idle);             /* likewise */
void own_thread_end(void);                      /* likewise; nothing for a thread that is not ours */
bool own_threads_are_all_others(void);          /* but for the caller, the process has only idle threads of ours */
void own_threads_one_ends(NTSTATUS status);     /* the calling thread, or one that it ends, is about to go */
bool own_threads_have_news(void);               /* one has, since the last question */
void own_threads_end_process_if_alone(void);    /* by the helper */

/* ---- signals.c ---- */
/* What is known of the calling thread. The library is loaded with the program, so its storage is at a fixed offset. */
typedef struct wine_thread {
    bool entered;               /* a thread of Wine's, inside a call, and so free to call Wine */
    bool impersonates;          /* by wine_impersonate, and has not been reverted by us */
    uint32_t critical;          /* suspension and termination wait while it is above zero */
    uint32_t deferred;          /* 1 << signal for each that arrived meanwhile */
    uint64_t *own;              /* a thread of ours: its slot in own_threads.c */
} wine_thread;

extern __thread wine_thread wine_thread_current __attribute__((tls_model("initial-exec")));

void wine_thread_enter_slow(void);
/* At the start of every call from the Windows side. */
static inline void wine_thread_enter(void) { if (UNLIKELY(!wine_thread_current.entered)) wine_thread_enter_slow(); }

void wine_critical_deliver(void);
static inline void wine_critical_enter(void) {
    wine_thread_current.critical++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
static inline void wine_critical_leave(void) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (--wine_thread_current.critical == 0 && UNLIKELY(wine_thread_current.deferred != 0)) wine_critical_deliver();
}

#pragma GCC visibility pop
#endif
