/* Prototypes of the port calls, in the order of compat/functions.csv. Included by ntlpcapi.h.
 *
 * Everything here is exported by libntlpc.so. A call that is not implemented yet answers STATUS_NOT_IMPLEMENTED, or the failure
 * value of its type; ntlpc_exports() tells which they are. Statuses are documented at the implementations in Sources/NTExports. */
#ifndef NTLPC_NTLPCFUNCS_H
#define NTLPC_NTLPCFUNCS_H

#include <ntlpc/ntlpcapi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- LPC ---- */

/* Makes an LPC connection port. */
NTSTATUS NTAPI NtCreatePort(PHANDLE PortHandle, POBJECT_ATTRIBUTES ObjectAttributes, ULONG MaxConnectionInfoLength,
                            ULONG MaxMessageLength, ULONG MaxPoolUsage);
/* The same; its handle can be waited on. */
NTSTATUS NTAPI NtCreateWaitablePort(PHANDLE PortHandle, POBJECT_ATTRIBUTES ObjectAttributes, ULONG MaxConnectionInfoLength,
                                    ULONG MaxMessageLength, ULONG MaxPoolUsage);
/* Connects to an LPC port and waits for the answer. */
NTSTATUS NTAPI NtConnectPort(PHANDLE PortHandle, PUNICODE_STRING PortName, PSECURITY_QUALITY_OF_SERVICE SecurityQos,
                             PPORT_VIEW ClientView, PREMOTE_PORT_VIEW ServerView, PULONG MaxMessageLength,
                             PVOID ConnectionInformation, PULONG ConnectionInformationLength);
/* The same; the server must run as RequiredServerSid. */
NTSTATUS NTAPI NtSecureConnectPort(PHANDLE PortHandle, PUNICODE_STRING PortName, PSECURITY_QUALITY_OF_SERVICE SecurityQos,
                                   PPORT_VIEW ClientView, PSID RequiredServerSid, PREMOTE_PORT_VIEW ServerView,
                                   PULONG MaxMessageLength, PVOID ConnectionInformation, PULONG ConnectionInformationLength);
/* Receives one connection request. */
NTSTATUS NTAPI NtListenPort(HANDLE PortHandle, PPORT_MESSAGE ConnectionRequest);
/* Answers a connection request; AcceptConnection FALSE refuses. */
NTSTATUS NTAPI NtAcceptConnectPort(PHANDLE PortHandle, PVOID PortContext, PPORT_MESSAGE ConnectionRequest,
                                   BOOLEAN AcceptConnection, PPORT_VIEW ServerView, PREMOTE_PORT_VIEW ClientView);
/* Lets the accepted client go on. */
NTSTATUS NTAPI NtCompleteConnectPort(HANDLE PortHandle);
/* Sends a datagram. */
NTSTATUS NTAPI NtRequestPort(HANDLE PortHandle, PPORT_MESSAGE RequestMessage);
/* Sends a request and waits for its reply. */
NTSTATUS NTAPI NtRequestWaitReplyPort(HANDLE PortHandle, PPORT_MESSAGE RequestMessage, PPORT_MESSAGE ReplyMessage);
/* Replies. */
NTSTATUS NTAPI NtReplyPort(HANDLE PortHandle, PPORT_MESSAGE ReplyMessage);
/* Replies, then waits for the reply to a request of its own. */
NTSTATUS NTAPI NtReplyWaitReplyPort(HANDLE PortHandle, PPORT_MESSAGE ReplyMessage);
/* Replies, if there is a reply, then waits for the next message. */
NTSTATUS NTAPI NtReplyWaitReceivePort(HANDLE PortHandle, PVOID *PortContext, PPORT_MESSAGE ReplyMessage,
                                      PPORT_MESSAGE ReceiveMessage);
/* The same, for at most Timeout. */
NTSTATUS NTAPI NtReplyWaitReceivePortEx(HANDLE PortHandle, PVOID *PortContext, PPORT_MESSAGE ReplyMessage,
                                        PPORT_MESSAGE ReceiveMessage, PLARGE_INTEGER Timeout);
