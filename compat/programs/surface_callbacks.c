/* Callbacks: the server asks its client something while it serves the client's request. */
#include "surface.h"

/* A client's thread: a request, an answer to the question that comes instead of the reply, and the reply at last. */
struct called {
    HANDLE port;
    struct message asked, question, reply;
    NTSTATUS first, second;
    unsigned questions;     /* how many it answers */
};

static void run_called(void *argument)
{
    struct called *c = argument;
    fill_message(&c->asked, 4, 1);
    c->first = NtRequestWaitReplyPort(c->port, &c->asked.header, &c->question.header);
    if (c->first) return;
    c->reply = c->question;
    for (unsigned i = 0; i < c->questions; i++) {
        memcpy(c->reply.body, "answer", 6);
        c->reply.header.u1.s1.DataLength = 6;
        c->reply.header.u1.s1.TotalLength = (USHORT)(H + 6);
        c->second = NtReplyWaitReplyPort(c->port, &c->reply.header);
        if (c->second) return;
    }
}

static struct called *start_called(HANDLE port, thread_body body, thread_handle *thread)
{
    struct called *c = keep_memory(sizeof *c);
    c->port = port;
    c->questions = 1;
    *thread = keep_thread(body, c);
    return c;
}

static void lpc_callback(void)
{
    struct scene scene;
    struct message request, question, answer;
    thread_handle thread;
    struct called *c;

    lpc_scene(&scene);
    c = start_called(scene.k, run_called, &thread);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &request), STATUS_SUCCESS);
    question = request;
    question.header.u2.s2.Type = LPC_REQUEST;
    memcpy(question.body, "ask", 3);
    question.header.u1.s1.DataLength = 3;
    question.header.u1.s1.TotalLength = (USHORT)(H + 3);
    EXPECT(NtRequestWaitReplyPort(scene.s, &question.header, &answer.header), STATUS_SUCCESS);
    SAME(type_of(&answer), LPC_REPLY);
    HOLDS(length_of(&answer) == 6 && !memcmp(answer.body, "answer", 6));
    /* The message has a new callback id after each hop. */
    SAME(answer.header.MessageId, request.header.MessageId);
    memcpy(answer.body, "done", 4);
    answer.header.u1.s1.DataLength = 4;
    answer.header.u1.s1.TotalLength = (USHORT)(H + 4);
    EXPECT(NtReplyPort(scene.s, &answer.header), STATUS_SUCCESS);
    join(thread);
    EXPECT(c->first, STATUS_SUCCESS);
    EXPECT(c->second, STATUS_SUCCESS);
    SAME((USHORT)c->question.header.u2.s2.Type, LPC_REQUEST);
    SAME(c->question.header.MessageId, request.header.MessageId);
    HOLDS(c->question.header.CallbackId);
    HOLDS(length_of(&c->question) == 3 && !memcmp(c->question.body, "ask", 3));
    SAME((USHORT)c->reply.header.u2.s2.Type, LPC_REPLY);
    HOLDS(length_of(&c->reply) == 4 && !memcmp(c->reply.body, "done", 4));
}

static void lpc_callback_fails(void)
{
    struct scene scene;
    struct message request, question, answer;
    struct request *client;

    lpc_scene(&scene);
    client = start_lpc_request(scene.k, 4, 1);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &request), STATUS_SUCCESS);
    question = request;
    question.header.u2.s2.Type = LPC_REQUEST;
    question.header.MessageId = 0;
    EXPECT(NtRequestWaitReplyPort(scene.s, &question.header, &answer.header), STATUS_INVALID_PARAMETER);
    question.header.MessageId = 0x7ffffff0;
    EXPECT(NtRequestWaitReplyPort(scene.s, &question.header, &answer.header), STATUS_REPLY_MESSAGE_MISMATCH, STATUS_INVALID_CID);
    HOLDS(!client->done);
    EXPECT(NtReplyPort(scene.c, &request.header), STATUS_SUCCESS);
    EXPECT(finish_request(client), STATUS_SUCCESS);
    question = request;
    question.header.u2.s2.Type = LPC_REQUEST;
    EXPECT_EITHER(NtRequestWaitReplyPort(scene.s, &question.header, &answer.header), STATUS_REPLY_MESSAGE_MISMATCH, STATUS_INVALID_CID);
}

