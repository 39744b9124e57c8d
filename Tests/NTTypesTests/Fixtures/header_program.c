/* A small program that touches each public header, in C and C++, on Linux and on Windows. It is compiled, not run. */
#if defined(WINDOWS_FIRST)
#include <windows.h>
#include <winternl.h>
#elif defined(WINTERNL_FIRST)
#include <winternl.h>
#elif defined(NTSTATUS_FIRST)
#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <winternl.h>
#include <ntstatus.h>
#endif

#include <ntlpc/ntlpc.h>

#if defined(WINDOWS_LAST)
#include <windows.h>
#include <winternl.h>
#elif defined(NTSTATUS_LAST)
#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <winternl.h>
#include <ntstatus.h>
#endif

struct request { PORT_MESSAGE header; char text[64]; };

static NTSTATUS serve(HANDLE port) {
    struct request request;
    SIZE_T length = sizeof request;
    LARGE_INTEGER timeout;
    timeout.QuadPart = -10000000;
    NTSTATUS status = NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &request.header, &length, NULL, &timeout);
    if (status == (NTSTATUS)STATUS_TIMEOUT || !NT_SUCCESS(status)) return status;
    switch (request.header.u2.s2.Type & LPC_TYPE_MASK) {
    case LPC_CONNECTION_REQUEST: {
        HANDLE connection = NULL;
        return NtAlpcAcceptConnectPort(&connection, port, 0, NULL, NULL, NULL, &request.header, NULL, TRUE);
    }
    case LPC_REQUEST:
        return NtAlpcSendWaitReceivePort(port, ALPC_MSGFLG_RELEASE_MESSAGE, &request.header, NULL, NULL, NULL, NULL, NULL);
    default:
        return STATUS_REPLY_MESSAGE_MISMATCH;
    }
}

int main(void) {
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    ALPC_PORT_ATTRIBUTES port_attributes = { 0, { 0, SecurityImpersonation, SECURITY_DYNAMIC_TRACKING, FALSE }, 0, 0, 0, 0, 0, 0, 0
#ifdef __LP64__
        , 0
#elif defined(_WIN64)
        , 0
#endif
    };
    HANDLE port = NULL, event = NULL;
    RtlInitUnicodeString(&name, NTLPC_TEXT("\\RPC Control\\header program"));
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    port_attributes.MaxMessageLength = sizeof(struct request);
    port_attributes.Flags = ALPC_PORFLG_ALLOW_LPC_REQUESTS | ALPC_PORFLG_WAITABLE_PORT;
    if (!NT_SUCCESS(NtAlpcCreatePort(&port, &attributes, &port_attributes))) return 1;
    if (!NT_SUCCESS(NtCreateEvent(&event, EVENT_ALL_ACCESS, NULL, SynchronizationEvent, FALSE))) return 2;
    HANDLE handles[2] = { port, event };
    NTSTATUS status = NtWaitForMultipleObjects(2, handles, WaitAny, FALSE, NULL);
    if ((ULONG)status == (ULONG)STATUS_WAIT_0) status = serve(port);
    NtClose(event);
    NtClose(port);
    return NT_SUCCESS(status) ? 0 : 3;
}
