/* The client of getproc_server: it too finds its calls at run time. Each port is tried until the server has made it. */
#include "own_declarations.h"

#define NAME_NOT_FOUND ((Status)0xc0000034)

static void pause_briefly(void)
{
#ifdef _WIN32
    Sleep(20);
#else
    usleep(20000);
#endif
}

static void talk_alpc(const char *text)
{
    AlpcConnectPort connect = find_call("ZwAlpcConnectPort");
    AlpcConnectPortEx connect_ex = find_call("NtAlpcConnectPortEx");
    AlpcSendWaitReceivePort exchange = find_call("NtAlpcSendWaitReceivePort");
    AlpcDisconnectPort disconnect = find_call("NtAlpcDisconnectPort");
    CloseHandleCall close_handle = find_call("ZwClose");
    struct { PortMessage Header; char Bytes[216]; } message;
    PortAttributes limits;
    Name name;
    Handle port = NULL;
    Status status;
    int64_t timeout = -150000000;
    size_t size;

    make_name(&name, text);
    memset(&limits, 0, sizeof limits);
    limits.Quality.Length = sizeof limits.Quality;
    limits.MaxMessageLength = sizeof message;
    do {
        make_message(&message.Header, "knock", 5);
        size = sizeof message;
        status = connect(&port, &name.String, NULL, &limits, SyncRequest, NULL, &message.Header, &size, NULL, NULL, &timeout);
        if (status == NAME_NOT_FOUND) pause_briefly();
    } while (status == NAME_NOT_FOUND);
    check("ZwAlpcConnectPort", status, 0);
    say("connected, type %u", message.Header.Type & 0xffu);
    make_message(&message.Header, "abc", 3);
    size = sizeof message;
    check("the request", exchange(port, SyncRequest, &message.Header, NULL, &message.Header, &size, NULL, &timeout), 0);
    say("received type %u, \"%.*s\"", message.Header.Type & 0xffu, (int)message.Header.DataLength, message.Bytes);
    if (memcmp(message.Bytes, "bbc", 3) || size != 43) fail("the reply is wrong");
    name.String.Buffer[name.String.Length / 2 - 1]++;
    check("NtAlpcConnectPortEx to a missing name", connect_ex(&port, &name.Attributes, NULL, &limits, SyncRequest, NULL, NULL, NULL, NULL,
                                                              NULL, &timeout), NAME_NOT_FOUND);
    check("NtAlpcDisconnectPort", disconnect(port, 0), 0);
    check("ZwClose", close_handle(port), 0);
}

static void talk_lpc(const char *text)
{
    SecureConnectPort connect = find_call("NtSecureConnectPort");
    RequestPort datagram = find_call("NtRequestPort");
    RequestWaitReplyPort request = find_call("NtRequestWaitReplyPort");
    CloseHandleCall close_handle = find_call("NtClose");
    struct { PortMessage Header; char Bytes[216]; } message;
    QualityOfService quality = { sizeof quality, 2, 1, 1 };
    Name name;
    Handle port = NULL;
    Status status;
    uint32_t limit = 0;
    char full[300];

    snprintf(full, sizeof full, "%s-lpc", text);
    make_name(&name, full);
    do {
        char information[8] = "knock";
        uint32_t length = 5;
        status = connect(&port, &name.String, &quality, NULL, NULL, NULL, &limit, information, &length);
        if (status == NAME_NOT_FOUND) pause_briefly();
    } while (status == NAME_NOT_FOUND);
    check("NtSecureConnectPort", status, 0);
    say("connected, limit %u", (unsigned)limit);
    make_message(&message.Header, "note", 4);
    check("NtRequestPort", datagram(port, &message.Header), 0);
    make_message(&message.Header, "xyz", 3);
    check("NtRequestWaitReplyPort", request(port, &message.Header, &message.Header), 0);
    say("received type %u, \"%.*s\"", (unsigned)message.Header.Type, (int)message.Header.DataLength, message.Bytes);
    if (memcmp(message.Bytes, "yyz", 3)) fail("the reply is wrong");
    check("NtClose", close_handle(port), 0);
}

int main(int argc, char **argv)
{
    const char *name = begin(argc, argv, "getproc_client");

    talk_alpc(name);
    talk_lpc(name);
    say("done");
    return 0;
}