NTSTATUS NTAPI NtImpersonateClientOfPort(HANDLE PortHandle, PPORT_MESSAGE Message);
NTSTATUS NTAPI NtReadRequestData(HANDLE PortHandle, PPORT_MESSAGE Message, ULONG DataEntryIndex, PVOID Buffer, SIZE_T BufferSize,
                                 PSIZE_T NumberOfBytesRead);
NTSTATUS NTAPI NtWriteRequestData(HANDLE PortHandle, PPORT_MESSAGE Message, ULONG DataEntryIndex, PVOID Buffer, SIZE_T BufferSize,
                                  PSIZE_T NumberOfBytesWritten);
NTSTATUS NTAPI NtQueryInformationPort(HANDLE PortHandle, PORT_INFORMATION_CLASS PortInformationClass, PVOID PortInformation,
                                      ULONG Length, PULONG ReturnLength);
/* Asks for an LPC_CLIENT_DIED message to the port when the calling thread ends. */
NTSTATUS NTAPI NtRegisterThreadTerminatePort(HANDLE PortHandle);
NTSTATUS NTAPI NtSetDefaultHardErrorPort(HANDLE DefaultHardErrorPort);
/* Answers whether the process has a debug port; no parameters in any source. */
NTSTATUS NTAPI NtQueryPortInformationProcess(VOID);

/* ---- ALPC ---- */

/* Makes an ALPC connection port. */
NTSTATUS NTAPI NtAlpcCreatePort(PHANDLE PortHandle, POBJECT_ATTRIBUTES ObjectAttributes, PALPC_PORT_ATTRIBUTES PortAttributes);
/* Ends the connection; the handle stays. */
NTSTATUS NTAPI NtAlpcDisconnectPort(HANDLE PortHandle, ULONG Flags);
NTSTATUS NTAPI NtAlpcQueryInformation(HANDLE PortHandle, ALPC_PORT_INFORMATION_CLASS PortInformationClass, PVOID PortInformation,
                                      ULONG Length, PULONG ReturnLength);
NTSTATUS NTAPI NtAlpcSetInformation(HANDLE PortHandle, ALPC_PORT_INFORMATION_CLASS PortInformationClass, PVOID PortInformation,
                                    ULONG Length);
NTSTATUS NTAPI NtAlpcCreatePortSection(HANDLE PortHandle, ULONG Flags, HANDLE SectionHandle, SIZE_T SectionSize,
                                       PALPC_HANDLE AlpcSectionHandle, PSIZE_T ActualSectionSize);
NTSTATUS NTAPI NtAlpcDeletePortSection(HANDLE PortHandle, ULONG Flags, ALPC_HANDLE SectionHandle);
NTSTATUS NTAPI NtAlpcCreateResourceReserve(HANDLE PortHandle, ULONG Flags, SIZE_T MessageSize, PULONG ResourceId);
NTSTATUS NTAPI NtAlpcDeleteResourceReserve(HANDLE PortHandle, ULONG Flags, ULONG ResourceId);
NTSTATUS NTAPI NtAlpcCreateSectionView(HANDLE PortHandle, ULONG Flags, PALPC_DATA_VIEW_ATTR ViewAttributes);
NTSTATUS NTAPI NtAlpcDeleteSectionView(HANDLE PortHandle, ULONG Flags, PVOID ViewBase);
NTSTATUS NTAPI NtAlpcCreateSecurityContext(HANDLE PortHandle, ULONG Flags, PALPC_SECURITY_ATTR SecurityAttribute);
NTSTATUS NTAPI NtAlpcDeleteSecurityContext(HANDLE PortHandle, ULONG Flags, ALPC_HANDLE ContextHandle);
NTSTATUS NTAPI NtAlpcRevokeSecurityContext(HANDLE PortHandle, ULONG Flags, ALPC_HANDLE ContextHandle);
NTSTATUS NTAPI NtAlpcQueryInformationMessage(HANDLE PortHandle, PPORT_MESSAGE PortMessage,
                                             ALPC_MESSAGE_INFORMATION_CLASS MessageInformationClass, PVOID MessageInformation,
                                             ULONG Length, PULONG ReturnLength);
