/* Completion lists: messages delivered into memory that the program and the port layer share. */
#include "surface.h"

#define LIST_SIZE 0x10000u

static ALPC_COMPLETION_LIST_HEADER *make_list(HANDLE port, ULONG size, ULONG attributes)
{
    ALPC_COMPLETION_LIST_HEADER *list = (void *)allocate_region(size);
    EXPECT(AlpcRegisterCompletionList(port, list, size, 1, attributes), STATUS_SUCCESS);
    return list;
}

static NTSTATUS datagram(HANDLE port, unsigned length, unsigned fill)
{
    struct message message;
    fill_message(&message, length, fill);
    return send_message(port, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL);
}

/* The next message of the list; it must come. */
static struct message *next_message(void *list, ALPC_MESSAGE_ATTRIBUTES **attributes)
{
    PORT_MESSAGE *message = NULL;
    EVENTUALLY((message = AlpcGetMessageFromCompletionList(list, attributes)) != NULL);
    HOLDS((unsigned char *)message >= (unsigned char *)list && (unsigned char *)message < (unsigned char *)list + LIST_SIZE);
    return (struct message *)message;
}

static void registered(void)
{
    struct scene scene;
    ALPC_COMPLETION_LIST_HEADER *list;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    HOLDS(list->StartMagic && list->EndMagic);
    SAME(list->TotalSize, LIST_SIZE);
    SAME(list->AttributeFlags, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    HOLDS(list->ListOffset && list->BitmapOffset && list->DataOffset && list->DataOffset + list->DataSize <= LIST_SIZE);
    SAME(list->DataOffset % 64, 0);
    HOLDS(!AlpcGetMessageFromCompletionList(list, NULL));
    SAME(AlpcGetOutstandingCompletionListMessageCount(list), 0);
    EXPECT(AlpcAdjustCompletionListConcurrencyCount(scene.c, 4), STATUS_SUCCESS);
    EXPECT(AlpcRundownCompletionList(scene.c), STATUS_SUCCESS);
    EXPECT(AlpcUnregisterCompletionList(scene.c), STATUS_SUCCESS);
}

static void register_fails(void)
{
    struct scene scene;
    ALPC_COMPLETION_LIST_HEADER *list = (void *)allocate_region(LIST_SIZE);
    HANDLE event = new_event(0), bad = (HANDLE)(uintptr_t)0xdead0;

    usual_scene(&scene);
    EXPECT_ERROR(AlpcRegisterCompletionList(scene.k, list, LIST_SIZE, 1, 0));
    EXPECT_ERROR(AlpcRegisterCompletionList(scene.c, list, 16, 1, 0));
    EXPECT_ERROR(AlpcRegisterCompletionList(scene.c, NULL, LIST_SIZE, 1, 0));
    EXPECT(AlpcRegisterCompletionList(scene.c, pages(LIST_SIZE, 0), LIST_SIZE, 1, 0), STATUS_ACCESS_VIOLATION);
    EXPECT(AlpcRegisterCompletionList(event, list, LIST_SIZE, 1, 0), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(AlpcRegisterCompletionList(bad, list, LIST_SIZE, 1, 0), STATUS_INVALID_HANDLE);
    EXPECT(AlpcUnregisterCompletionList(event), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(AlpcUnregisterCompletionList(bad), STATUS_INVALID_HANDLE);
    EXPECT_ERROR(AlpcUnregisterCompletionList(scene.c));
    EXPECT(AlpcRundownCompletionList(event), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(AlpcRundownCompletionList(bad), STATUS_INVALID_HANDLE);
    EXPECT(AlpcAdjustCompletionListConcurrencyCount(event, 4), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(AlpcAdjustCompletionListConcurrencyCount(bad, 4), STATUS_INVALID_HANDLE);
    EXPECT_ERROR(AlpcAdjustCompletionListConcurrencyCount(scene.c, 4));
    EXPECT(AlpcRegisterCompletionList(scene.c, list, LIST_SIZE, 1, 0), STATUS_SUCCESS);
    EXPECT(AlpcRegisterCompletionList(scene.c, list, LIST_SIZE, 1, 0), STATUS_PORT_ALREADY_HAS_COMPLETION_LIST, STATUS_PORT_ALREADY_SET);
    EXPECT(AlpcUnregisterCompletionList(scene.c), STATUS_SUCCESS);
}

/* The classes of NtAlpcSetInformation behind the helpers. */
static void by_class(void)
{
    struct scene scene;
    ALPC_PORT_COMPLETION_LIST_INFORMATION information;
    ULONG count = 2;

    usual_scene(&scene);
    memset(&information, 0, sizeof information);
    information.Buffer = (void *)allocate_region(LIST_SIZE);
    information.Size = LIST_SIZE;
    information.ConcurrencyCount = 1;
    EXPECT(NtAlpcSetInformation(scene.c, AlpcRegisterCompletionListInformation, &information, sizeof information - 1), STATUS_INFO_LENGTH_MISMATCH);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcRegisterCompletionListInformation, &information, sizeof information), STATUS_SUCCESS);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcAdjustCompletionListConcurrencyCountInformation, &count, 2), STATUS_INFO_LENGTH_MISMATCH);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcAdjustCompletionListConcurrencyCountInformation, &count, sizeof count), STATUS_SUCCESS);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcCompletionListRundownInformation, NULL, 0), STATUS_SUCCESS);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcUnregisterCompletionListInformation, NULL, 0), STATUS_SUCCESS);
    EXPECT_ERROR(NtAlpcSetInformation(scene.c, AlpcUnregisterCompletionListInformation, NULL, 0));
    EXPECT_ERROR(NtAlpcSetInformation(scene.c, AlpcCompletionListRundownInformation, NULL, 0));
}

