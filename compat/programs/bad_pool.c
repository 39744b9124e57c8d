/* The objects that calls with bad arguments are made on. They are made anew every few hundred calls, since calls use them up. */
#include "bad_arguments.h"

#include <stdarg.h>

struct pool pool;

void complain(const char *format, ...)
{
    char line[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    /* The same complaint a thousand times says no more. */
    if (failures++ < 40) say("FAILED: %s", line);
}

static void name_port(struct nt_name *name, const char *what)
{
    static unsigned number;
    char text[100];
    snprintf(text, sizeof text, "\\RPC Control\\bad-%s-%c%lu-%u", what, ON_WINDOWS ? 'w' : 'n', own_process_id(), ++number);
    make_name(name, text);
}

void usual_port_attributes(ALPC_PORT_ATTRIBUTES *attributes, ULONG flags)
{
    memset(attributes, 0, sizeof *attributes);
    attributes->Flags = ALPC_PORFLG_ALLOW_LPC_REQUESTS | ALPC_PORFLG_ALLOW_IMPERSONATION | ALPC_PORFLG_ALLOW_DUP_OBJECT | flags;
    attributes->SecurityQos.Length = sizeof attributes->SecurityQos;
    attributes->SecurityQos.ImpersonationLevel = SecurityImpersonation;
    attributes->MaxMessageLength = 0x1000;
    attributes->MaxPoolUsage = attributes->MaxSectionSize = attributes->MaxViewSize = attributes->MaxTotalSectionSize = (SIZE_T)1 << 24;
    attributes->DupObjectTypes = ALPC_PORFLG_OBJECT_TYPE_ALL;
}

static NTSTATUS receive(HANDLE port, PORT_MESSAGE *message, SIZE_T size)
{
    LARGE_INTEGER timeout = { .QuadPart = -5ll * 10000000 };
    return NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, message, &size, NULL, &timeout);
}