/* Connects to an ALPC port; waits for the answer with ALPC_SYNC_CONNECTION. BufferLength: capacity of
 * ConnectionMessage in, length out, in bytes with the header. */
NTSTATUS NTAPI NtAlpcConnectPort(PHANDLE PortHandle, PUNICODE_STRING PortName, POBJECT_ATTRIBUTES ObjectAttributes,
                                 PALPC_PORT_ATTRIBUTES PortAttributes, ULONG Flags, PSID RequiredServerSid,
                                 PPORT_MESSAGE ConnectionMessage, PSIZE_T BufferLength,
                                 PALPC_MESSAGE_ATTRIBUTES OutMessageAttributes, PALPC_MESSAGE_ATTRIBUTES InMessageAttributes,
                                 PLARGE_INTEGER Timeout);
/* The same; the port is named by object attributes, the server is judged by a security descriptor. */
NTSTATUS NTAPI NtAlpcConnectPortEx(PHANDLE PortHandle, POBJECT_ATTRIBUTES ConnectionPortObjectAttributes,
                                   POBJECT_ATTRIBUTES ClientPortObjectAttributes, PALPC_PORT_ATTRIBUTES PortAttributes,
                                   ULONG Flags, PSECURITY_DESCRIPTOR ServerSecurityRequirements, PPORT_MESSAGE ConnectionMessage,
                                   PSIZE_T BufferLength, PALPC_MESSAGE_ATTRIBUTES OutMessageAttributes,
                                   PALPC_MESSAGE_ATTRIBUTES InMessageAttributes, PLARGE_INTEGER Timeout);
/* Answers a connection request; AcceptConnection FALSE refuses. */
NTSTATUS NTAPI NtAlpcAcceptConnectPort(PHANDLE PortHandle, HANDLE ConnectionPortHandle, ULONG Flags,
                                       POBJECT_ATTRIBUTES ObjectAttributes, PALPC_PORT_ATTRIBUTES PortAttributes,
                                       PVOID PortContext, PPORT_MESSAGE ConnectionRequest,
                                       PALPC_MESSAGE_ATTRIBUTES ConnectionMessageAttributes, BOOLEAN AcceptConnection);
/* Sends, waits and receives, each if asked to. BufferLength: capacity of ReceiveMessage, in bytes with the header.
 * Timeout: 100 ns units, negative is relative, NULL waits for ever. */
NTSTATUS NTAPI NtAlpcSendWaitReceivePort(HANDLE PortHandle, ULONG Flags, PPORT_MESSAGE SendMessage,
                                         PALPC_MESSAGE_ATTRIBUTES SendMessageAttributes, PPORT_MESSAGE ReceiveMessage,
                                         PSIZE_T BufferLength, PALPC_MESSAGE_ATTRIBUTES ReceiveMessageAttributes,
                                         PLARGE_INTEGER Timeout);
NTSTATUS NTAPI NtAlpcCancelMessage(HANDLE PortHandle, ULONG Flags, PALPC_CONTEXT_ATTR MessageContext);
/* Flags is a pointer-sized set of ALPC_IMPERSONATEFLG_* bits. */
NTSTATUS NTAPI NtAlpcImpersonateClientOfPort(HANDLE PortHandle, PPORT_MESSAGE Message, PVOID Flags);
NTSTATUS NTAPI NtAlpcImpersonateClientContainerOfPort(HANDLE PortHandle, PPORT_MESSAGE Message, ULONG Flags);
NTSTATUS NTAPI NtAlpcOpenSenderProcess(PHANDLE ProcessHandle, HANDLE PortHandle, PPORT_MESSAGE PortMessage, ULONG Flags,
                                       ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes);
NTSTATUS NTAPI NtAlpcOpenSenderThread(PHANDLE ThreadHandle, HANDLE PortHandle, PPORT_MESSAGE PortMessage, ULONG Flags,
                                      ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes);

/* ---- Helpers of ntdll that make no system call, and completion lists ---- */