static void reply_wait_reply_fails(void)
{
    struct scene scene;
    struct message message;

    lpc_scene(&scene);
    answer_message(&message, 0x7ffffff0, 4, 1);
    EXPECT(NtReplyWaitReplyPort(scene.k, &message.header), STATUS_REPLY_MESSAGE_MISMATCH, STATUS_INVALID_CID);
    message.header.MessageId = 0;
    EXPECT(NtReplyWaitReplyPort(scene.k, &message.header), STATUS_INVALID_PARAMETER, STATUS_REPLY_MESSAGE_MISMATCH);
    EXPECT(NtReplyWaitReplyPort(scene.k, pages(4096, 0)), STATUS_ACCESS_VIOLATION);
    message.header.MessageId = 1;
    EXPECT(NtReplyWaitReplyPort(new_event(0), &message.header), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtReplyWaitReplyPort((HANDLE)(uintptr_t)0xdead0, &message.header), STATUS_INVALID_HANDLE);
}

static void run_called_alpc(void *argument)
{
    struct called *c = argument;
    SIZE_T length = sizeof c->question;
    fill_message(&c->asked, 4, 1);
    c->first = NtAlpcSendWaitReceivePort(c->port, ALPC_MSGFLG_SYNC_REQUEST, &c->asked.header, NULL, &c->question.header, &length, NULL, NULL);
    if (c->first) return;
    c->asked = c->question;
    memcpy(c->asked.body, "answer", 6);
    c->asked.header.u1.s1.DataLength = 6;
    c->asked.header.u1.s1.TotalLength = (USHORT)(H + 6);
    length = sizeof c->reply;
    c->second = NtAlpcSendWaitReceivePort(c->port, ALPC_MSGFLG_SYNC_REQUEST, &c->asked.header, NULL, &c->reply.header, &length, NULL, NULL);
}

static void alpc_callback(void)
{
    struct scene scene;
    struct message request, question, answer;
    SIZE_T length = sizeof answer;
    LARGE_INTEGER timeout = { .QuadPart = -20ll * 10000000 };
    thread_handle thread;
    struct called *c;

    usual_scene(&scene);
    c = start_called(scene.k, run_called_alpc, &thread);
    take(scene.c, &request, NULL, LPC_REQUEST);
    question = request;
    memcpy(question.body, "ask", 3);
    question.header.u1.s1.DataLength = 3;
    question.header.u1.s1.TotalLength = (USHORT)(H + 3);
    EXPECT(NtAlpcSendWaitReceivePort(scene.s, ALPC_MSGFLG_SYNC_REQUEST, &question.header, NULL, &answer.header, &length, NULL, &timeout), STATUS_SUCCESS);
    HOLDS(length_of(&answer) == 6 && !memcmp(answer.body, "answer", 6));
    EXPECT(reply_message(scene.s, &request, 4, 7), STATUS_SUCCESS);
    join(thread);
    EXPECT(c->first, STATUS_SUCCESS);
    SAME(type_of(&c->question), LPC_REQUEST);
    SAME(c->question.header.MessageId, request.header.MessageId);
    EXPECT(c->second, STATUS_SUCCESS);
    SAME(type_of(&c->reply), LPC_REPLY);
    HOLDS(is_filled(&c->reply, 4, 7));
}

static const struct check callbacks_checks[] = {
    { "callback-lpc", "NtRequestWaitReplyPort NtReplyWaitReplyPort C-17", lpc_callback },
    { "callback-lpc-fails", "!NtRequestWaitReplyPort C-18", lpc_callback_fails },
    { "callback-reply-wait-reply-fails", "!NtReplyWaitReplyPort C-36 C-37", reply_wait_reply_fails },
    { "callback-alpc", "NtAlpcSendWaitReceivePort E-45", alpc_callback },
};
CHECK_GROUP(callbacks);
