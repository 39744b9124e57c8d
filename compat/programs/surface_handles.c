/* The HANDLE attribute: objects that messages carry, one or several, and their retrieval by message information. */
#include "surface.h"

#define EVENT_ACCESS (EVENT_MODIFY_STATE | SYNCHRONIZE)

static void put_handle(struct attributes *attributes, HANDLE handle, ULONG flags, ULONG type, ACCESS_MASK access)
{
    make_attributes(attributes, ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    handle_attribute(attributes)->Flags = flags;
    handle_attribute(attributes)->Handle = handle;
    handle_attribute(attributes)->ObjectType = type;
    handle_attribute(attributes)->DesiredAccess = access;
    attributes->header.ValidAttributes = ALPC_MESSAGE_HANDLE_ATTRIBUTE;
}

/* A conversation whose server takes objects of these types; `several` as one handle after the other. */
static void handle_scene(struct scene *scene, ULONG types, int several)
{
    prepare_scene(scene);
    scene->server.Flags |= ALPC_PORFLG_ALLOW_DUP_OBJECT | (several ? ALPC_PORFLG_ALLOW_MULTIHANDLE_ATTRIBUTE : 0);
    scene->server.DupObjectTypes = types;
    scene->client.Flags = scene->server.Flags;
    scene->client.DupObjectTypes = types;
    connect_scene(scene);
}

static void send_handle(struct scene *scene, ULONG flags, HANDLE handle, ULONG handle_flags, ACCESS_MASK access)
{
    struct attributes attributes;
    struct message message;
    put_handle(&attributes, handle, handle_flags, 0, access);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene->k, flags, &message, &attributes), STATUS_SUCCESS);
}

/* The handle names the same event. */
static void same_event(HANDLE received, HANDLE event)
{
    HOLDS(received && received != event);
    EXPECT(host.set_event(received, NULL), STATUS_SUCCESS);
    EXPECT(wait_for(event, 1), STATUS_SUCCESS);
    EXPECT(wait_for(event, 1), STATUS_TIMEOUT);
}