static void connect_alpc(HANDLE *ports, ULONG flags)
{
    ALPC_PORT_ATTRIBUTES attributes;
    union { PORT_MESSAGE header; unsigned char bytes[0x1000]; } message;

    name_port(&pool.alpc_name, "alpc");
    usual_port_attributes(&attributes, flags);
    expect(NtAlpcCreatePort(&ports[0], &pool.alpc_name.attributes, &attributes), STATUS_SUCCESS, "NtAlpcCreatePort");
    expect(NtAlpcConnectPort(&ports[2], &pool.alpc_name.string, NULL, &attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS, "NtAlpcConnectPort");
    if (flags & ALPC_PORFLG_WAITABLE_PORT) expect(NtWaitForSingleObject(ports[0], FALSE, NULL), STATUS_SUCCESS, "the wait for a connection request");
    expect(receive(ports[0], &message.header, sizeof message), STATUS_SUCCESS, "the receive of a connection request");
    expect(NtAlpcAcceptConnectPort(&ports[1], ports[0], 0, NULL, &attributes, NULL, &message.header, NULL, TRUE), STATUS_SUCCESS, "NtAlpcAcceptConnectPort");
}

/* A client whose connection request is received and not answered. */
static void connect_and_wait(HANDLE *client)
{
    union { PORT_MESSAGE header; unsigned char bytes[0x1000]; } message;
    LARGE_INTEGER now = { .QuadPart = 0 };
    SIZE_T size = sizeof message;

    if (!NT_SUCCESS(NtAlpcConnectPort(client, &pool.alpc_name.string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL))) return;
    if (NT_SUCCESS(NtAlpcSendWaitReceivePort(pool.ports[0], 0, NULL, NULL, &message.header, &size, NULL, &now))) note_id(message.header.MessageId);
}

struct connector { HANDLE port; NTSTATUS status; };

static void connect_legacy(void *argument)
{
    struct connector *connector = argument;
    SECURITY_QUALITY_OF_SERVICE quality;
    memset(&quality, 0, sizeof quality);
    quality.Length = sizeof quality;
    quality.ImpersonationLevel = SecurityImpersonation;
    connector->status = NtConnectPort(&connector->port, &pool.lpc_name.string, &quality, NULL, NULL, NULL, NULL, NULL);
}

static void connect_lpc(HANDLE *ports)
{
    union { PORT_MESSAGE header; unsigned char bytes[0x1000]; } message;
    struct connector connector = { NULL, 0 };
    thread_handle thread;

    name_port(&pool.lpc_name, "lpc");
    expect(NtCreatePort(&ports[0], &pool.lpc_name.attributes, 64, 0x200, 0), STATUS_SUCCESS, "NtCreatePort");
    thread = thread_start(connect_legacy, &connector);
    expect(NtListenPort(ports[0], &message.header), STATUS_SUCCESS, "NtListenPort");
    expect(NtAcceptConnectPort(&ports[1], NULL, &message.header, TRUE, NULL, NULL), STATUS_SUCCESS, "NtAcceptConnectPort");
    expect(NtCompleteConnectPort(ports[1]), STATUS_SUCCESS, "NtCompleteConnectPort");
    thread_join(thread);
    expect(connector.status, STATUS_SUCCESS, "NtConnectPort");
    ports[2] = connector.port;
}

/* Clients of the server that answers. */
static void connect_served(HANDLE *alpc, HANDLE *lpc)
{
    ALPC_PORT_ATTRIBUTES attributes;
    SECURITY_QUALITY_OF_SERVICE quality;
    union { PORT_MESSAGE header; unsigned char bytes[0x1000]; } message;
    SIZE_T size = sizeof message;

    usual_port_attributes(&attributes, 0);
    quality = attributes.SecurityQos;
    memset(&message, 0, sizeof message.header);
    message.header.u1.s1.TotalLength = sizeof message.header;
    expect(NtAlpcConnectPort(alpc, &served_alpc.string, NULL, &attributes, ALPC_SYNC_CONNECTION, NULL, &message.header, &size, NULL, NULL, NULL), STATUS_SUCCESS, "NtAlpcConnectPort to the server");
    expect(NtConnectPort(lpc, &served_lpc.string, &quality, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS, "NtConnectPort to the server");
}

void make_pool(void)
{
    static unsigned char *list;
    ULONG id = 0;
    ALPC_HANDLE section = NULL;
    SIZE_T actual = 0;
    LARGE_INTEGER size = { .QuadPart = 0x20000 };

    /* Whoever says that it is larger meets memory that cannot be touched. */
    if (!list) {
        list = (unsigned char *)pages(3 * 0x100000, 0) + 0x100000;
        make_writable(list, 0x20000);
    }
    memset(&pool, 0, sizeof pool);
    pool.list = list;
    connect_alpc(&pool.ports[3], ALPC_PORFLG_WAITABLE_PORT | ALPC_PORFLG_ALLOW_MULTIHANDLE_ATTRIBUTE);
    connect_alpc(&pool.ports[0], 0);        /* last, so that its name is the one that is used */
    connect_lpc(&pool.ports[6]);
    connect_served(&pool.ports[9], &pool.ports[10]);
    for (unsigned i = 11; i < 14; i++) connect_and_wait(&pool.ports[i]);
    for (unsigned i = 0; i < 2; i++) expect(host.create_event(&pool.events[i], EVENT_ALL_ACCESS, NULL, i ? NotificationEvent : SynchronizationEvent, TRUE), STATUS_SUCCESS, "NtCreateEvent");
    if (host.create_section) host.create_section(&pool.sections[0], SECTION_ALL_ACCESS, NULL, &size, PAGE_READWRITE, SEC_COMMIT, NULL);
    if (host.create_completion) host.create_completion(&pool.completions[0], 0x1f0003, NULL, 0);
    /* What was a handle and is none any more. */
    for (unsigned i = 0; i < 2; i++) {
        HANDLE port = NULL;
        if (i) host.create_event(&port, EVENT_ALL_ACCESS, NULL, SynchronizationEvent, FALSE);
        else NtAlpcCreatePort(&port, NULL, NULL);
        pool.stale[i] = port;
        NtClose(port);
    }
    if (NT_SUCCESS(NtAlpcCreatePortSection(pool.ports[2], 0, NULL, 0x10000, &section, &actual))) pool.values[pool.value_count++] = section;
    if (NT_SUCCESS(NtAlpcCreateResourceReserve(pool.ports[2], 0, 0x100, &id))) pool.reserves[pool.reserve_count++] = id;
    stir_pool();
}

void release_pool(void)
{
    pool.dead = 1;
    for (unsigned i = 0; i < PORTS_OF_POOL; i++) {
        HANDLE port = __atomic_exchange_n(&pool.ports[i], NULL, __ATOMIC_SEQ_CST);
        if (port) NtClose(port);
    }
    for (unsigned i = 0; i < 2; i++) if (pool.events[i]) host.set_event(pool.events[i], NULL);
    for (unsigned i = 0; i < 4; i++) if (pool.completions[0] && host.set_completion) host.set_completion(pool.completions[0], 0, 0, STATUS_SUCCESS, 0);
}

void close_pool(void)
{
    for (unsigned i = 0; i < 2; i++) if (pool.completions_of_pool[i]) TpReleaseAlpcCompletion(pool.completions_of_pool[i]);
    for (unsigned i = 0; i < PORTS_OF_POOL; i++) {
        HANDLE port = __atomic_exchange_n(&pool.ports[i], NULL, __ATOMIC_SEQ_CST);
        if (port) NtClose(port);
    }
    for (unsigned i = 0; i < 2; i++) NtClose(pool.events[i]);
    if (pool.sections[0]) NtClose(pool.sections[0]);
    if (pool.completions[0]) NtClose(pool.completions[0]);
}

static void send_some(HANDLE port, ULONG flags)
{
    union { PORT_MESSAGE header; unsigned char bytes[0x100]; } message;
    memset(&message, 0, sizeof message);
    message.header.u1.s1.DataLength = 16;
    message.header.u1.s1.TotalLength = (USHORT)(sizeof message.header + 16);
    if (NT_SUCCESS(NtAlpcSendWaitReceivePort(port, flags, &message.header, NULL, NULL, NULL, NULL, NULL))) note_id(message.header.MessageId);
}

void stir_pool(void)
{
    union { PORT_MESSAGE header; unsigned char bytes[0x1000]; } message;
    LARGE_INTEGER now = { .QuadPart = 0 };
    SIZE_T size = sizeof message;

    send_some(pool.ports[2], 0);
    send_some(pool.ports[2], ALPC_MSGFLG_RELEASE_MESSAGE);
    send_some(pool.ports[1], 0);
    send_some(pool.ports[5], 0);
    if (NT_SUCCESS(NtAlpcSendWaitReceivePort(pool.ports[0], 0, NULL, NULL, &message.header, &size, NULL, &now))) note_id(message.header.MessageId);
}

void note_id(ULONG id)
{
    if (id) pool.ids[pool.id_count++ % (sizeof pool.ids / sizeof *pool.ids)] = id;
}

HANDLE some_handle(void)
{
    static const uintptr_t never[] = { 0, 0x1234, 0xdeadbeef, 0x7ffffffc, 0xfffffffffffffff0, 0x8000000000000000, 3, (uintptr_t)-1, (uintptr_t)-2, (uintptr_t)-3 };
    HANDLE handle = NULL;

    switch (random_below(10)) {
    case 0: return pool.stale[random_below(2)];
    case 1: return (HANDLE)never[random_below(sizeof never / sizeof *never)];
    case 2: handle = pool.events[random_below(2)]; break;
    case 3: handle = CHANCE(50) ? pool.sections[0] : pool.completions[0]; break;
    default: handle = __atomic_load_n(&pool.ports[random_below(PORTS_OF_POOL)], __ATOMIC_SEQ_CST); break;
    }
    /* The two low bits of a handle count for nothing. */
    return CHANCE(3) ? (HANDLE)((uintptr_t)handle | 1 | random_below(3)) : handle;
}
