/* Every call as data: X(ReturnType, Name, (parameters), (arguments), ParameterCount).
 *
 * Thunks, tables and stubs are made from these lists, so that a call is named in one place only:
 *   NTLPC_PORT_CALLS           everything about ports, which Sources/NTExports implements
 *   NTLPC_NATIVE_HOST_CALLS    handles, waits, events, sections, completion ports, tasks: ours on Linux, the system's elsewhere */
#ifndef NTLPC_CALLS_H
#define NTLPC_CALLS_H

#include <ntlpc/ntlpcapi.h>
#include <ntlpc/ntsection.h>
#include <ntlpc/ntcompletion.h>
#include <ntlpc/ntprocess.h>

/* Port calls: all that a host such as Wine gets from us */
#define NTLPC_PORT_CALLS(X) \
    X(NTSTATUS, NtCreatePort, \
      (PHANDLE PortHandle, POBJECT_ATTRIBUTES ObjectAttributes, ULONG MaxConnectionInfoLength, ULONG MaxMessageLength, \
       ULONG MaxPoolUsage), \
      (PortHandle, ObjectAttributes, MaxConnectionInfoLength, MaxMessageLength, MaxPoolUsage), 5) \
    X(NTSTATUS, NtCreateWaitablePort, \
      (PHANDLE PortHandle, POBJECT_ATTRIBUTES ObjectAttributes, ULONG MaxConnectionInfoLength, ULONG MaxMessageLength, \
       ULONG MaxPoolUsage), \
      (PortHandle, ObjectAttributes, MaxConnectionInfoLength, MaxMessageLength, MaxPoolUsage), 5) \
    X(NTSTATUS, NtConnectPort, \
      (PHANDLE PortHandle, PUNICODE_STRING PortName, PSECURITY_QUALITY_OF_SERVICE SecurityQos, PPORT_VIEW ClientView, \
       PREMOTE_PORT_VIEW ServerView, PULONG MaxMessageLength, PVOID ConnectionInformation, \
       PULONG ConnectionInformationLength), \
      (PortHandle, PortName, SecurityQos, ClientView, ServerView, MaxMessageLength, ConnectionInformation, ConnectionInformationLength), 8) \
    X(NTSTATUS, NtSecureConnectPort, \
      (PHANDLE PortHandle, PUNICODE_STRING PortName, PSECURITY_QUALITY_OF_SERVICE SecurityQos, PPORT_VIEW ClientView, \
       PSID RequiredServerSid, PREMOTE_PORT_VIEW ServerView, PULONG MaxMessageLength, PVOID ConnectionInformation, \
       PULONG ConnectionInformationLength), \
      (PortHandle, PortName, SecurityQos, ClientView, RequiredServerSid, ServerView, MaxMessageLength, ConnectionInformation, ConnectionInformationLength), 9) \
    X(NTSTATUS, NtListenPort, \
      (HANDLE PortHandle, PPORT_MESSAGE ConnectionRequest), \
      (PortHandle, ConnectionRequest), 2) \
    X(NTSTATUS, NtAcceptConnectPort, \
      (PHANDLE PortHandle, PVOID PortContext, PPORT_MESSAGE ConnectionRequest, BOOLEAN AcceptConnection, \
       PPORT_VIEW ServerView, PREMOTE_PORT_VIEW ClientView), \
      (PortHandle, PortContext, ConnectionRequest, AcceptConnection, ServerView, ClientView), 6) \
    X(NTSTATUS, NtCompleteConnectPort, \
      (HANDLE PortHandle), \
      (PortHandle), 1) \
    X(NTSTATUS, NtRequestPort, \
      (HANDLE PortHandle, PPORT_MESSAGE RequestMessage), \
      (PortHandle, RequestMessage), 2) \
    X(NTSTATUS, NtRequestWaitReplyPort, \
      (HANDLE PortHandle, PPORT_MESSAGE RequestMessage, PPORT_MESSAGE ReplyMessage), \
      (PortHandle, RequestMessage, ReplyMessage), 3) \
    X(NTSTATUS, NtReplyPort, \
      (HANDLE PortHandle, PPORT_MESSAGE ReplyMessage), \
      (PortHandle, ReplyMessage), 2) \
    X(NTSTATUS, NtReplyWaitReceivePort, \
      (HANDLE PortHandle, PVOID *PortContext, PPORT_MESSAGE ReplyMessage, PPORT_MESSAGE ReceiveMessage), \
      (PortHandle, PortContext, ReplyMessage, ReceiveMessage), 4) \
    X(NTSTATUS, NtReplyWaitReceivePortEx, \
      (HANDLE PortHandle, PVOID *PortContext, PPORT_MESSAGE ReplyMessage, PPORT_MESSAGE ReceiveMessage, \
       PLARGE_INTEGER Timeout), \
      (PortHandle, PortContext, ReplyMessage, ReceiveMessage, Timeout), 5) \
    X(NTSTATUS, NtRegisterThreadTerminatePort, \
      (HANDLE PortHandle), \
      (PortHandle), 1) \
    X(NTSTATUS, NtAlpcCreatePort, \
      (PHANDLE PortHandle, POBJECT_ATTRIBUTES ObjectAttributes, PALPC_PORT_ATTRIBUTES PortAttributes), \
      (PortHandle, ObjectAttributes, PortAttributes), 3) \
    X(NTSTATUS, NtAlpcDisconnectPort, \
      (HANDLE PortHandle, ULONG Flags), \
      (PortHandle, Flags), 2) \
    X(NTSTATUS, NtAlpcQueryInformation, \
      (HANDLE PortHandle, ALPC_PORT_INFORMATION_CLASS PortInformationClass, PVOID PortInformation, ULONG Length, \
       PULONG ReturnLength), \
      (PortHandle, PortInformationClass, PortInformation, Length, ReturnLength), 5) \
    X(NTSTATUS, NtAlpcConnectPort, \
      (PHANDLE PortHandle, PUNICODE_STRING PortName, POBJECT_ATTRIBUTES ObjectAttributes, \
       PALPC_PORT_ATTRIBUTES PortAttributes, ULONG Flags, PSID RequiredServerSid, PPORT_MESSAGE ConnectionMessage, \
       PSIZE_T BufferLength, PALPC_MESSAGE_ATTRIBUTES OutMessageAttributes, PALPC_MESSAGE_ATTRIBUTES InMessageAttributes, \
       PLARGE_INTEGER Timeout), \
      (PortHandle, PortName, ObjectAttributes, PortAttributes, Flags, RequiredServerSid, ConnectionMessage, BufferLength, OutMessageAttributes, InMessageAttributes, Timeout), 11) \
    X(NTSTATUS, NtAlpcConnectPortEx, \
      (PHANDLE PortHandle, POBJECT_ATTRIBUTES ConnectionPortObjectAttributes, POBJECT_ATTRIBUTES ClientPortObjectAttributes, \
       PALPC_PORT_ATTRIBUTES PortAttributes, ULONG Flags, PSECURITY_DESCRIPTOR ServerSecurityRequirements, \
       PPORT_MESSAGE ConnectionMessage, PSIZE_T BufferLength, PALPC_MESSAGE_ATTRIBUTES OutMessageAttributes, \
       PALPC_MESSAGE_ATTRIBUTES InMessageAttributes, PLARGE_INTEGER Timeout), \
      (PortHandle, ConnectionPortObjectAttributes, ClientPortObjectAttributes, PortAttributes, Flags, ServerSecurityRequirements, ConnectionMessage, BufferLength, OutMessageAttributes, InMessageAttributes, Timeout), 11) \
    X(NTSTATUS, NtAlpcAcceptConnectPort, \
      (PHANDLE PortHandle, HANDLE ConnectionPortHandle, ULONG Flags, POBJECT_ATTRIBUTES ObjectAttributes, \
       PALPC_PORT_ATTRIBUTES PortAttributes, PVOID PortContext, PPORT_MESSAGE ConnectionRequest, \
       PALPC_MESSAGE_ATTRIBUTES ConnectionMessageAttributes, BOOLEAN AcceptConnection), \
      (PortHandle, ConnectionPortHandle, Flags, ObjectAttributes, PortAttributes, PortContext, ConnectionRequest, ConnectionMessageAttributes, AcceptConnection), 9) \
    X(NTSTATUS, NtAlpcSendWaitReceivePort, \
      (HANDLE PortHandle, ULONG Flags, PPORT_MESSAGE SendMessage, PALPC_MESSAGE_ATTRIBUTES SendMessageAttributes, \
       PPORT_MESSAGE ReceiveMessage, PSIZE_T BufferLength, PALPC_MESSAGE_ATTRIBUTES ReceiveMessageAttributes, \
       PLARGE_INTEGER Timeout), \
      (PortHandle, Flags, SendMessage, SendMessageAttributes, ReceiveMessage, BufferLength, ReceiveMessageAttributes, Timeout), 8) \
    X(ULONG, AlpcMaxAllowedMessageLength, \
      (VOID), \
      (), 0) \
    X(SIZE_T, AlpcGetHeaderSize, \
      (ULONG AttributeFlags), \
      (AttributeFlags), 1) \
    X(NTSTATUS, AlpcInitializeMessageAttribute, \
      (ULONG AttributeFlags, PALPC_MESSAGE_ATTRIBUTES Buffer, SIZE_T BufferSize, PSIZE_T RequiredBufferSize), \
      (AttributeFlags, Buffer, BufferSize, RequiredBufferSize), 4) \
    X(PVOID, AlpcGetMessageAttribute, \
      (PALPC_MESSAGE_ATTRIBUTES Buffer, ULONG AttributeFlag), \
      (Buffer, AttributeFlag), 2) \
    X(NTSTATUS, NtReplyWaitReplyPort, \
      (HANDLE PortHandle, PPORT_MESSAGE ReplyMessage), \
      (PortHandle, ReplyMessage), 2) \
    X(NTSTATUS, NtImpersonateClientOfPort, \
      (HANDLE PortHandle, PPORT_MESSAGE Message), \
      (PortHandle, Message), 2) \
    X(NTSTATUS, NtReadRequestData, \
      (HANDLE PortHandle, PPORT_MESSAGE Message, ULONG DataEntryIndex, PVOID Buffer, SIZE_T BufferSize, \
       PSIZE_T NumberOfBytesRead), \
      (PortHandle, Message, DataEntryIndex, Buffer, BufferSize, NumberOfBytesRead), 6) \
    X(NTSTATUS, NtWriteRequestData, \
      (HANDLE PortHandle, PPORT_MESSAGE Message, ULONG DataEntryIndex, PVOID Buffer, SIZE_T BufferSize, \
       PSIZE_T NumberOfBytesWritten), \
      (PortHandle, Message, DataEntryIndex, Buffer, BufferSize, NumberOfBytesWritten), 6) \
    X(NTSTATUS, NtQueryInformationPort, \
      (HANDLE PortHandle, PORT_INFORMATION_CLASS PortInformationClass, PVOID PortInformation, ULONG Length, \
       PULONG ReturnLength), \
      (PortHandle, PortInformationClass, PortInformation, Length, ReturnLength), 5) \
    X(NTSTATUS, NtSetDefaultHardErrorPort, \
      (HANDLE DefaultHardErrorPort), \
      (DefaultHardErrorPort), 1) \
    X(NTSTATUS, NtQueryPortInformationProcess, \
      (VOID), \
      (), 0) \
    X(NTSTATUS, NtAlpcSetInformation, \
      (HANDLE PortHandle, ALPC_PORT_INFORMATION_CLASS PortInformationClass, PVOID PortInformation, ULONG Length), \
      (PortHandle, PortInformationClass, PortInformation, Length), 4) \
    X(NTSTATUS, NtAlpcCreatePortSection, \
      (HANDLE PortHandle, ULONG Flags, HANDLE SectionHandle, SIZE_T SectionSize, PALPC_HANDLE AlpcSectionHandle, \
       PSIZE_T ActualSectionSize), \
      (PortHandle, Flags, SectionHandle, SectionSize, AlpcSectionHandle, ActualSectionSize), 6) \
    X(NTSTATUS, NtAlpcDeletePortSection, \
      (HANDLE PortHandle, ULONG Flags, ALPC_HANDLE SectionHandle), \
      (PortHandle, Flags, SectionHandle), 3) \
    X(NTSTATUS, NtAlpcCreateResourceReserve, \
      (HANDLE PortHandle, ULONG Flags, SIZE_T MessageSize, PULONG ResourceId), \
      (PortHandle, Flags, MessageSize, ResourceId), 4) \
    X(NTSTATUS, NtAlpcDeleteResourceReserve, \
      (HANDLE PortHandle, ULONG Flags, ULONG ResourceId), \
      (PortHandle, Flags, ResourceId), 3) \
    X(NTSTATUS, NtAlpcCreateSectionView, \
      (HANDLE PortHandle, ULONG Flags, PALPC_DATA_VIEW_ATTR ViewAttributes), \
      (PortHandle, Flags, ViewAttributes), 3) \
    X(NTSTATUS, NtAlpcDeleteSectionView, \
      (HANDLE PortHandle, ULONG Flags, PVOID ViewBase), \
      (PortHandle, Flags, ViewBase), 3) \
    X(NTSTATUS, NtAlpcCreateSecurityContext, \
      (HANDLE PortHandle, ULONG Flags, PALPC_SECURITY_ATTR SecurityAttribute), \
      (PortHandle, Flags, SecurityAttribute), 3) \
    X(NTSTATUS, NtAlpcDeleteSecurityContext, \
      (HANDLE PortHandle, ULONG Flags, ALPC_HANDLE ContextHandle), \
      (PortHandle, Flags, ContextHandle), 3) \
    X(NTSTATUS, NtAlpcRevokeSecurityContext, \
      (HANDLE PortHandle, ULONG Flags, ALPC_HANDLE ContextHandle), \
      (PortHandle, Flags, ContextHandle), 3) \
    X(NTSTATUS, NtAlpcQueryInformationMessage, \
      (HANDLE PortHandle, PPORT_MESSAGE PortMessage, ALPC_MESSAGE_INFORMATION_CLASS MessageInformationClass, \
       PVOID MessageInformation, ULONG Length, PULONG ReturnLength), \
      (PortHandle, PortMessage, MessageInformationClass, MessageInformation, Length, ReturnLength), 6) \
    X(NTSTATUS, NtAlpcCancelMessage, \
      (HANDLE PortHandle, ULONG Flags, PALPC_CONTEXT_ATTR MessageContext), \
      (PortHandle, Flags, MessageContext), 3) \
    X(NTSTATUS, NtAlpcImpersonateClientOfPort, \
      (HANDLE PortHandle, PPORT_MESSAGE Message, PVOID Flags), \
      (PortHandle, Message, Flags), 3) \
    X(NTSTATUS, NtAlpcImpersonateClientContainerOfPort, \
      (HANDLE PortHandle, PPORT_MESSAGE Message, ULONG Flags), \
      (PortHandle, Message, Flags), 3) \
    X(NTSTATUS, NtAlpcOpenSenderProcess, \
      (PHANDLE ProcessHandle, HANDLE PortHandle, PPORT_MESSAGE PortMessage, ULONG Flags, ACCESS_MASK DesiredAccess, \
       POBJECT_ATTRIBUTES ObjectAttributes), \
      (ProcessHandle, PortHandle, PortMessage, Flags, DesiredAccess, ObjectAttributes), 6) \
    X(NTSTATUS, NtAlpcOpenSenderThread, \
      (PHANDLE ThreadHandle, HANDLE PortHandle, PPORT_MESSAGE PortMessage, ULONG Flags, ACCESS_MASK DesiredAccess, \
       POBJECT_ATTRIBUTES ObjectAttributes), \
      (ThreadHandle, PortHandle, PortMessage, Flags, DesiredAccess, ObjectAttributes), 6) \
    X(NTSTATUS, AlpcRegisterCompletionList, \
      (HANDLE PortHandle, PALPC_COMPLETION_LIST_HEADER Buffer, ULONG Size, ULONG ConcurrencyCount, ULONG AttributeFlags), \
      (PortHandle, Buffer, Size, ConcurrencyCount, AttributeFlags), 5) \
    X(NTSTATUS, AlpcUnregisterCompletionList, \
      (HANDLE PortHandle), \
      (PortHandle), 1) \
    X(NTSTATUS, AlpcRundownCompletionList, \
      (HANDLE PortHandle), \
      (PortHandle), 1) \
    X(NTSTATUS, AlpcAdjustCompletionListConcurrencyCount, \
      (HANDLE PortHandle, ULONG ConcurrencyCount), \
      (PortHandle, ConcurrencyCount), 2) \
    X(BOOLEAN, AlpcRegisterCompletionListWorkerThread, \
      (PVOID CompletionList), \
      (CompletionList), 1) \
    X(BOOLEAN, AlpcUnregisterCompletionListWorkerThread, \
      (PVOID CompletionList), \
      (CompletionList), 1) \
    X(VOID, AlpcGetCompletionListLastMessageInformation, \
      (PVOID CompletionList, PULONG LastMessageId, PULONG LastCallbackId), \
      (CompletionList, LastMessageId, LastCallbackId), 3) \
    X(ULONG, AlpcGetOutstandingCompletionListMessageCount, \
      (PVOID CompletionList), \
      (CompletionList), 1) \
    X(PPORT_MESSAGE, AlpcGetMessageFromCompletionList, \
      (PVOID CompletionList, PALPC_MESSAGE_ATTRIBUTES *MessageAttributes), \
      (CompletionList, MessageAttributes), 2) \
    X(VOID, AlpcFreeCompletionListMessage, \
      (PVOID CompletionList, PPORT_MESSAGE Message), \
      (CompletionList, Message), 2) \
    X(PALPC_MESSAGE_ATTRIBUTES, AlpcGetCompletionListMessageAttributes, \
      (PVOID CompletionList, PPORT_MESSAGE Message), \
      (CompletionList, Message), 2) \
    X(NTSTATUS, TpAllocAlpcCompletion, \
      (PTP_ALPC *AlpcReturn, HANDLE AlpcPort, PTP_ALPC_CALLBACK Callback, PVOID Context, \
       PTP_CALLBACK_ENVIRON CallbackEnviron), \
      (AlpcReturn, AlpcPort, Callback, Context, CallbackEnviron), 5) \
    X(NTSTATUS, TpAllocAlpcCompletionEx, \
      (PTP_ALPC *AlpcReturn, HANDLE AlpcPort, PTP_ALPC_CALLBACK_EX Callback, PVOID Context, \
       PTP_CALLBACK_ENVIRON CallbackEnviron), \
      (AlpcReturn, AlpcPort, Callback, Context, CallbackEnviron), 5) \
    X(VOID, TpReleaseAlpcCompletion, \
      (PTP_ALPC Alpc), \
      (Alpc), 1) \
    X(VOID, TpWaitForAlpcCompletion, \
      (PTP_ALPC Alpc), \
      (Alpc), 1) \
    X(VOID, TpAlpcRegisterCompletionList, \
      (PTP_ALPC Alpc), \
      (Alpc), 1) \
    X(VOID, TpAlpcUnregisterCompletionList, \
      (PTP_ALPC Alpc), \
      (Alpc), 1) \
    X(NTSTATUS, TpCallbackSendAlpcMessageOnCompletion, \
      (HANDLE TpHandle, HANDLE PortHandle, ULONG Flags, PPORT_MESSAGE SendMessage), \
      (TpHandle, PortHandle, Flags, SendMessage), 4) \
    X(NTSTATUS, TpCallbackSendPendingAlpcMessage, \
      (VOID), \
      (), 0)

