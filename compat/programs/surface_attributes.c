/* Attribute buffers: the helpers that make them, and the rules of the bits in them. */
#include "surface.h"

static const struct { ULONG flag; unsigned size; } records[] = {
    { ALPC_MESSAGE_SECURITY_ATTRIBUTE, 0x18 }, { ALPC_MESSAGE_VIEW_ATTRIBUTE, 0x20 }, { ALPC_MESSAGE_CONTEXT_ATTRIBUTE, 0x20 },
    { ALPC_MESSAGE_HANDLE_ATTRIBUTE, 0x18 }, { ALPC_MESSAGE_TOKEN_ATTRIBUTE, 0x18 }, { ALPC_MESSAGE_DIRECT_ATTRIBUTE, 8 },
    { ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE, 8 },
};
#define RECORDS (sizeof records / sizeof *records)

static void header_size(void)
{
    unsigned total = 8;

    SAME(AlpcGetHeaderSize(0), 8);
    for (size_t i = 0; i < RECORDS; i++) {
        SAME(AlpcGetHeaderSize(records[i].flag), 8 + records[i].size);
        total += records[i].size;
    }
    SAME(total, 160);
    SAME(AlpcGetHeaderSize(ALL_ATTRIBUTES), total);
    SAME(AlpcGetHeaderSize(0xffffffff), total);
    for (unsigned bit = 0; bit < 25; bit++) {
        SAME(AlpcGetHeaderSize(1u << bit), 8);
        SAME(AlpcGetHeaderSize(ALPC_MESSAGE_VIEW_ATTRIBUTE | 1u << bit), 8 + 0x20);
    }
}

static void initialize(void)
{
    unsigned char bytes[160];
    ALPC_MESSAGE_ATTRIBUTES *buffer = (ALPC_MESSAGE_ATTRIBUTES *)(void *)keep_memory(sizeof bytes);
    SIZE_T needed;

    for (unsigned size = 72; size <= 73; size++) {
        memset(buffer, 0x5a, sizeof bytes);
        needed = 0;
        EXPECT(AlpcInitializeMessageAttribute(0x60000000, buffer, size, &needed), STATUS_SUCCESS);
        SAME(needed, 72);
        SAME(buffer->AllocatedAttributes, 0x60000000);
        SAME(buffer->ValidAttributes, 0);
        for (unsigned i = 8; i < sizeof bytes; i++) SAME(((unsigned char *)buffer)[i], 0x5a);
    }
    needed = 0;
    EXPECT(AlpcInitializeMessageAttribute(0x60000000, NULL, 72, &needed), STATUS_SUCCESS);
    SAME(needed, 72);
    /* Flags are kept as given, known or not. */
    EXPECT(AlpcInitializeMessageAttribute(0x60000001, buffer, 72, &needed), STATUS_SUCCESS);
    SAME(buffer->AllocatedAttributes, 0x60000001);
}

static void initialize_short(void)
{
    ALPC_MESSAGE_ATTRIBUTES *buffer = keep_memory(160);
    SIZE_T needed = 0;

    memset(buffer, 0x5a, 160);
    EXPECT(AlpcInitializeMessageAttribute(0x60000000, buffer, 71, &needed), STATUS_BUFFER_TOO_SMALL);
    SAME(needed, 72);
    for (unsigned i = 0; i < 160; i++) SAME(((unsigned char *)buffer)[i], 0x5a);
    needed = 0;
    EXPECT(AlpcInitializeMessageAttribute(0x60000000, NULL, 0, &needed), STATUS_BUFFER_TOO_SMALL);
    SAME(needed, 72);
    EXPECT(AlpcInitializeMessageAttribute(0, buffer, 7, &needed), STATUS_BUFFER_TOO_SMALL);
    SAME(needed, 8);
}

static void get(void)
{
    struct attributes attributes;
    unsigned offset = 8;

    make_attributes(&attributes, ALL_ATTRIBUTES);
    for (size_t i = 0; i < RECORDS; i++) {
        HOLDS((unsigned char *)AlpcGetMessageAttribute(&attributes.header, records[i].flag) == (unsigned char *)&attributes + offset);
        offset += records[i].size;
    }
    make_attributes(&attributes, 0x60000000);
    HOLDS((unsigned char *)AlpcGetMessageAttribute(&attributes.header, ALPC_MESSAGE_VIEW_ATTRIBUTE) == (unsigned char *)&attributes + 8);
    HOLDS((unsigned char *)AlpcGetMessageAttribute(&attributes.header, ALPC_MESSAGE_CONTEXT_ATTRIBUTE) == (unsigned char *)&attributes + 40);
}

