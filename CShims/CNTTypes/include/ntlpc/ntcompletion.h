/* Completion ports, and packets that are queued when an object is signaled.
 *
 * On Linux libntlpc.so implements them; under Wine and on Windows they are the system's. FILE_IO_COMPLETION_INFORMATION is in
 * nttypes.h. */
#ifndef NTLPC_NTCOMPLETION_H
#define NTLPC_NTCOMPLETION_H

#include <ntlpc/nttypes.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef _WIN32
#define IO_COMPLETION_MODIFY_STATE      0x0002u
#define IO_COMPLETION_ALL_ACCESS        (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x3u)
#endif
#ifndef IO_COMPLETION_QUERY_STATE
#define IO_COMPLETION_QUERY_STATE       0x0001u
#endif
#ifndef WAIT_COMPLETION_PACKET_ALL_ACCESS
#define WAIT_COMPLETION_PACKET_MODIFY_STATE 0x0001u
#define WAIT_COMPLETION_PACKET_ALL_ACCESS   (STANDARD_RIGHTS_REQUIRED | 0x1u)
#endif

typedef enum _IO_COMPLETION_INFORMATION_CLASS {
    IoCompletionBasicInformation    /* IO_COMPLETION_BASIC_INFORMATION */
} IO_COMPLETION_INFORMATION_CLASS;

typedef struct _IO_COMPLETION_BASIC_INFORMATION {
    LONG Depth;                     /* packets in the queue */
} IO_COMPLETION_BASIC_INFORMATION, *PIO_COMPLETION_BASIC_INFORMATION;

NTSTATUS NTAPI NtCreateIoCompletion(PHANDLE IoCompletionHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, ULONG Count);
NTSTATUS NTAPI NtSetIoCompletion(HANDLE IoCompletionHandle, PVOID KeyContext, PVOID ApcContext, NTSTATUS IoStatus,
                                 ULONG_PTR IoStatusInformation);
NTSTATUS NTAPI NtRemoveIoCompletion(HANDLE IoCompletionHandle, PVOID *KeyContext, PVOID *ApcContext, PIO_STATUS_BLOCK IoStatusBlock,
                                    PLARGE_INTEGER Timeout);
NTSTATUS NTAPI NtRemoveIoCompletionEx(HANDLE IoCompletionHandle, PFILE_IO_COMPLETION_INFORMATION IoCompletionInformation, ULONG Count,
                                      PULONG NumEntriesRemoved, PLARGE_INTEGER Timeout, BOOLEAN Alertable);
NTSTATUS NTAPI NtQueryIoCompletion(HANDLE IoCompletionHandle, IO_COMPLETION_INFORMATION_CLASS IoCompletionInformationClass,
                                   PVOID IoCompletionInformation, ULONG IoCompletionInformationLength, PULONG ReturnLength);

NTSTATUS NTAPI NtCreateWaitCompletionPacket(PHANDLE WaitCompletionPacketHandle, ACCESS_MASK DesiredAccess,
                                            POBJECT_ATTRIBUTES ObjectAttributes);
NTSTATUS NTAPI NtAssociateWaitCompletionPacket(HANDLE WaitCompletionPacketHandle, HANDLE IoCompletionHandle, HANDLE TargetObjectHandle,
                                               PVOID KeyContext, PVOID ApcContext, NTSTATUS IoStatus, ULONG_PTR IoStatusInformation,
                                               PBOOLEAN AlreadySignaled);
NTSTATUS NTAPI NtCancelWaitCompletionPacket(HANDLE WaitCompletionPacketHandle, BOOLEAN RemoveSignaledPacket);

#ifdef __cplusplus
}
#endif
#endif