static void delivery(void)
{
    struct scene scene;
    ALPC_COMPLETION_LIST_HEADER *list;
    ALPC_MESSAGE_ATTRIBUTES *attributes = NULL;
    struct message *message;
    ULONG id = 0, callback = 0;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    EXPECT(datagram(scene.k, 9, 1), STATUS_SUCCESS);
    message = next_message(list, &attributes);
    SAME(type_of(message), LPC_DATAGRAM);
    HOLDS(is_filled(message, 9, 1));
    HOLDS(attributes && AlpcGetCompletionListMessageAttributes(list, &message->header) == attributes);
    HOLDS((unsigned char *)attributes == (unsigned char *)message + ((H + 9 + 7) & ~7u));
    HOLDS(attributes->ValidAttributes & ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    HOLDS(((ALPC_CONTEXT_ATTR *)AlpcGetMessageAttribute(attributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE))->PortContext == PORT_CONTEXT);
    AlpcGetCompletionListLastMessageInformation(list, &id, &callback);
    SAME(id, message->header.MessageId);
    SAME(callback, message->header.CallbackId);
    SAME(AlpcGetOutstandingCompletionListMessageCount(list), 1);
    AlpcFreeCompletionListMessage(list, &message->header);
    SAME(AlpcGetOutstandingCompletionListMessageCount(list), 0);
    HOLDS(!AlpcGetMessageFromCompletionList(list, NULL));
}

static void receive_points_at_list(void)
{
    struct scene scene;
    void *list;
    struct message message;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, 0);
    EXPECT(datagram(scene.k, 9, 1), STATUS_SUCCESS);
    EXPECT(receive_message(scene.c, &message, NULL), STATUS_ALPC_CHECK_COMPLETION_LIST);
    AlpcFreeCompletionListMessage(list, &next_message(list, NULL)->header);
    HOLDS(!AlpcGetCompletionListMessageAttributes(list, (PORT_MESSAGE *)((unsigned char *)list + ((ALPC_COMPLETION_LIST_HEADER *)list)->DataOffset)));
}

static void requests(void)
{
    struct scene scene;
    void *list;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    for (unsigned i = 0; i < 50; i++) {
        struct request *request = start_request(scene.k, 20 + i, i);
        struct message *message = next_message(list, NULL);
        HOLDS(is_filled(message, 20 + i, i));
        EXPECT(reply_message(scene.c, message, 4, i), STATUS_SUCCESS);
        AlpcFreeCompletionListMessage(list, &message->header);
        EXPECT(finish_request(request), STATUS_SUCCESS);
        HOLDS(is_filled(&request->received, 4, i));
    }
}

/* More messages than fit: those that do not wait their turn. */
static void full(void)
{
    struct scene scene;
    void *list;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, 0);
    for (unsigned i = 0; i < 100; i++) EXPECT(datagram(scene.k, 2000, i), STATUS_SUCCESS);
    for (unsigned i = 0; i < 100; i++) {
        struct message *message = next_message(list, NULL);
        HOLDS(is_filled(message, 2000, i));
        AlpcFreeCompletionListMessage(list, &message->header);
    }
    SAME(AlpcGetOutstandingCompletionListMessageCount(list), 0);
}

static void workers(void)
{
    struct scene scene;
    void *list;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, 0);
    HOLDS(AlpcRegisterCompletionListWorkerThread(list));
    HOLDS(AlpcUnregisterCompletionListWorkerThread(list));
    HOLDS(!AlpcUnregisterCompletionListWorkerThread(list));
}

