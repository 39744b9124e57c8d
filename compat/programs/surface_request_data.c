/* Request data: memory of a waiting client that its request names, read and written by the server. */
#include "surface.h"

struct data_request { struct request *request; unsigned char *memory; };

/* A request whose data-information block names `size` bytes. */
static struct data_request start_data_request(HANDLE port, unsigned size)
{
    struct data_request made;
    struct message message;
    PORT_DATA_INFORMATION *block = (void *)message.body;

    made.memory = keep_memory(size);
    for (unsigned i = 0; i < size; i++) made.memory[i] = (unsigned char)(i + 1);
    fill_message(&message, sizeof *block, 0);
    memset(message.body, 0, sizeof *block);
    message.header.u2.s2.DataInfoOffset = (USHORT)H;
    block->CountDataEntries = 1;
    block->DataEntries[0].Base = made.memory;
    block->DataEntries[0].Size = size;
    made.request = start_lpc_request_of(port, &message);
    return made;
}

static void read_data(void)
{
    struct scene scene;
    struct data_request made;
    struct message message;
    unsigned char buffer[32] = { 0 };
    SIZE_T count = 0;

    lpc_scene(&scene);
    made = start_data_request(scene.k, 32);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtReadRequestData(scene.s, &message.header, 0, buffer, 32, &count), STATUS_SUCCESS);
    SAME(count, 32);
    HOLDS(!memcmp(buffer, made.memory, 32));
    memset(buffer, 0, sizeof buffer);
    EXPECT(NtReadRequestData(scene.s, &message.header, 0, buffer, 5, NULL), STATUS_SUCCESS);
    HOLDS(!memcmp(buffer, made.memory, 5) && !buffer[5]);
    EXPECT(NtReplyPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(made.request), STATUS_SUCCESS);
}

static void write_data(void)
{
    struct scene scene;
    struct data_request made;
    struct message message;
    SIZE_T count = 0;

    lpc_scene(&scene);
    made = start_data_request(scene.k, 32);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtWriteRequestData(scene.s, &message.header, 0, (PVOID)(uintptr_t)"sixteen of these", 16, &count), STATUS_SUCCESS);
    SAME(count, 16);
    EXPECT(NtReplyPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(made.request), STATUS_SUCCESS);
    HOLDS(!memcmp(made.memory, "sixteen of these", 16) && made.memory[16] == 17);
}

/* More than fits one message of any kind. */
static void much_data(void)
{
    struct scene scene;
    struct data_request made;
    struct message message;
    const unsigned size = 1000000;
    unsigned char *buffer = keep_memory(size);
    SIZE_T count = 0;

    lpc_scene(&scene);
    made = start_data_request(scene.k, size);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtReadRequestData(scene.s, &message.header, 0, buffer, size, &count), STATUS_SUCCESS);
    SAME(count, size);
    HOLDS(!memcmp(buffer, made.memory, size));
    memset(buffer, 0x77, size);
    EXPECT(NtWriteRequestData(scene.s, &message.header, 0, buffer, size, &count), STATUS_SUCCESS);
    EXPECT(NtReplyPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(made.request), STATUS_SUCCESS);
    HOLDS(!memcmp(buffer, made.memory, size));
}

static void data_fails(void)
{
    struct scene scene;
    struct data_request made;
    struct message message, plain;
    unsigned char buffer[64] = { 0 };
    SIZE_T count = 0;
    struct request *request;

    lpc_scene(&scene);
    made = start_data_request(scene.k, 32);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtReadRequestData(scene.s, &message.header, 1, buffer, 4, &count), STATUS_INVALID_PARAMETER);
    EXPECT(NtReadRequestData(scene.s, &message.header, 0, buffer, 33, &count), STATUS_INVALID_PARAMETER);
    EXPECT(NtWriteRequestData(scene.s, &message.header, 1, buffer, 4, &count), STATUS_INVALID_PARAMETER);
    EXPECT(NtWriteRequestData(scene.s, &message.header, 0, buffer, 33, &count), STATUS_INVALID_PARAMETER);
    EXPECT(NtReadRequestData(scene.s, &message.header, 0, pages(4096, 0), 4, &count), STATUS_ACCESS_VIOLATION);
    EXPECT(NtReadRequestData(new_event(0), &message.header, 0, buffer, 4, &count), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtWriteRequestData((HANDLE)(uintptr_t)0xdead0, &message.header, 0, buffer, 4, &count), STATUS_INVALID_HANDLE);
    EXPECT(NtReplyPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(made.request), STATUS_SUCCESS);
    EXPECT(NtReadRequestData(scene.s, &message.header, 0, buffer, 4, &count), STATUS_REPLY_MESSAGE_MISMATCH);
    EXPECT(NtWriteRequestData(scene.s, &message.header, 0, buffer, 4, &count), STATUS_REPLY_MESSAGE_MISMATCH);
    request = start_lpc_request(scene.k, 8, 1);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &plain), STATUS_SUCCESS);
    EXPECT(NtReadRequestData(scene.s, &plain.header, 0, buffer, 4, &count), STATUS_INVALID_PARAMETER);
    EXPECT(NtReplyPort(scene.s, &plain.header), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void bad_block(void)
{
    struct scene scene;
    struct message message, reply;
    PORT_DATA_INFORMATION *block = (void *)message.body;

    lpc_scene(&scene);
    fill_message(&message, sizeof *block, 0);
    message.header.u2.s2.DataInfoOffset = 0x1000;
    EXPECT(NtRequestWaitReplyPort(scene.k, &message.header, &reply.header), STATUS_INVALID_PARAMETER);
    message.header.u2.s2.DataInfoOffset = (USHORT)H;
    block->CountDataEntries = 2;
    EXPECT(NtRequestWaitReplyPort(scene.k, &message.header, &reply.header), STATUS_INVALID_PARAMETER);
    block->CountDataEntries = 0x10000001;
    EXPECT(NtRequestWaitReplyPort(scene.k, &message.header, &reply.header), STATUS_INVALID_PARAMETER);
}

static const struct check request_data_checks[] = {
    { "request-data-read", "NtReadRequestData C-26", read_data },
    { "request-data-write", "NtWriteRequestData C-29", write_data },
    { "request-data-much", "NtReadRequestData NtWriteRequestData", much_data },
    { "request-data-fails", "!NtReadRequestData !NtWriteRequestData C-27 C-28 C-30 C-31", data_fails },
    { "request-data-bad-block", "!NtRequestWaitReplyPort", bad_block },
};
CHECK_GROUP(request_data);