static void get_nothing(void)
{
    struct attributes attributes;

    make_attributes(&attributes, 0x60000000);
    HOLDS(!AlpcGetMessageAttribute(&attributes.header, ALPC_MESSAGE_HANDLE_ATTRIBUTE));
    HOLDS(!AlpcGetMessageAttribute(&attributes.header, 0x60000000));
    HOLDS(!AlpcGetMessageAttribute(&attributes.header, 0));
    HOLDS(!AlpcGetMessageAttribute(&attributes.header, 1));
    attributes.header.AllocatedAttributes = 0;
    attributes.header.ValidAttributes = ALL_ATTRIBUTES;
    for (size_t i = 0; i < RECORDS; i++) HOLDS(!AlpcGetMessageAttribute(&attributes.header, records[i].flag));
}

static void longest(void) { SAME(AlpcMaxAllowedMessageLength(), 0xffff); }

static void valid_outside_allocated(void)
{
    struct scene scene;
    struct attributes attributes;
    struct message message;

    usual_scene(&scene);
    make_attributes(&attributes, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    attributes.header.ValidAttributes = ALPC_MESSAGE_CONTEXT_ATTRIBUTE;
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &attributes), STATUS_INVALID_PARAMETER);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

static void stale_bits(void)
{
    struct scene scene;
    struct attributes attributes;
    struct message message;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, NULL), STATUS_SUCCESS);
    make_attributes(&attributes, ALPC_MESSAGE_VIEW_ATTRIBUTE | ALPC_MESSAGE_CONTEXT_ATTRIBUTE | ALPC_MESSAGE_HANDLE_ATTRIBUTE);
    attributes.header.ValidAttributes = 0xffffffff;
    take(scene.c, &message, &attributes, LPC_DATAGRAM);
    SAME(attributes.header.ValidAttributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
}

/* The attributes of a plain reply: the context alone. */
static void of_a_reply(void)
{
    struct scene scene;
    struct attributes *attributes = keep_memory(sizeof *attributes);
    struct request *request;
    struct message message;

    usual_scene(&scene);
    make_attributes(attributes, ALL_ATTRIBUTES);
    request = start_request_with(scene.k, 4, 1, NULL, attributes);
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(reply_message(scene.c, &message, 2, 9), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    SAME(attributes->header.ValidAttributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
}

/* A connection request shows a TOKEN at most, whatever is asked for. */
static void of_a_connection_request(void)
{
    struct scene scene;
    struct attributes attributes;
    struct message message;

    prepare_scene(&scene);
    scene.client.Flags |= ALPC_PORFLG_ALLOW_IMPERSONATION;
    make_server(&scene);
    start_connect(&scene);
    make_attributes(&attributes, ALL_ATTRIBUTES);
    take(scene.c, &message, &attributes, LPC_CONNECTION_REQUEST);
    SAME(attributes.header.ValidAttributes, ALPC_MESSAGE_TOKEN_ATTRIBUTE);
    /* The record may be handed back damaged. */
    memset(token_attribute(&attributes), 0xcc, sizeof(ALPC_TOKEN_ATTR));
    EXPECT(NtAlpcAcceptConnectPort(&scene.s, scene.c, 0, NULL, &scene.server, NULL, &message.header, &attributes.header, TRUE), STATUS_SUCCESS);
    keep(scene.s);
    SAME(attributes.header.ValidAttributes, ALPC_MESSAGE_TOKEN_ATTRIBUTE);
}

static const struct check attributes_checks[] = {
    { "attributes-header-size", "AlpcGetHeaderSize H-01 H-02", header_size },
    { "attributes-initialize", "AlpcInitializeMessageAttribute H-03 H-05", initialize },
    { "attributes-initialize-short", "!AlpcInitializeMessageAttribute H-04 H-05", initialize_short },
    { "attributes-get", "AlpcGetMessageAttribute H-06 H-07", get },
    { "attributes-get-nothing", "!AlpcGetMessageAttribute H-06 H-07", get_nothing },
    { "attributes-longest-message", "AlpcMaxAllowedMessageLength K-27", longest },
    { "attributes-valid-outside-allocated", "!NtAlpcSendWaitReceivePort !attr:CONTEXT H-08", valid_outside_allocated },
    { "attributes-stale-bits", "NtAlpcSendWaitReceivePort attr:CONTEXT H-09", stale_bits },
    { "attributes-of-a-reply", "attr:CONTEXT H-10 H-32", of_a_reply },
    { "attributes-of-a-connection-request", "attr:TOKEN NtAlpcAcceptConnectPort D-34 D-35", of_a_connection_request },
};
CHECK_GROUP(attributes);
