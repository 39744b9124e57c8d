/* Calls through the thunks and looks up names. Exits with the line of the first expectation that fails, else 0. */
#include <ntlpc/ntlpc_host.h>
#include <ntlpc/ntlpc_msabi.h>
#include <stdio.h>
#include <string.h>

#define EXPECT(condition) do { if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); return 1; } } while (0)
#define MARK(number) ((void *)(uintptr_t)(0x1111222200000000ull + (number)))

/* The call with the most arguments: eleven, of which four travel in registers under the Microsoft convention. */
static int connect_calls;
NTSTATUS NTAPI NtAlpcConnectPort(PHANDLE PortHandle, PUNICODE_STRING PortName, POBJECT_ATTRIBUTES ObjectAttributes,
                                 PALPC_PORT_ATTRIBUTES PortAttributes, ULONG Flags, PSID RequiredServerSid,
                                 PPORT_MESSAGE ConnectionMessage, PSIZE_T BufferLength, PALPC_MESSAGE_ATTRIBUTES OutMessageAttributes,
                                 PALPC_MESSAGE_ATTRIBUTES InMessageAttributes, PLARGE_INTEGER Timeout) {
    connect_calls++;
    return (void *)PortHandle == MARK(1) && (void *)PortName == MARK(2) && (void *)ObjectAttributes == MARK(3) &&
           (void *)PortAttributes == MARK(4) && Flags == 0x80000005u && RequiredServerSid == MARK(6) &&
           (void *)ConnectionMessage == MARK(7) && (void *)BufferLength == MARK(8) && (void *)OutMessageAttributes == MARK(9) &&
           (void *)InMessageAttributes == MARK(10) && (void *)Timeout == MARK(11) ? (NTSTATUS)0xC0000041 : STATUS_SUCCESS;
}

/* A BOOLEAN on the stack: only its low byte counts. */
static BOOLEAN accepted;
NTSTATUS NTAPI NtAlpcAcceptConnectPort(PHANDLE PortHandle, HANDLE ConnectionPortHandle, ULONG Flags, POBJECT_ATTRIBUTES ObjectAttributes,
                                       PALPC_PORT_ATTRIBUTES PortAttributes, PVOID PortContext, PPORT_MESSAGE ConnectionRequest,
                                       PALPC_MESSAGE_ATTRIBUTES ConnectionMessageAttributes, BOOLEAN AcceptConnection) {
    (void)PortHandle; (void)ConnectionPortHandle; (void)Flags; (void)ObjectAttributes; (void)PortAttributes; (void)ConnectionRequest;
    (void)ConnectionMessageAttributes;
    accepted = AcceptConnection;
    return PortContext == MARK(6) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

PVOID NTAPI AlpcGetMessageAttribute(PALPC_MESSAGE_ATTRIBUTES Buffer, ULONG AttributeFlag) {
    return (char *)Buffer + AttributeFlag;
}

typedef __attribute__((ms_abi)) NTSTATUS (*accept_function)(void *, void *, uint64_t, void *, void *, void *, void *, void *, uint64_t);

#define ONE(ReturnType, Name, Parameters, Arguments, Count) + 1
enum { CALLS = 0 NTLPC_ALL_CALLS(ONE) };

int main(void) {
    EXPECT(ntlpc_ms_NtAlpcConnectPort(MARK(1), MARK(2), MARK(3), MARK(4), 0x80000005u, MARK(6), MARK(7), MARK(8), MARK(9), MARK(10),
                                      MARK(11)) == (NTSTATUS)0xC0000041);
    EXPECT(connect_calls == 1);

    /* A caller of the other convention leaves what it likes in the unused bits of its arguments. */
    accept_function accept = (accept_function)ntlpc_resolve("ZwAlpcAcceptConnectPort", NTLPC_ABI_MS);
    EXPECT(accept);
    EXPECT(accept(NULL, NULL, ~0ull << 32, NULL, NULL, MARK(6), NULL, NULL, 0xFFFFFFFFFFFFFF00ull) == STATUS_SUCCESS);
    EXPECT(accepted == FALSE);
    EXPECT(accept(NULL, NULL, 0, NULL, NULL, MARK(6), NULL, NULL, 0xFFFFFFFFFFFFFF01ull) == STATUS_SUCCESS);
    EXPECT(accepted == TRUE);

    EXPECT(ntlpc_ms_AlpcGetMessageAttribute(MARK(0), 5) == MARK(5));

    /* Results of every return type pass through. */
    ULONG id = 7, callback = 8;
    EXPECT(NtAlpcCancelMessage(NULL, 0, NULL) == STATUS_NOT_IMPLEMENTED);
    EXPECT(ntlpc_ms_NtAlpcCancelMessage(NULL, 0, NULL) == STATUS_NOT_IMPLEMENTED);
    EXPECT(AlpcRegisterCompletionListWorkerThread(NULL) == FALSE);
    EXPECT(AlpcGetOutstandingCompletionListMessageCount(NULL) == 0);
    EXPECT(AlpcGetMessageFromCompletionList(NULL, NULL) == NULL);
    EXPECT(ntlpc_ms_AlpcGetCompletionListMessageAttributes(NULL, NULL) == NULL);
    ntlpc_ms_AlpcGetCompletionListLastMessageInformation(NULL, &id, &callback);
    EXPECT(id == 7 && callback == 8);
    TpReleaseAlpcCompletion(NULL);
    EXPECT(TpCallbackSendPendingAlpcMessage() == STATUS_NOT_IMPLEMENTED);

    /* Every export is found under both spellings and in both conventions. */
    ULONG count = 0, implemented = 0;
    const NTLPC_EXPORT *exports = ntlpc_exports(&count);
    EXPECT(exports && count == CALLS);
    EXPECT(ntlpc_exports(NULL) == exports);
    for (ULONG i = 0; i < count; i++) {
        char zw[96];
        EXPECT(i == 0 || strcmp(exports[i - 1].Name, exports[i].Name) < 0);
        EXPECT(exports[i].ParameterCount <= 11);
        EXPECT(exports[i].Function[0] && exports[i].Function[1] && exports[i].Function[0] != exports[i].Function[1]);
        implemented += exports[i].Implemented;
        for (unsigned abi = 0; abi < 2; abi++) {
            EXPECT(ntlpc_resolve(exports[i].Name, abi) == exports[i].Function[abi]);
            snprintf(zw, sizeof zw, "Zw%s", exports[i].Name + 2);
            EXPECT(ntlpc_resolve(zw, abi) == (strncmp(exports[i].Name, "Nt", 2) ? NULL : exports[i].Function[abi]));
        }
    }
    EXPECT(implemented == count);
    EXPECT(ntlpc_resolve("NtAlpcConnectPort", NTLPC_ABI_SYSV) == (void *)NtAlpcConnectPort);
    EXPECT(ntlpc_resolve("ZwAlpcConnectPort", NTLPC_ABI_MS) == (void *)ntlpc_ms_NtAlpcConnectPort);
    EXPECT(!ntlpc_resolve("NtAlpcConnectPor", 0) && !ntlpc_resolve("NtAlpcConnectPortEx2", 0) && !ntlpc_resolve("", 0));
    EXPECT(!ntlpc_resolve("Zw", 0) && !ntlpc_resolve("Nt", 0) && !ntlpc_resolve("Z", 0) && !ntlpc_resolve("ZwAlpc", 0));
    EXPECT(!ntlpc_resolve(NULL, 0) && !ntlpc_resolve("NtClose", 2));
    EXPECT(!strcmp(ntlpc_version(), "0.1.0"));
    return 0;
}