static void workers_fail(void)
{
    struct scene scene;
    ALPC_COMPLETION_LIST_HEADER *list;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, 0);
    for (unsigned i = 0; i < 0xffff; i++) HOLDS(AlpcRegisterCompletionListWorkerThread(list));
    HOLDS(!AlpcRegisterCompletionListWorkerThread(list));
    for (unsigned i = 0; i < 0xffff; i++) HOLDS(AlpcUnregisterCompletionListWorkerThread(list));
    HOLDS(!AlpcUnregisterCompletionListWorkerThread(list));
}

static void unregister_outstanding(void)
{
    struct scene scene;
    void *list;
    struct message *message;

    usual_scene(&scene);
    list = make_list(scene.c, LIST_SIZE, 0);
    EXPECT(datagram(scene.k, 9, 1), STATUS_SUCCESS);
    message = next_message(list, NULL);
    EXPECT_ERROR(AlpcUnregisterCompletionList(scene.c));
    EXPECT(AlpcRundownCompletionList(scene.c), STATUS_SUCCESS);
    AlpcFreeCompletionListMessage(list, &message->header);
    EXPECT(AlpcUnregisterCompletionList(scene.c), STATUS_SUCCESS);
    /* The port is an ordinary one again. */
    EXPECT(datagram(scene.k, 5, 2), STATUS_SUCCESS);
    {
        struct message received;
        take(scene.c, &received, NULL, LPC_DATAGRAM);
        HOLDS(is_filled(&received, 5, 2));
    }
}

static void with_completion_port(void)
{
    struct scene scene;
    void *list;
    HANDLE completion = new_completion_port();
    ALPC_PORT_ASSOCIATE_COMPLETION_PORT information = { (PVOID)(uintptr_t)7, completion };
    struct packet packet;

    usual_scene(&scene);
    EXPECT(NtAlpcSetInformation(scene.c, AlpcAssociateCompletionPortInformation, &information, sizeof information), STATUS_SUCCESS);
    list = make_list(scene.c, LIST_SIZE, 0);
    EXPECT(datagram(scene.k, 9, 1), STATUS_SUCCESS);
    EXPECT(next_packet(completion, &packet, 0), STATUS_SUCCESS);
    HOLDS(packet.key == (PVOID)(uintptr_t)7);
    AlpcFreeCompletionListMessage(list, &next_message(list, NULL)->header);
}

static const struct check completion_list_checks[] = {
    { "completion-list-register", "AlpcRegisterCompletionList AlpcUnregisterCompletionList AlpcRundownCompletionList AlpcAdjustCompletionListConcurrencyCount !AlpcGetMessageFromCompletionList AlpcGetOutstandingCompletionListMessageCount K-18 K-21 K-24", registered },
    { "completion-list-register-fails", "!AlpcRegisterCompletionList !AlpcUnregisterCompletionList !AlpcRundownCompletionList !AlpcAdjustCompletionListConcurrencyCount K-19 K-23", register_fails },
    { "completion-list-by-class", "class:AlpcRegisterCompletionListInformation class:AlpcUnregisterCompletionListInformation class:AlpcAdjustCompletionListConcurrencyCountInformation class:AlpcCompletionListRundownInformation !class:AlpcRegisterCompletionListInformation !class:AlpcUnregisterCompletionListInformation !class:AlpcAdjustCompletionListConcurrencyCountInformation !class:AlpcCompletionListRundownInformation", by_class },
    { "completion-list-delivery", "AlpcGetMessageFromCompletionList AlpcFreeCompletionListMessage AlpcGetCompletionListMessageAttributes AlpcGetCompletionListLastMessageInformation AlpcGetOutstandingCompletionListMessageCount attr:CONTEXT K-20 K-26", delivery },
    { "completion-list-receive", "NtAlpcSendWaitReceivePort !AlpcGetCompletionListMessageAttributes", receive_points_at_list },
    { "completion-list-requests", "AlpcGetMessageFromCompletionList AlpcFreeCompletionListMessage", requests },
    { "completion-list-full", "AlpcGetMessageFromCompletionList AlpcFreeCompletionListMessage", full },
    { "completion-list-workers", "AlpcRegisterCompletionListWorkerThread AlpcUnregisterCompletionListWorkerThread !AlpcUnregisterCompletionListWorkerThread K-22", workers },
    { "completion-list-workers-fail", "!AlpcRegisterCompletionListWorkerThread !AlpcUnregisterCompletionListWorkerThread", workers_fail },
    { "completion-list-unregister-outstanding", "!AlpcUnregisterCompletionList AlpcRundownCompletionList K-25", unregister_outstanding },
    { "completion-list-with-completion-port", "class:AlpcRegisterCompletionListInformation class:AlpcAssociateCompletionPortInformation", with_completion_port },
};
CHECK_GROUP(completion_list);
