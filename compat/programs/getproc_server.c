/* A server that finds every call at run time, under both of its names, and serves one ALPC client on NAME and one LPC client on
 * NAME with "-lpc" behind it. */
#include "own_declarations.h"

static const char *const nt_names[] = {
    "AcceptConnectPort", "CompleteConnectPort", "ConnectPort", "CreatePort", "CreateWaitablePort", "ImpersonateClientOfPort",
    "ListenPort", "QueryInformationPort", "QueryPortInformationProcess", "ReadRequestData", "RegisterThreadTerminatePort",
    "ReplyPort", "ReplyWaitReceivePort", "ReplyWaitReceivePortEx", "ReplyWaitReplyPort", "RequestPort", "RequestWaitReplyPort",
    "SecureConnectPort", "SetDefaultHardErrorPort", "WriteRequestData", "AlpcAcceptConnectPort", "AlpcCancelMessage",
    "AlpcConnectPort", "AlpcConnectPortEx", "AlpcCreatePort", "AlpcCreatePortSection", "AlpcCreateResourceReserve",
    "AlpcCreateSectionView", "AlpcCreateSecurityContext", "AlpcDeletePortSection", "AlpcDeleteResourceReserve",
    "AlpcDeleteSectionView", "AlpcDeleteSecurityContext", "AlpcDisconnectPort", "AlpcImpersonateClientContainerOfPort",
    "AlpcImpersonateClientOfPort", "AlpcOpenSenderProcess", "AlpcOpenSenderThread", "AlpcQueryInformation",
    "AlpcQueryInformationMessage", "AlpcRevokeSecurityContext", "AlpcSendWaitReceivePort", "AlpcSetInformation",
};
static const char *const other_names[] = {
    "AlpcAdjustCompletionListConcurrencyCount", "AlpcFreeCompletionListMessage", "AlpcGetCompletionListLastMessageInformation",
    "AlpcGetCompletionListMessageAttributes", "AlpcGetHeaderSize", "AlpcGetMessageAttribute", "AlpcGetMessageFromCompletionList",
    "AlpcGetOutstandingCompletionListMessageCount", "AlpcInitializeMessageAttribute", "AlpcMaxAllowedMessageLength",
    "AlpcRegisterCompletionList", "AlpcRegisterCompletionListWorkerThread", "AlpcRundownCompletionList",
    "AlpcUnregisterCompletionList", "AlpcUnregisterCompletionListWorkerThread", "TpAllocAlpcCompletion", "TpAllocAlpcCompletionEx",
    "TpAlpcRegisterCompletionList", "TpAlpcUnregisterCompletionList", "TpCallbackSendAlpcMessageOnCompletion",
    "TpCallbackSendPendingAlpcMessage", "TpReleaseAlpcCompletion", "TpWaitForAlpcCompletion",
};

static void find_all(void)
{
    unsigned found = 0, missing = 0;
    char name[64];

    for (size_t i = 0; i < sizeof nt_names / sizeof *nt_names; i++)
        for (int zw = 0; zw < 2; zw++) {
            snprintf(name, sizeof name, "%s%s", zw ? "Zw" : "Nt", nt_names[i]);
            if (look_for_call(name)) found++;
            else if (missing++ < 5) say("there is no %s", name);
        }
    for (size_t i = 0; i < sizeof other_names / sizeof *other_names; i++)
        if (look_for_call(other_names[i])) found++;
        else if (missing++ < 5) say("there is no %s", other_names[i]);
    say("%u calls found, %u missing", found, missing);
    if (missing) fail("calls are missing");
}

static void test_helpers(void)
{
    GetHeaderSize header_size = find_call("AlpcGetHeaderSize");
    InitializeMessageAttribute initialize = find_call("AlpcInitializeMessageAttribute");
    GetMessageAttribute get = find_call("AlpcGetMessageAttribute");
    MaxAllowedMessageLength longest = find_call("AlpcMaxAllowedMessageLength");
    union { MessageAttributes Header; char Bytes[256]; } buffer;
    size_t required = 0;

    if (header_size(0) != 8 || header_size(ContextBit) != 40 || header_size(0xfe000000u) != 0xa0) fail("AlpcGetHeaderSize");
    if (longest() != 0xffff) fail("AlpcMaxAllowedMessageLength");
    check("AlpcInitializeMessageAttribute", initialize(ContextBit, NULL, 0, &required), (Status)0xc0000023);
    if (required != 40) fail("the size needed is wrong");
    check("AlpcInitializeMessageAttribute", initialize(ContextBit, &buffer.Header, sizeof buffer, &required), 0);
    if (get(&buffer.Header, ContextBit) != buffer.Bytes + 8 || get(&buffer.Header, 0x40000000)) fail("AlpcGetMessageAttribute");
    say("helpers right");
}

