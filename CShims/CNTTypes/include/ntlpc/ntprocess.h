/* Who a process or thread handle names, and taking a thread's impersonation away.
 *
 * Handles come from NtAlpcOpenSenderProcess and NtAlpcOpenSenderThread, or from NtDuplicateObject of NtCurrentProcess() and
 * NtCurrentThread(). On Linux libntlpc.so implements these calls for the classes named here; under Wine and on Windows they are the
 * system's. */
#ifndef NTLPC_NTPROCESS_H
#define NTLPC_NTPROCESS_H

#include <ntlpc/nttypes.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef _WIN32

#define PROCESS_TERMINATE                   0x0001u
#define PROCESS_VM_OPERATION                0x0008u
#define PROCESS_DUP_HANDLE                  0x0040u
#define PROCESS_QUERY_INFORMATION           0x0400u
#define PROCESS_QUERY_LIMITED_INFORMATION   0x1000u
#define PROCESS_ALL_ACCESS                  0x1fffffu

#define THREAD_QUERY_INFORMATION            0x0040u
#define THREAD_SET_THREAD_TOKEN             0x0080u
#define THREAD_IMPERSONATE                  0x0100u
#define THREAD_QUERY_LIMITED_INFORMATION    0x0800u
#define THREAD_ALL_ACCESS                   0x1fffffu

typedef enum _PROCESSINFOCLASS {
    ProcessBasicInformation = 0         /* PROCESS_BASIC_INFORMATION */
} PROCESSINFOCLASS;

typedef enum _THREADINFOCLASS {
    ThreadBasicInformation = 0,         /* THREAD_BASIC_INFORMATION */
    ThreadImpersonationToken = 5        /* set only: a HANDLE */
} THREADINFOCLASS;

typedef LONG KPRIORITY;

typedef struct _PROCESS_BASIC_INFORMATION {
    NTSTATUS ExitStatus;                /* STATUS_PENDING while the process runs */
    PVOID PebBaseAddress;
    ULONG_PTR AffinityMask;
    KPRIORITY BasePriority;
    ULONG_PTR UniqueProcessId;
    ULONG_PTR InheritedFromUniqueProcessId;
} PROCESS_BASIC_INFORMATION, *PPROCESS_BASIC_INFORMATION;

NTSTATUS NTAPI NtQueryInformationProcess(HANDLE ProcessHandle, PROCESSINFOCLASS ProcessInformationClass, PVOID ProcessInformation,
                                         ULONG ProcessInformationLength, PULONG ReturnLength);
NTSTATUS NTAPI NtQueryInformationThread(HANDLE ThreadHandle, THREADINFOCLASS ThreadInformationClass, PVOID ThreadInformation,
                                        ULONG ThreadInformationLength, PULONG ReturnLength);

typedef struct _THREAD_BASIC_INFORMATION {
    NTSTATUS ExitStatus;                /* STATUS_PENDING while the thread runs */
    PVOID TebBaseAddress;
    CLIENT_ID ClientId;
    ULONG_PTR AffinityMask;
    KPRIORITY Priority;
    KPRIORITY BasePriority;
} THREAD_BASIC_INFORMATION, *PTHREAD_BASIC_INFORMATION;

#endif /* !_WIN32 */

NTSTATUS NTAPI NtSetInformationThread(HANDLE ThreadHandle, THREADINFOCLASS ThreadInformationClass, PVOID ThreadInformation,
                                      ULONG ThreadInformationLength);

#ifdef __cplusplus
}
#endif
#endif