#define NTLPC_NATIVE_HOST_CALLS(X) \
    X(NTSTATUS, NtClose, \
      (HANDLE Handle), \
      (Handle), 1) \
    X(NTSTATUS, NtQueryObject, \
      (HANDLE Handle, OBJECT_INFORMATION_CLASS ObjectInformationClass, PVOID ObjectInformation, ULONG ObjectInformationLength, \
       PULONG ReturnLength), \
      (Handle, ObjectInformationClass, ObjectInformation, ObjectInformationLength, ReturnLength), 5) \
    X(NTSTATUS, NtWaitForSingleObject, \
      (HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout), \
      (Handle, Alertable, Timeout), 3) \
    X(NTSTATUS, NtDuplicateObject, \
      (HANDLE SourceProcessHandle, HANDLE SourceHandle, HANDLE TargetProcessHandle, PHANDLE TargetHandle, \
       ACCESS_MASK DesiredAccess, ULONG HandleAttributes, ULONG Options), \
      (SourceProcessHandle, SourceHandle, TargetProcessHandle, TargetHandle, DesiredAccess, HandleAttributes, Options), 7) \
    X(NTSTATUS, NtWaitForMultipleObjects, \
      (ULONG Count, HANDLE *Handles, WAIT_TYPE WaitType, BOOLEAN Alertable, PLARGE_INTEGER Timeout), \
      (Count, Handles, WaitType, Alertable, Timeout), 5) \
    X(NTSTATUS, NtCreateEvent, \
      (PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType, \
       BOOLEAN InitialState), \
      (EventHandle, DesiredAccess, ObjectAttributes, EventType, InitialState), 5) \
    X(NTSTATUS, NtSetEvent, \
      (HANDLE EventHandle, PLONG PreviousState), \
      (EventHandle, PreviousState), 2) \
    X(NTSTATUS, NtResetEvent, \
      (HANDLE EventHandle, PLONG PreviousState), \
      (EventHandle, PreviousState), 2) \
    X(NTSTATUS, NtCreateSection, \
      (PHANDLE SectionHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, PLARGE_INTEGER MaximumSize, \
       ULONG SectionPageProtection, ULONG AllocationAttributes, HANDLE FileHandle), \
      (SectionHandle, DesiredAccess, ObjectAttributes, MaximumSize, SectionPageProtection, AllocationAttributes, FileHandle), 7) \
    X(NTSTATUS, NtMapViewOfSection, \
      (HANDLE SectionHandle, HANDLE ProcessHandle, PVOID *BaseAddress, ULONG_PTR ZeroBits, SIZE_T CommitSize, \
       PLARGE_INTEGER SectionOffset, PSIZE_T ViewSize, SECTION_INHERIT InheritDisposition, ULONG AllocationType, \
       ULONG Win32Protect), \
      (SectionHandle, ProcessHandle, BaseAddress, ZeroBits, CommitSize, SectionOffset, ViewSize, InheritDisposition, \
       AllocationType, Win32Protect), 10) \
    X(NTSTATUS, NtUnmapViewOfSection, \
      (HANDLE ProcessHandle, PVOID BaseAddress), \
      (ProcessHandle, BaseAddress), 2) \
    X(NTSTATUS, NtQuerySection, \
      (HANDLE SectionHandle, SECTION_INFORMATION_CLASS SectionInformationClass, PVOID SectionInformation, \
       SIZE_T SectionInformationLength, PSIZE_T ReturnLength), \
      (SectionHandle, SectionInformationClass, SectionInformation, SectionInformationLength, ReturnLength), 5) \
    X(NTSTATUS, NtCreateIoCompletion, \
      (PHANDLE IoCompletionHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, ULONG Count), \
      (IoCompletionHandle, DesiredAccess, ObjectAttributes, Count), 4) \
    X(NTSTATUS, NtSetIoCompletion, \
      (HANDLE IoCompletionHandle, PVOID KeyContext, PVOID ApcContext, NTSTATUS IoStatus, ULONG_PTR IoStatusInformation), \
      (IoCompletionHandle, KeyContext, ApcContext, IoStatus, IoStatusInformation), 5) \
    X(NTSTATUS, NtRemoveIoCompletion, \
      (HANDLE IoCompletionHandle, PVOID *KeyContext, PVOID *ApcContext, PIO_STATUS_BLOCK IoStatusBlock, \
       PLARGE_INTEGER Timeout), \
      (IoCompletionHandle, KeyContext, ApcContext, IoStatusBlock, Timeout), 5) \
    X(NTSTATUS, NtRemoveIoCompletionEx, \
      (HANDLE IoCompletionHandle, PFILE_IO_COMPLETION_INFORMATION IoCompletionInformation, ULONG Count, \
       PULONG NumEntriesRemoved, PLARGE_INTEGER Timeout, BOOLEAN Alertable), \
      (IoCompletionHandle, IoCompletionInformation, Count, NumEntriesRemoved, Timeout, Alertable), 6) \
    X(NTSTATUS, NtQueryIoCompletion, \
      (HANDLE IoCompletionHandle, IO_COMPLETION_INFORMATION_CLASS IoCompletionInformationClass, \
       PVOID IoCompletionInformation, ULONG IoCompletionInformationLength, PULONG ReturnLength), \
      (IoCompletionHandle, IoCompletionInformationClass, IoCompletionInformation, IoCompletionInformationLength, ReturnLength), 5) \
    X(NTSTATUS, NtCreateWaitCompletionPacket, \
      (PHANDLE WaitCompletionPacketHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes), \
      (WaitCompletionPacketHandle, DesiredAccess, ObjectAttributes), 3) \
    X(NTSTATUS, NtAssociateWaitCompletionPacket, \
      (HANDLE WaitCompletionPacketHandle, HANDLE IoCompletionHandle, HANDLE TargetObjectHandle, PVOID KeyContext, \
       PVOID ApcContext, NTSTATUS IoStatus, ULONG_PTR IoStatusInformation, PBOOLEAN AlreadySignaled), \
      (WaitCompletionPacketHandle, IoCompletionHandle, TargetObjectHandle, KeyContext, ApcContext, IoStatus, \
       IoStatusInformation, AlreadySignaled), 8) \
    X(NTSTATUS, NtCancelWaitCompletionPacket, \
      (HANDLE WaitCompletionPacketHandle, BOOLEAN RemoveSignaledPacket), \
      (WaitCompletionPacketHandle, RemoveSignaledPacket), 2) \
    X(NTSTATUS, NtQueryInformationProcess, \
      (HANDLE ProcessHandle, PROCESSINFOCLASS ProcessInformationClass, PVOID ProcessInformation, \
       ULONG ProcessInformationLength, PULONG ReturnLength), \
      (ProcessHandle, ProcessInformationClass, ProcessInformation, ProcessInformationLength, ReturnLength), 5) \
    X(NTSTATUS, NtQueryInformationThread, \
      (HANDLE ThreadHandle, THREADINFOCLASS ThreadInformationClass, PVOID ThreadInformation, ULONG ThreadInformationLength, \
       PULONG ReturnLength), \
      (ThreadHandle, ThreadInformationClass, ThreadInformation, ThreadInformationLength, ReturnLength), 5) \
    X(NTSTATUS, NtSetInformationThread, \
      (HANDLE ThreadHandle, THREADINFOCLASS ThreadInformationClass, PVOID ThreadInformation, ULONG ThreadInformationLength), \
      (ThreadHandle, ThreadInformationClass, ThreadInformation, ThreadInformationLength), 4) \
    X(NTSTATUS, RtlGetThreadWorkOnBehalfTicket, \
      (PRTL_WORK_ON_BEHALF_TICKET_EX Ticket, ULONG Flags), \
      (Ticket, Flags), 2) \
    X(NTSTATUS, RtlSetThreadWorkOnBehalfTicket, \
      (PALPC_WORK_ON_BEHALF_TICKET Ticket), \
      (Ticket), 1) \
    X(NTSTATUS, RtlClearThreadWorkOnBehalfTicket, \
      (VOID), \
      (), 0)

/* Everything that libntlpc.so exports under an NT name */
#define NTLPC_ALL_CALLS(X) NTLPC_PORT_CALLS(X) NTLPC_NATIVE_HOST_CALLS(X)

/* The statement that hands on a call's result, by return type. */
#define NTLPC_RETURN_NTSTATUS(value)                    return value
#define NTLPC_RETURN_VOID(value)                        value
#define NTLPC_RETURN_ULONG(value)                       return value
#define NTLPC_RETURN_SIZE_T(value)                      return value
#define NTLPC_RETURN_BOOLEAN(value)                     return value
#define NTLPC_RETURN_PVOID(value)                       return value
#define NTLPC_RETURN_PPORT_MESSAGE(value)               return value
#define NTLPC_RETURN_PALPC_MESSAGE_ATTRIBUTES(value)    return value

#endif