static void serve_alpc(const char *text)
{
    AlpcCreatePort create = find_call("NtAlpcCreatePort");
    AlpcSendWaitReceivePort exchange = find_call("ZwAlpcSendWaitReceivePort");
    AlpcAcceptConnectPort accept = find_call("NtAlpcAcceptConnectPort");
    AlpcQueryInformation query = find_call("NtAlpcQueryInformation");
    CloseHandleCall close_handle = find_call("NtClose");
    struct { PortMessage Header; char Bytes[216]; } message;
    struct { MessageAttributes Header; ContextAttribute Context; } attributes;
    struct { uint32_t Flags, SequenceNo; uint64_t PortContext; } basic;
    PortAttributes limits;
    Name name;
    Handle port = NULL, client = NULL;

    make_name(&name, text);
    memset(&limits, 0, sizeof limits);
    limits.Flags = AllowRequests;
    limits.MaxMessageLength = sizeof message;
    check("NtAlpcCreatePort", create(&port, &name.Attributes, &limits), 0);
    say("ALPC listening");
    check("NtAlpcQueryInformation", query(port, 0, &basic, sizeof basic, NULL), 0);
    if (!(basic.Flags & AllowRequests) || basic.PortContext) fail("the basic information is wrong");
    for (;;) {
        size_t size = sizeof message;
        int64_t timeout = -150000000;

        memset(&attributes, 0, sizeof attributes);
        attributes.Header.Allocated = ContextBit;
        check("ZwAlpcSendWaitReceivePort", exchange(port, 0, NULL, NULL, &message.Header, &size, &attributes.Header, &timeout), 0);
        say("received type %u, %u bytes, context 0x%llx", message.Header.Type & 0xffu, (unsigned)message.Header.DataLength,
            attributes.Header.Valid & ContextBit ? (unsigned long long)attributes.Context.PortContext : 0ull);
        if ((message.Header.Type & 0xff) == ConnectionRequest) {
            check("NtAlpcAcceptConnectPort", accept(&client, port, 0, NULL, NULL, (void *)0x1122334455667788, &message.Header, NULL, 1), 0);
            continue;
        }
        if (!(attributes.Header.Valid & ContextBit) || attributes.Context.PortContext != 0x1122334455667788) fail("the port context is wrong");
        if ((message.Header.Type & 0xff) == Closed) break;
        message.Bytes[0]++;
        check("the reply", exchange(port, ReleaseMessage, &message.Header, NULL, NULL, NULL, NULL, NULL), 0);
    }
    check("NtClose", close_handle(client), 0);
    check("NtClose", close_handle(port), 0);
}

static void serve_lpc(const char *text)
{
    CreatePort create = find_call("NtCreatePort");
    ListenPort listen = find_call("NtListenPort");
    AcceptConnectPort accept = find_call("NtAcceptConnectPort");
    CompleteConnectPort complete = find_call("NtCompleteConnectPort");
    ReplyWaitReceivePort receive = find_call("NtReplyWaitReceivePort");
    CloseHandleCall close_handle = find_call("NtClose");
    struct { PortMessage Header; char Bytes[216]; } message;
    PortMessage *reply = NULL;
    Name name;
    Handle port = NULL, client = NULL;
    char full[300];

    snprintf(full, sizeof full, "%s-lpc", text);
    make_name(&name, full);
    check("NtCreatePort", create(&port, &name.Attributes, 64, sizeof message, 0), 0);
    say("LPC listening");
    check("NtListenPort", listen(port, &message.Header), 0);
    say("received type %u, %u bytes", (unsigned)message.Header.Type, (unsigned)message.Header.DataLength);
    check("NtAcceptConnectPort", accept(&client, (void *)0x7766, &message.Header, 1, NULL, NULL), 0);
    check("NtCompleteConnectPort", complete(client), 0);
    for (;;) {
        void *context = NULL;

        check("NtReplyWaitReceivePort", receive(port, &context, reply, &message.Header), 0);
        say("received type %u, %u bytes, context %p", (unsigned)message.Header.Type, (unsigned)message.Header.DataLength, context);
        if (context != (void *)0x7766) fail("the port context is wrong");
        reply = NULL;
        if (message.Header.Type == Closed) break;
        if (message.Header.Type == Request) { message.Bytes[0]++; reply = &message.Header; }
    }
    check("NtClose", close_handle(client), 0);
    check("NtClose", close_handle(port), 0);
}

int main(int argc, char **argv)
{
    const char *name = begin(argc, argv, "getproc_server");

    find_all();
    test_helpers();
    serve_alpc(name);
    serve_lpc(name);
    say("done");
    return 0;
}
