/* The world a port library lives in: the seam between ntlpc and its host.
 *
 * ntlpc has two hosts of its own, the native one (its own handle table and events) and Wine's (libntlpc-wine.so). A loader
 * or emulator writes a third: it fills in NTLPC_HOST, calls ntlpc_set_host once before the first port call, and calls the
 * ntlpc_handle_* functions from its own NtClose, NtDuplicateObject and NtQueryObject. */
#ifndef NTLPC_HOST_H
#define NTLPC_HOST_H

#include <ntlpc/nttypes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NTLPC_WORLD_NATIVE 1u
#define NTLPC_WORLD_WINE   2u
#define NTLPC_WORLD_OTHER  3u

struct _NTLPC_CLIENT;

typedef struct _NTLPC_HOST {
    ULONG Size;     /* sizeof(NTLPC_HOST), so that the table can grow */
    ULONG World;    /* NTLPC_WORLD_* */

    /* Makes a handle value that is unique among the host's own. The handle can be waited on; *Waitable receives a value that
     * SetSignaled accepts until CloseWaitable, also after the handle is closed. */
    NTSTATUS (*CreateHandle)(HANDLE *Handle, PVOID *Waitable, ACCESS_MASK Access, ULONG Attributes, BOOLEAN Signaled);
    /* Closes a handle made by CreateHandle: undoes a call that failed later. Not called for a close the host reported. */
    NTSTATUS (*CloseHandle)(HANDLE Handle);
    /* Sets or resets the state that waits on the handles see. May be called from a thread the host does not know. */
    void (*SetSignaled)(PVOID Waitable, BOOLEAN Signaled);
    void (*CloseWaitable)(PVOID Waitable);      /* from any thread, likewise */

    /* What a handle that is not a port is: STATUS_OBJECT_TYPE_MISMATCH for an object of another type, else STATUS_INVALID_HANDLE. */
    NTSTATUS (*ClassifyHandle)(HANDLE Handle);
    /* Full name of a directory object, for names relative to RootDirectory. *Length: bytes, in capacity, out used. */
    NTSTATUS (*QueryDirectoryName)(HANDLE Directory, WCHAR *Buffer, ULONG *Length);
    /* Process and thread ids as the host's programs know them. */
    void (*QueryClientId)(CLIENT_ID *ClientId);

    /* The entries from here on may be NULL: what needs one that is missing answers STATUS_NOT_SUPPORTED. Functions that may be called
     * from a thread the host does not know say so. */

    /* ---- Objects that messages carry. ObjectType: one ALPC_PORFLG_OBJECT_TYPE_* bit, 0 for a type that cannot travel. ---- */

    /* What a handle names, its granted access, and its attributes (OBJ_INHERIT). */
    NTSTATUS (*QueryHandle)(HANDLE Handle, ULONG *ObjectType, ACCESS_MASK *Access, ULONG *Attributes);
    /* A file descriptor that stands for the object in every process of the machine; the caller closes it.
     * STATUS_NOT_SUPPORTED when the object has none, STATUS_ACCESS_DENIED when the handle lacks Access. It can do what Access asks
     * for, as far as a descriptor of its kind can do less; 0 stands for what the handle grants. */
    NTSTATUS (*HandleToDescriptor)(HANDLE Handle, ACCESS_MASK Access, int *Descriptor);
    /* A new handle for such a descriptor, which stays the caller's. The descriptor may come from a hostile process. */
    NTSTATUS (*DescriptorToHandle)(int Descriptor, ULONG ObjectType, ACCESS_MASK Access, ULONG Attributes, HANDLE *Handle);
    /* Processes with the same session, not 0, can give each other handles with SendHandle. */
    ULONGLONG (*QuerySession)(void);
    /* Duplicates a handle into another process of the session. Options: DUPLICATE_SAME_ACCESS (2), DUPLICATE_SAME_ATTRIBUTES (4). */
    NTSTATUS (*SendHandle)(HANDLE Handle, HANDLE ProcessId, ACCESS_MASK Access, ULONG Attributes, ULONG Options, HANDLE *Sent);
    /* Closes any handle of this process: one that came with a message and was not fetched. From any thread. */
    void (*CloseObject)(HANDLE Handle);

    /* Keeps an event, so that SetSignaled can signal it whatever becomes of the handle; given back with CloseWaitable.
     * STATUS_OBJECT_TYPE_MISMATCH for other objects, STATUS_ACCESS_DENIED without EVENT_MODIFY_STATE. */
    NTSTATUS (*ReferenceEvent)(HANDLE Event, PVOID *Waitable);

    /* ---- Completion ports ---- */

    /* Keeps a completion port for packets, whatever becomes of the handle. Wrong handles: as NtSetIoCompletion. */
    NTSTATUS (*ReferenceCompletionPort)(HANDLE Port, PVOID *Completion);
    NTSTATUS (*PostCompletion)(PVOID Completion, PVOID Key, PVOID ApcContext, NTSTATUS Status, ULONG_PTR Information);  /* from any thread */
    void (*ReleaseCompletionPort)(PVOID Completion);                                                                   /* from any thread */

    /* ---- Processes, threads, identity ---- */

    NTSTATUS (*OpenProcess)(HANDLE *Process, ACCESS_MASK Access, ULONG Attributes, const CLIENT_ID *ClientId);
    NTSTATUS (*OpenThread)(HANDLE *Thread, ACCESS_MASK Access, ULONG Attributes, const CLIENT_ID *ClientId);
    /* Which thread a thread handle names. */
    NTSTATUS (*QueryThread)(HANDLE Thread, CLIENT_ID *ClientId);
    /* TokenId, AuthenticationId and ModifiedId of the token of a process of the session, or (ProcessId 0) of the calling thread. */
    NTSTATUS (*QueryToken)(HANDLE ProcessId, LUID Ids[3]);
    /* Makes the calling thread act for the client, until its thread token is taken away again. */
    NTSTATUS (*Impersonate)(const struct _NTLPC_CLIENT *Client);

    /* ---- Waits and callbacks ---- */

    /* Waits for any handle of the host. STATUS_USER_APC when an alertable wait ran one, STATUS_TIMEOUT. */
    NTSTATUS (*WaitForHandle)(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout);
    /* Starts a thread that calls ntlpc_next_work(Pool) until that says FALSE, and runs each work item as the host's programs
     * run their callbacks. */
    NTSTATUS (*StartWorker)(PVOID Pool);

    /* ---- Names of users ---- */

    /* The user's SID in the token of this process: what the host's programs know the Linux user by that they all run as. *Length: bytes,
     * in capacity (68 always do), out used. Without it a user is known by its Linux ids alone. */
    NTSTATUS (*QueryUserSid)(PVOID Sid, ULONG *Length);
} NTLPC_HOST;

