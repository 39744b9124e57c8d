/* Handles, waits and events: the calls beside the port calls that a program needs.
 *
 * On Linux libntlpc.so implements them for its own objects: ports, events, and those of ntsection.h, ntcompletion.h and
 * ntprocess.h. Under Wine and on Windows they are the system's. A Linux process knows no other process's handles:
 * NtDuplicateObject works within one process. */
#ifndef NTLPC_NTOBJECT_H
#define NTLPC_NTOBJECT_H

#include <ntlpc/nttypes.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef _WIN32

#define DUPLICATE_CLOSE_SOURCE  0x00000001u
#define DUPLICATE_SAME_ACCESS   0x00000002u

#define EVENT_QUERY_STATE       0x0001u
#define EVENT_MODIFY_STATE      0x0002u
#define EVENT_ALL_ACCESS        (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x3u)

#define MAXIMUM_WAIT_OBJECTS    64

typedef enum _OBJECT_INFORMATION_CLASS {
    ObjectBasicInformation,     /* OBJECT_BASIC_INFORMATION, exactly this size */
    ObjectNameInformation,      /* OBJECT_NAME_INFORMATION, then the name's text */
    ObjectTypeInformation,      /* OBJECT_TYPE_INFORMATION, then the type name's text */
    ObjectAllInformation,
    ObjectDataInformation       /* OBJECT_DATA_INFORMATION */
} OBJECT_INFORMATION_CLASS;

typedef struct _OBJECT_BASIC_INFORMATION {
    ULONG Attributes;           /* OBJ_* of the handle */
    ACCESS_MASK GrantedAccess;
    ULONG HandleCount;
    ULONG PointerCount;
    ULONG PagedPoolUsage;
    ULONG NonPagedPoolUsage;
    ULONG Reserved[3];
    ULONG NameInformationLength;
    ULONG TypeInformationLength;
    ULONG SecurityDescriptorLength;
    LARGE_INTEGER CreateTime;
} OBJECT_BASIC_INFORMATION, *POBJECT_BASIC_INFORMATION;

typedef struct _OBJECT_NAME_INFORMATION { UNICODE_STRING Name; } OBJECT_NAME_INFORMATION, *POBJECT_NAME_INFORMATION;

typedef struct _OBJECT_TYPE_INFORMATION {
    UNICODE_STRING TypeName;
    ULONG TotalNumberOfObjects;
    ULONG TotalNumberOfHandles;
    ULONG TotalPagedPoolUsage;
    ULONG TotalNonPagedPoolUsage;
    ULONG TotalNamePoolUsage;
    ULONG TotalHandleTableUsage;
    ULONG HighWaterNumberOfObjects;
    ULONG HighWaterNumberOfHandles;
    ULONG HighWaterPagedPoolUsage;
    ULONG HighWaterNonPagedPoolUsage;
    ULONG HighWaterNamePoolUsage;
    ULONG HighWaterHandleTableUsage;
    ULONG InvalidAttributes;
    GENERIC_MAPPING GenericMapping;
    ULONG ValidAccessMask;
    BOOLEAN SecurityRequired;
    BOOLEAN MaintainHandleCount;
    UCHAR TypeIndex;            /* Windows 8.1 and later */
    CHAR ReservedByte;
    ULONG PoolType;
    ULONG DefaultPagedPoolCharge;
    ULONG DefaultNonPagedPoolCharge;
} OBJECT_TYPE_INFORMATION, *POBJECT_TYPE_INFORMATION;

typedef struct _OBJECT_DATA_INFORMATION {
    BOOLEAN InheritHandle;
    BOOLEAN ProtectFromClose;
} OBJECT_DATA_INFORMATION, *POBJECT_DATA_INFORMATION;

#endif /* !_WIN32 */

#ifndef DUPLICATE_SAME_ATTRIBUTES
#define DUPLICATE_SAME_ATTRIBUTES   0x00000004u
#endif
/* Attribute of a handle that NtClose refuses to close (ProtectFromClose). */
#ifndef OBJ_PROTECT_CLOSE
#define OBJ_PROTECT_CLOSE           0x00000001u
#endif

/* <ntdef.h> of the driver kit has these two. */
#if !defined(_NTDEF_)
typedef enum _EVENT_TYPE {
    NotificationEvent,          /* stays signaled until reset */
    SynchronizationEvent        /* releases one waiter, then is reset */
} EVENT_TYPE;

typedef enum _WAIT_TYPE { WaitAll, WaitAny } WAIT_TYPE;
#endif

/* The calling process and thread, where a handle of one is asked for. */
#ifndef NtCurrentProcess
#define NtCurrentProcess()  ((HANDLE)(LONG_PTR)-1)
#endif
#ifndef NtCurrentThread
#define NtCurrentThread()   ((HANDLE)(LONG_PTR)-2)
#endif

#ifndef _WIN32
NTSTATUS NTAPI NtClose(HANDLE Handle);
NTSTATUS NTAPI NtQueryObject(HANDLE Handle, OBJECT_INFORMATION_CLASS ObjectInformationClass, PVOID ObjectInformation,
                             ULONG ObjectInformationLength, PULONG ReturnLength);
NTSTATUS NTAPI NtWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout);
#endif

NTSTATUS NTAPI NtDuplicateObject(HANDLE SourceProcessHandle, HANDLE SourceHandle, HANDLE TargetProcessHandle, PHANDLE TargetHandle,
                                 ACCESS_MASK DesiredAccess, ULONG HandleAttributes, ULONG Options);
NTSTATUS NTAPI NtWaitForMultipleObjects(ULONG Count, HANDLE *Handles, WAIT_TYPE WaitType, BOOLEAN Alertable, PLARGE_INTEGER Timeout);
NTSTATUS NTAPI NtCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType,
                             BOOLEAN InitialState);
NTSTATUS NTAPI NtSetEvent(HANDLE EventHandle, PLONG PreviousState);
NTSTATUS NTAPI NtResetEvent(HANDLE EventHandle, PLONG PreviousState);

#ifdef __cplusplus
}
#endif
#endif