/* The length of the longest message, in bytes with the header. */
ULONG NTAPI AlpcMaxAllowedMessageLength(VOID);
/* Bytes of an attribute buffer for these attributes; unknown bits add nothing. */
SIZE_T NTAPI AlpcGetHeaderSize(ULONG AttributeFlags);
/* Prepares an attribute buffer. *RequiredBufferSize is always set. */
NTSTATUS NTAPI AlpcInitializeMessageAttribute(ULONG AttributeFlags, PALPC_MESSAGE_ATTRIBUTES Buffer, SIZE_T BufferSize,
                                              PSIZE_T RequiredBufferSize);
/* Where the record of one attribute is; NULL when it was not allocated. */
PVOID NTAPI AlpcGetMessageAttribute(PALPC_MESSAGE_ATTRIBUTES Buffer, ULONG AttributeFlag);
NTSTATUS NTAPI AlpcRegisterCompletionList(HANDLE PortHandle, PALPC_COMPLETION_LIST_HEADER Buffer, ULONG Size,
                                          ULONG ConcurrencyCount, ULONG AttributeFlags);
NTSTATUS NTAPI AlpcUnregisterCompletionList(HANDLE PortHandle);
NTSTATUS NTAPI AlpcRundownCompletionList(HANDLE PortHandle);
NTSTATUS NTAPI AlpcAdjustCompletionListConcurrencyCount(HANDLE PortHandle, ULONG ConcurrencyCount);
BOOLEAN NTAPI AlpcRegisterCompletionListWorkerThread(PVOID CompletionList);
BOOLEAN NTAPI AlpcUnregisterCompletionListWorkerThread(PVOID CompletionList);
VOID NTAPI AlpcGetCompletionListLastMessageInformation(PVOID CompletionList, PULONG LastMessageId, PULONG LastCallbackId);
ULONG NTAPI AlpcGetOutstandingCompletionListMessageCount(PVOID CompletionList);
PPORT_MESSAGE NTAPI AlpcGetMessageFromCompletionList(PVOID CompletionList, PALPC_MESSAGE_ATTRIBUTES *MessageAttributes);
VOID NTAPI AlpcFreeCompletionListMessage(PVOID CompletionList, PPORT_MESSAGE Message);
PALPC_MESSAGE_ATTRIBUTES NTAPI AlpcGetCompletionListMessageAttributes(PVOID CompletionList, PPORT_MESSAGE Message);

/* ---- Working on behalf of another thread ---- */

/* The ticket of the thread that the calling thread works for; its own when it works for itself. */
NTSTATUS NTAPI RtlGetThreadWorkOnBehalfTicket(PRTL_WORK_ON_BEHALF_TICKET_EX Ticket, ULONG Flags);
/* The calling thread works for the ticket's thread from now on. */
NTSTATUS NTAPI RtlSetThreadWorkOnBehalfTicket(PALPC_WORK_ON_BEHALF_TICKET Ticket);
NTSTATUS NTAPI RtlClearThreadWorkOnBehalfTicket(VOID);

/* ---- Thread pool ---- */

NTSTATUS NTAPI TpAllocAlpcCompletion(PTP_ALPC *AlpcReturn, HANDLE AlpcPort, PTP_ALPC_CALLBACK Callback, PVOID Context,
                                     PTP_CALLBACK_ENVIRON CallbackEnviron);
NTSTATUS NTAPI TpAllocAlpcCompletionEx(PTP_ALPC *AlpcReturn, HANDLE AlpcPort, PTP_ALPC_CALLBACK_EX Callback, PVOID Context,
                                       PTP_CALLBACK_ENVIRON CallbackEnviron);
VOID NTAPI TpReleaseAlpcCompletion(PTP_ALPC Alpc);
VOID NTAPI TpWaitForAlpcCompletion(PTP_ALPC Alpc);
VOID NTAPI TpAlpcRegisterCompletionList(PTP_ALPC Alpc);
VOID NTAPI TpAlpcUnregisterCompletionList(PTP_ALPC Alpc);
NTSTATUS NTAPI TpCallbackSendAlpcMessageOnCompletion(HANDLE TpHandle, HANDLE PortHandle, ULONG Flags, PPORT_MESSAGE SendMessage);
/* No source gives its parameters. */
NTSTATUS NTAPI TpCallbackSendPendingAlpcMessage(VOID);

#ifdef __cplusplus
}
#endif
#endif