static ALPC_HANDLE_ATTR take_handle(struct scene *scene, struct message *message, unsigned type)
{
    struct attributes received;
    make_attributes(&received, ALPC_MESSAGE_HANDLE_ATTRIBUTE | ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    take(scene->c, message, &received, type);
    HOLDS(received.header.ValidAttributes & ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    return *handle_attribute(&received);
}

static void one_event(void)
{
    struct scene scene;
    struct message message;
    HANDLE event = new_event(0);
    ALPC_HANDLE_ATTR got;

    NEED(set_event);
    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 0);
    send_handle(&scene, 0, event, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0);
    got = take_handle(&scene, &message, LPC_REQUEST);
    SAME(got.Flags, 0);
    SAME(got.ObjectType, ALPC_PORFLG_OBJECT_TYPE_EVENT);
    SAME(got.GrantedAccess, EVENT_ALL_ACCESS);
    keep(got.Handle);
    same_event(got.Handle, event);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    /* It stays when the message is gone. */
    same_event(got.Handle, event);
    EXPECT(NtClose(event), STATUS_SUCCESS);
    forget(event);
    EXPECT(host.set_event(got.Handle, NULL), STATUS_SUCCESS);
    EXPECT(wait_for(got.Handle, 1), STATUS_SUCCESS);
}

/* With less access than the sender has. */
static void less_access(void)
{
    struct scene scene;
    struct message message;
    HANDLE event = new_event(0);
    ALPC_HANDLE_ATTR got;

    NEED(set_event);
    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 0);
    send_handle(&scene, 0, event, 0, SYNCHRONIZE);
    got = take_handle(&scene, &message, LPC_REQUEST);
    keep(got.Handle);
    SAME(got.GrantedAccess, SYNCHRONIZE);
    EXPECT(host.set_event(got.Handle, NULL), STATUS_ACCESS_DENIED);
    EXPECT(wait_for(got.Handle, 1), STATUS_TIMEOUT);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

/* No port flag and no type is needed within a process. */
static void without_flags(void)
{
    struct scene scene;
    struct message message;
    HANDLE event = new_event(0);
    ALPC_HANDLE_ATTR got;

    NEED(set_event);
    prepare_scene(&scene);
    scene.server.Flags = scene.client.Flags = 0;
    connect_scene(&scene);
    send_handle(&scene, 0, event, 0, EVENT_ACCESS);
    got = take_handle(&scene, &message, LPC_REQUEST);
    keep(got.Handle);
    same_event(got.Handle, event);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void one_file(void)
{
    struct scene scene;
    struct message message;
    HANDLE file = new_file("what the file holds");
    ALPC_HANDLE_ATTR got;
    char text[64];

    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_FILE, 0);
    send_handle(&scene, 0, file, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0);
    got = take_handle(&scene, &message, LPC_REQUEST);
    keep(got.Handle);
    SAME(got.ObjectType, ALPC_PORFLG_OBJECT_TYPE_FILE);
    HOLDS(got.Handle != file);
    HOLDS(read_file(got.Handle, text, sizeof text));
    HOLDS(!strcmp(text, "what the file holds"));
    HOLDS(write_file(got.Handle, "WHAT"));
    HOLDS(read_file(file, text, sizeof text));
    HOLDS(!strcmp(text, "WHAT the file holds"));
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void one_section(void)
{
    struct scene scene;
    struct message message;
    HANDLE section = new_section(0x10000);
    ALPC_HANDLE_ATTR got;
    char *here, *there;

    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_SECTION, 0);
    send_handle(&scene, 0, section, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0);
    got = take_handle(&scene, &message, LPC_REQUEST);
    keep(got.Handle);
    SAME(got.ObjectType, ALPC_PORFLG_OBJECT_TYPE_SECTION);
    here = map_section(section, 0x10000, 1);
    there = map_section(got.Handle, 0x10000, 1);
    memcpy(here, "in the section", 15);
    HOLDS(!memcmp(there, "in the section", 15));
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void inheritable(void)
{
    struct scene scene;
    struct message message;
    ALPC_HANDLE_ATTR got;
    ULONG basic[20] = { 0 }, length = 0;

    NEED(query_object);
    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 0);
    send_handle(&scene, 0, new_event(0), ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS | ALPC_HANDLEFLG_DUPLICATE_INHERIT, 0);
    got = take_handle(&scene, &message, LPC_REQUEST);
    keep(got.Handle);
    EXPECT(host.query_object(got.Handle, 0, basic, 56, &length), STATUS_SUCCESS);
#ifdef _WIN32
    /* Wine does not tell the attributes here. */
    if (GetHandleInformation(got.Handle, &basic[1]) && basic[1] & HANDLE_FLAG_INHERIT) basic[0] |= OBJ_INHERIT;
#endif
    SAME(basic[0] & OBJ_INHERIT, OBJ_INHERIT);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void in_reply(void)
{
    struct scene scene;
    struct attributes *received = keep_memory(sizeof *received), sent;
    struct request *request;
    struct message message, reply;
    HANDLE event = new_event(0), got;

    NEED(set_event);
    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 0);
    make_attributes(received, ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    request = start_request_with(scene.k, 4, 1, NULL, received);
    take(scene.c, &message, NULL, LPC_REQUEST);
    put_handle(&sent, event, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0, 0);
    answer_message(&reply, message.header.MessageId, 0, 0);
    EXPECT(send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &reply, &sent), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    HOLDS(received->header.ValidAttributes & ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    got = keep(handle_attribute(received)->Handle);
    same_event(got, event);
}

/* ---- By message information ---- */

static ALPC_MESSAGE_HANDLE_INFORMATION fetch(HANDLE port, struct message *message, ULONG index)
{
    ALPC_MESSAGE_HANDLE_INFORMATION information;
    ULONG length = 0;
    memset(&information, 0, sizeof information);
    information.Index = index;
    EXPECT(NtAlpcQueryInformationMessage(port, &message->header, AlpcMessageHandleInformation, &information, sizeof information, &length), STATUS_SUCCESS);
    SAME(length, sizeof information);
    keep((HANDLE)(uintptr_t)information.Handle);
    return information;
}

static void fetched(void)
{
    struct scene scene;
    struct message message;
    HANDLE event = new_event(0);
    ALPC_HANDLE_ATTR got;
    ALPC_MESSAGE_HANDLE_INFORMATION first, second;

    NEED(set_event);
    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 1);
    send_handle(&scene, ALPC_MSGFLG_RELEASE_MESSAGE, event, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0);
    got = take_handle(&scene, &message, LPC_DATAGRAM);
    SAME(flags_of(&message), LPC_CONTINUATION_REQUIRED);
    SAME(got.HandleCount, 1);
    first = fetch(scene.c, &message, 0);
    second = fetch(scene.c, &message, 0);
    HOLDS(first.Handle != second.Handle);
    SAME(first.ObjectType, ALPC_PORFLG_OBJECT_TYPE_EVENT);
    same_event((HANDLE)(uintptr_t)first.Handle, event);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    same_event((HANDLE)(uintptr_t)second.Handle, event);
    EXPECT(poll_message(scene.k, &message, NULL), STATUS_TIMEOUT);
}

static void put_handles(struct attributes *attributes, ALPC_HANDLE_ATTR32 *array, ULONG count)
{
    make_attributes(attributes, ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    handle_attribute(attributes)->Flags = ALPC_HANDLEFLG_INDIRECT;
    handle_attribute(attributes)->HandleAttrArray = array;
    handle_attribute(attributes)->HandleCount = count;
    attributes->header.ValidAttributes = ALPC_MESSAGE_HANDLE_ATTRIBUTE;
}

static void three_handles(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;
    HANDLE events[3];
    ALPC_HANDLE_ATTR32 array[3];
    ALPC_HANDLE_ATTR got;

    NEED(set_event);
    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 1);
    memset(array, 0, sizeof array);
    for (unsigned i = 0; i < 3; i++) {
        events[i] = new_event(0);
        array[i].Flags = ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS;
        array[i].Handle = (ULONG)(uintptr_t)events[i];
    }
    put_handles(&sent, array, 3);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_SUCCESS);
    got = take_handle(&scene, &message, LPC_REQUEST);
    SAME(got.HandleCount, 3);
    for (unsigned i = 3; i--;) {
        ALPC_MESSAGE_HANDLE_INFORMATION information = fetch(scene.c, &message, i);
        SAME(information.Index, i);
        same_event((HANDLE)(uintptr_t)information.Handle, events[i]);
    }
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void fetch_fails(void)
{
    struct scene scene;
    struct message message;
    ALPC_MESSAGE_HANDLE_INFORMATION information = { .Index = 1 };
    ULONG length = 0;

    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 1);
    send_handle(&scene, 0, new_event(0), ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0);
    take_handle(&scene, &message, LPC_REQUEST);
    EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageHandleInformation, &information, sizeof information, &length),
           STATUS_INVALID_HANDLE, (NTSTATUS)0x8000001A /* STATUS_NO_MORE_ENTRIES */);
    information.Index = 0;
    EXPECT_ERROR(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageHandleInformation, &information, sizeof information - 1, &length));
    EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageHandleInformation, pages(4096, 0), sizeof information, &length), STATUS_ACCESS_VIOLATION);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT_ERROR(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageHandleInformation, &information, sizeof information, &length));
}

