/* The loop over ports: a synchronous request and its reply, as a program would make them. */
#include "bench_clock.h"

#include <dlfcn.h>
#include <ntlpc/ntstatus.h>
#include <string.h>

typedef struct bench_message {
    PORT_MESSAGE header;
    char payload[CBENCH_MAX_PAYLOAD];
} bench_message;

static bench_message sent, received;

typedef struct bench_name { UNICODE_STRING string; WCHAR characters[200]; } bench_name;

static void make_name(bench_name *name, const char *text)
{
    size_t length = strlen(text);

    if (length > 200) length = 200;
    for (size_t i = 0; i < length; i++) name->characters[i] = (unsigned char)text[i];
    name->string.Buffer = name->characters;
    name->string.Length = name->string.MaximumLength = (USHORT)(length * sizeof(WCHAR));
}

static void make_attributes(ALPC_PORT_ATTRIBUTES *attributes)
{
    memset(attributes, 0, sizeof *attributes);
    attributes->MaxMessageLength = sizeof(bench_message);
}

const char *cbench_find_calls(void *library, cbench_calls *calls)
{
    const struct { const char *name; void *place; } wanted[] = {
        { "NtAlpcCreatePort", &calls->create }, { "NtAlpcConnectPort", &calls->connect }, { "NtAlpcAcceptConnectPort", &calls->accept },
        { "NtAlpcSendWaitReceivePort", &calls->exchange }, { "NtClose", &calls->close },
    };

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *call = dlsym(library, wanted[i].name);
        if (!call) return wanted[i].name;
        memcpy(wanted[i].place, &call, sizeof call);
    }
    return NULL;
}

NTSTATUS cbench_port_serve(const cbench_calls *calls, const char *text, void (*ready)(void))
{
    bench_name name;
    OBJECT_ATTRIBUTES object;
    ALPC_PORT_ATTRIBUTES attributes;
    HANDLE port = NULL, client = NULL;
    PPORT_MESSAGE reply = NULL;
    NTSTATUS status;

    make_name(&name, text);
    make_attributes(&attributes);
    InitializeObjectAttributes(&object, &name.string, OBJ_CASE_INSENSITIVE, NULL, NULL);
    status = calls->create(&port, &object, &attributes);
    if (status != STATUS_SUCCESS) return status;
    ready();
    for (;;) {
        SIZE_T size = sizeof received;
        status = calls->exchange(port, reply ? ALPC_MSGFLG_RELEASE_MESSAGE : 0, reply, NULL, &received.header, &size, NULL, NULL);
        if (status != STATUS_SUCCESS) return status;
        reply = NULL;
        switch (received.header.u2.s2.Type & 0xff) {
        case LPC_REQUEST: reply = &received.header; break;
        case LPC_CONNECTION_REQUEST:
            status = calls->accept(&client, port, 0, NULL, NULL, NULL, &received.header, NULL, TRUE);
            if (status != STATUS_SUCCESS) return status;
            break;
        case LPC_PORT_CLOSED:
            calls->close(client);
            return calls->close(port);
        default: break;
        }
    }
}

NTSTATUS cbench_port_run(const cbench_calls *calls, const char *text, size_t payload, cbench_run *run)
{
    bench_name name;
    ALPC_PORT_ATTRIBUTES attributes;
    LARGE_INTEGER patience = { .QuadPart = -100000000 };
    HANDLE port = NULL;
    NTSTATUS status;
    bench_clock clock;

    make_name(&name, text);
    make_attributes(&attributes);
    status = calls->connect(&port, &name.string, NULL, &attributes, ALPC_SYNC_CONNECTION, NULL, NULL, NULL, NULL, NULL, &patience);
    if (status != STATUS_SUCCESS) return status;
    for (bench_start(&clock, run); bench_goes_on(&clock); bench_note(&clock)) {
        SIZE_T size = sizeof received;
        sent.header.u1.s1.DataLength = (USHORT)payload;
        sent.header.u1.s1.TotalLength = (USHORT)(sizeof sent.header + payload);
        sent.header.u2.ZeroInit = 0;
        sent.header.MessageId = 0;
        status = calls->exchange(port, ALPC_MSGFLG_SYNC_REQUEST, &sent.header, NULL, &received.header, &size, NULL, NULL);
        if (status != STATUS_SUCCESS) return status;
    }
    bench_finish(&clock);
    return calls->close(port);
}