/* Who a thread is to act for. */
typedef struct _NTLPC_CLIENT {
    ULONG Level;                /* SECURITY_IMPERSONATION_LEVEL */
    BOOLEAN EffectiveOnly;
    HANDLE ProcessId;           /* of the host's, when the client's process is of the same session; else NULL */
    ULONG Uid, Gid;             /* Linux ids, from the kernel */
} NTLPC_CLIENT;

/* A callback of a program, in the host's calling convention. */
typedef struct _NTLPC_WORK {
    PVOID Function;
    PVOID Arguments[4];
} NTLPC_WORK;

/* For worker threads: waits for the next piece of work, ends the one before. FALSE: the thread shall end. */
BOOLEAN ntlpc_next_work(PVOID Pool, NTLPC_WORK *Work);

/* Between file descriptors and handles, in processes that live in no other world; elsewhere STATUS_NOT_SUPPORTED.
 *
 * A file handle for a descriptor, which stays the caller's and may be closed. Attributes: 0 or OBJ_INHERIT. STATUS_INVALID_HANDLE when
 * the descriptor is not open; STATUS_ACCESS_DENIED for rights that the open file does not have (MAXIMUM_ALLOWED: those that it has). */
NTSTATUS ntlpc_descriptor_to_handle(int Descriptor, ACCESS_MASK Access, ULONG Attributes, HANDLE *Handle);
/* A descriptor for the object of a handle, which the caller closes: of a file, a section (its memory), an event (an eventfd, readable
 * while the event is signaled), a process or thread (a pidfd). It can do what Access asks for, 0 for what the handle grants. Statuses:
 * those of HandleToDescriptor. */
NTSTATUS ntlpc_handle_to_descriptor(HANDLE Handle, ACCESS_MASK Access, int *Descriptor);

/* Installs the host. STATUS_INVALID_PARAMETER for a table that is too small or has holes; STATUS_ALREADY_INITIALIZED
 * (0xC0000510) after the first port call. The table must live as long as the process. */
NTSTATUS ntlpc_set_host(const NTLPC_HOST *Host);

/* The host is about to close, or has closed, a handle. TRUE when it was a port's: the last one closes the port. */
BOOLEAN ntlpc_handle_closed(HANDLE Handle);
/* The host made NewHandle as a duplicate of Handle in this process. TRUE when Handle is a port's. */
BOOLEAN ntlpc_handle_duplicated(HANDLE Handle, HANDLE NewHandle);
/* TRUE when the handle is a port's. */
BOOLEAN ntlpc_handle_is_port(HANDLE Handle);

/* For hosts that own SIGSEGV and SIGBUS: call first in the handler; nonzero means dealt with, return at once. */
BOOLEAN ntlpc_handle_fault_signal(int Signal, void *SigInfo, void *UContext);
/* For hosts that suspend or end threads by a signal: nonzero means that the thread is inside a critical section and the
 * signal will be raised again when it leaves; return at once. */
BOOLEAN ntlpc_handle_thread_signal(int Signal);

/* The entry point of a call. Name: "NtAlpcCreatePort" or "ZwAlpcCreatePort". NULL when ntlpc has no such call. */
#define NTLPC_ABI_SYSV 0u
#define NTLPC_ABI_MS   1u
void *ntlpc_resolve(const char *Name, unsigned Abi);

/* Every call, for loaders and tools that list them. */
typedef struct _NTLPC_EXPORT {
    const char *Name;
    void *Function[2];      /* by NTLPC_ABI_* */
    ULONG ParameterCount;
    BOOLEAN Implemented;    /* FALSE: answers STATUS_NOT_IMPLEMENTED */
} NTLPC_EXPORT;
const NTLPC_EXPORT *ntlpc_exports(ULONG *Count);

/* Directory that the object namespace lives in, as UTF-8. Returns the length needed; copies at most Size bytes with the NUL. */
ULONG ntlpc_namespace_root(char *Buffer, ULONG Size);
const char *ntlpc_version(void);

#ifdef __cplusplus
}
#endif
#endif