/* ---- What fails ---- */

static void type_not_allowed(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;

    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_FILE, 0);
    put_handle(&sent, new_event(0), ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0, 0);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_ACCESS_DENIED, STATUS_OBJECT_TYPE_MISMATCH, STATUS_INVALID_PARAMETER);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

static void bad_handles(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;

    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_ALL, 0);
    fill_message(&message, 4, 1);
    put_handle(&sent, (HANDLE)(uintptr_t)0x1234, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0, 0);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_INVALID_HANDLE);
    put_handle(&sent, new_event(0), 1, 0, EVENT_ACCESS);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_INVALID_PARAMETER);
    /* More access than the sender has. */
    put_handle(&sent, new_event(0), ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, ALPC_PORFLG_OBJECT_TYPE_FILE, 0);
    EXPECT_ERROR(send_message(scene.k, 0, &message, &sent));
    /* Ports have no type code. */
    put_handle(&sent, scene.k, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0, 0);
    EXPECT_ERROR(send_message(scene.k, 0, &message, &sent));
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

/* The form is checked before a server sees anything, at connect already. */
static void bad_forms(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;
    SIZE_T length = sizeof message;
    ALPC_HANDLE_ATTR32 array[2];

    prepare_scene(&scene);
    make_server(&scene);
    fill_message(&message, 4, 1);
    memset(array, 0, sizeof array);
#define CONNECT() NtAlpcConnectPort(&scene.k, &scene.name.string, NULL, &scene.client, 0, NULL, &message.header, &length, &sent.header, NULL, NULL)
    put_handles(&sent, array, 1);
    EXPECT(CONNECT(), STATUS_INVALID_PARAMETER);
    put_handles(&sent, NULL, 512);
    EXPECT(CONNECT(), STATUS_ACCESS_VIOLATION);
    put_handles(&sent, NULL, 513);
    EXPECT(CONNECT(), STATUS_LPC_HANDLE_COUNT_EXCEEDED);
    array[0].Flags = array[1].Flags = ALPC_HANDLEFLG_INDIRECT;
    put_handles(&sent, array, 2);
    EXPECT(CONNECT(), STATUS_INVALID_PARAMETER);
    put_handle(&sent, NULL, 1, 0, 0);
    EXPECT(CONNECT(), STATUS_INVALID_PARAMETER);
#undef CONNECT
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

/* A handle that nobody fetched is closed with its message: many of them leave nothing behind. */
static void not_fetched(void)
{
    struct scene scene;
    struct message message;
    HANDLE probe[2] = { NULL, NULL };
    HANDLE event = new_event(0);

    handle_scene(&scene, ALPC_PORFLG_OBJECT_TYPE_EVENT, 0);
    for (unsigned round = 0; round < 2; round++) {
        EXPECT(host.create_event(&probe[round], EVENT_ALL_ACCESS, NULL, SynchronizationEvent, FALSE), STATUS_SUCCESS);
        EXPECT(NtClose(probe[round]), STATUS_SUCCESS);
        for (unsigned i = 0; !round && i < 300; i++) {
            send_handle(&scene, 0, event, ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS, 0);
            take(scene.c, &message, NULL, LPC_REQUEST);
            EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
            take(scene.k, &message, NULL, LPC_REPLY);
        }
    }
    HOLDS((uintptr_t)probe[1] < (uintptr_t)probe[0] + 600);
}

static const struct check handles_checks[] = {
    { "handle-event", "attr:HANDLE H-19", one_event },
    { "handle-less-access", "attr:HANDLE H-19", less_access },
    { "handle-without-flags", "attr:HANDLE H-19", without_flags },
    { "handle-file", "attr:HANDLE H-19", one_file },
    { "handle-section", "attr:HANDLE", one_section },
    { "handle-inheritable", "attr:HANDLE", inheritable },
    { "handle-in-reply", "attr:HANDLE", in_reply },
    { "handle-fetched", "attr:HANDLE NtAlpcQueryInformationMessage class:AlpcMessageHandleInformation H-20 H-21 H-22", fetched },
    { "handle-three", "attr:HANDLE NtAlpcQueryInformationMessage class:AlpcMessageHandleInformation H-23", three_handles },
    { "handle-fetch-fails", "!NtAlpcQueryInformationMessage !class:AlpcMessageHandleInformation H-24", fetch_fails },
    { "handle-type-not-allowed", "!attr:HANDLE !NtAlpcSendWaitReceivePort H-25", type_not_allowed },
    { "handle-bad-handles", "!attr:HANDLE !NtAlpcSendWaitReceivePort H-26", bad_handles },
    { "handle-bad-forms", "!attr:HANDLE !NtAlpcConnectPort D-37 D-38 D-39 D-40 D-41", bad_forms },
    { "handle-not-fetched", "attr:HANDLE", not_fetched },
};
CHECK_GROUP(handles);
