/* Security contexts, and the SECURITY, TOKEN, DIRECT and WORK_ON_BEHALF attributes. */
#include "surface.h"

static SECURITY_QUALITY_OF_SERVICE quality(SECURITY_IMPERSONATION_LEVEL level, BOOLEAN dynamic)
{
    SECURITY_QUALITY_OF_SERVICE made;
    memset(&made, 0, sizeof made);
    made.Length = sizeof made;
    made.ImpersonationLevel = level;
    made.ContextTrackingMode = dynamic;
    return made;
}

static void security_scene(struct scene *scene)
{
    prepare_scene(scene);
    scene->server.Flags |= ALPC_PORFLG_ALLOW_IMPERSONATION;
    scene->client.Flags |= ALPC_PORFLG_ALLOW_IMPERSONATION;
    connect_scene(scene);
}

static ALPC_HANDLE make_context(HANDLE port)
{
    SECURITY_QUALITY_OF_SERVICE qos = quality(SecurityImpersonation, FALSE);
    ALPC_SECURITY_ATTR attribute = { .QoS = &qos };
    EXPECT(NtAlpcCreateSecurityContext(port, 0, &attribute), STATUS_SUCCESS);
    HOLDS(attribute.ContextHandle);
    return attribute.ContextHandle;
}

static void put_context(struct attributes *attributes, ALPC_HANDLE context, ULONG flags, SECURITY_QUALITY_OF_SERVICE *qos)
{
    make_attributes(attributes, ALPC_MESSAGE_SECURITY_ATTRIBUTE);
    security_attribute(attributes)->Flags = flags;
    security_attribute(attributes)->QoS = qos;
    security_attribute(attributes)->ContextHandle = context;
    attributes->header.ValidAttributes = ALPC_MESSAGE_SECURITY_ATTRIBUTE;
}

static void life(void)
{
    struct scene scene;
    ALPC_HANDLE context;

    security_scene(&scene);
    context = make_context(scene.k);
    EXPECT(NtAlpcRevokeSecurityContext(scene.k, 0, context), STATUS_SUCCESS);
    EXPECT(NtAlpcDeleteSecurityContext(scene.k, 0, context), STATUS_SUCCESS);
    EXPECT(NtAlpcDeleteSecurityContext(scene.k, 0, context), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcRevokeSecurityContext(scene.k, 0, context), STATUS_INVALID_HANDLE);
}

static void context_fails(void)
{
    struct scene scene;
    SECURITY_QUALITY_OF_SERVICE qos = quality(SecurityImpersonation, FALSE);
    ALPC_SECURITY_ATTR attribute = { .QoS = &qos };
    ALPC_HANDLE context;

    security_scene(&scene);
    EXPECT(NtAlpcCreateSecurityContext(scene.k, 1, &attribute), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCreateSecurityContext(scene.k, 0, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreateSecurityContext(scene.k, 0, pages(4096, 1)), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreateSecurityContext(new_event(0), 0, &attribute), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcCreateSecurityContext((HANDLE)(uintptr_t)0xdead0, 0, &attribute), STATUS_INVALID_HANDLE);
    HOLDS(!attribute.ContextHandle);
    context = make_context(scene.k);
    EXPECT(NtAlpcDeleteSecurityContext(scene.k, 1, context), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcRevokeSecurityContext(scene.k, 1, context), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcDeleteSecurityContext(scene.k, 0, (ALPC_HANDLE)(uintptr_t)0x5555), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcRevokeSecurityContext(scene.k, 0, (ALPC_HANDLE)(uintptr_t)0x5555), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcDeleteSecurityContext(new_event(0), 0, context), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcRevokeSecurityContext(new_event(0), 0, context), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcDeleteSecurityContext((HANDLE)(uintptr_t)0xdead0, 0, context), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcRevokeSecurityContext((HANDLE)(uintptr_t)0xdead0, 0, context), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcDeleteSecurityContext(scene.k, 0, context), STATUS_SUCCESS);
}

static void sent_context(void)
{
    struct scene scene;
    struct attributes sent, received;
    struct message message;
    ALPC_HANDLE context;

    security_scene(&scene);
    context = make_context(scene.k);
    put_context(&sent, context, 0, NULL);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_SUCCESS);
    make_attributes(&received, ALPC_MESSAGE_SECURITY_ATTRIBUTE);
    take(scene.c, &message, &received, LPC_REQUEST);
    HOLDS(received.header.ValidAttributes & ALPC_MESSAGE_SECURITY_ATTRIBUTE);
    HOLDS(security_attribute(&received)->ContextHandle == context);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &message.header, NULL), STATUS_SUCCESS);
    stop_impersonating();
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    take(scene.k, &message, NULL, LPC_REPLY);
    /* A plain message has none. */
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    make_attributes(&received, ALPC_MESSAGE_SECURITY_ATTRIBUTE);
    take(scene.c, &message, &received, LPC_REQUEST);
    HOLDS(!(received.header.ValidAttributes & ALPC_MESSAGE_SECURITY_ATTRIBUTE));
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void one_shot(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;
    SECURITY_QUALITY_OF_SERVICE qos = quality(SecurityImpersonation, FALSE);

    security_scene(&scene);
    put_context(&sent, (ALPC_HANDLE)(intptr_t)-2, ALPC_SECFLG_CREATE_HANDLE, &qos);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_SUCCESS);
    HOLDS(security_attribute(&sent)->ContextHandle != (ALPC_HANDLE)(intptr_t)-2 && security_attribute(&sent)->ContextHandle);
    EXPECT(NtAlpcDeleteSecurityContext(scene.k, 0, security_attribute(&sent)->ContextHandle), STATUS_SUCCESS);
}

static void deleted_after_use(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;
    ALPC_HANDLE context;

    security_scene(&scene);
    context = make_context(scene.k);
    put_context(&sent, context, ALPC_SECFLG_DELETE_EXISTING, NULL);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, &sent), STATUS_SUCCESS);
    EXPECT(NtAlpcDeleteSecurityContext(scene.k, 0, context), STATUS_INVALID_HANDLE);
}

static void sent_context_fails(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;
    ALPC_HANDLE context;

    security_scene(&scene);
    fill_message(&message, 4, 1);
    put_context(&sent, (ALPC_HANDLE)(uintptr_t)0x5555, 0, NULL);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_INVALID_HANDLE);
    put_context(&sent, (ALPC_HANDLE)(intptr_t)-2, ALPC_SECFLG_DELETE_EXISTING, NULL);
    EXPECT_ERROR(send_message(scene.k, 0, &message, &sent));
    context = make_context(scene.k);
    EXPECT(NtAlpcRevokeSecurityContext(scene.k, 0, context), STATUS_SUCCESS);
    put_context(&sent, context, 0, NULL);
    EXPECT_ERROR(send_message(scene.k, 0, &message, &sent));
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

/* ---- TOKEN ---- */

static void token(void)
{
    struct attributes received;
    struct message message;
    ALPC_TOKEN_ATTR first;
    LUID modified = { 0, 0 };
    ULONG length = 0;

    for (unsigned round = 0; round < 2; round++) {
        struct scene scene;
        prepare_scene(&scene);
        scene.client.Flags |= ALPC_PORFLG_ALLOW_IMPERSONATION;
        scene.client.SecurityQos.ContextTrackingMode = SECURITY_STATIC_TRACKING;
        connect_scene(&scene);
        fill_message(&message, 4, 1);
        EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
        make_attributes(&received, ALL_ATTRIBUTES);
        take(scene.c, &message, &received, LPC_REQUEST);
        SAME(received.header.ValidAttributes, ALPC_MESSAGE_CONTEXT_ATTRIBUTE | ALPC_MESSAGE_TOKEN_ATTRIBUTE);
        EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageTokenModifiedIdInformation, &modified, sizeof modified, &length), STATUS_SUCCESS);
        SAME(modified.LowPart, token_attribute(&received)->ModifiedId.LowPart);
        SAME(modified.HighPart, token_attribute(&received)->ModifiedId.HighPart);
        HOLDS(token_attribute(&received)->TokenId.LowPart || token_attribute(&received)->TokenId.HighPart);
        if (!round) first = *token_attribute(&received);
        else SAME(first.AuthenticationId.LowPart, token_attribute(&received)->AuthenticationId.LowPart);
    }
}

static void no_token(void)
{
    struct scene scene;
    struct attributes received;
    struct message message;

    usual_scene(&scene);        /* impersonation is not allowed */
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    make_attributes(&received, ALL_ATTRIBUTES);
    take(scene.c, &message, &received, LPC_REQUEST);
    SAME(received.header.ValidAttributes & ALPC_MESSAGE_TOKEN_ATTRIBUTE, 0);
}

/* ---- WORK_ON_BEHALF and DIRECT ---- */

static void work_on_behalf(void)
{
    struct scene scene;
    struct attributes sent, received;
    struct message message;

    usual_scene(&scene);
    make_attributes(&sent, ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE);
    work_attribute(&sent)->Ticket = 0x123456789abcdef0ull;
    sent.header.ValidAttributes = ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE;
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_SUCCESS);
    make_attributes(&received, ALL_ATTRIBUTES);
    take(scene.c, &message, &received, LPC_REQUEST);
    HOLDS(received.header.ValidAttributes & ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE);
    SAME(work_attribute(&received)->Ticket, 0x123456789abcdef0ull);
}

static void tickets(void)
{
    RTL_WORK_ON_BEHALF_TICKET_EX ticket;
    ALPC_WORK_ON_BEHALF_TICKET other = { 0x1234, 0x5678 };

    if (!host.get_ticket || !host.set_ticket || !host.clear_ticket) leave_out("this world's ntdll has no work-on-behalf tickets");
    memset(&ticket, 0, sizeof ticket);
    EXPECT(host.get_ticket(&ticket, 0), STATUS_SUCCESS);
    EXPECT(host.set_ticket(&other), STATUS_SUCCESS);
    EXPECT(host.get_ticket(&ticket, 0), STATUS_SUCCESS);
    SAME(ticket.Ticket.ThreadId, 0x1234);
    SAME(ticket.Ticket.ThreadCreationTimeLow, 0x5678);
    host.clear_ticket();
}

static void direct(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;
    HANDLE event = new_event(0);

    prepare_scene(&scene);
    scene.server.Flags |= ALPC_PORFLG_DIRECT_MESSAGE;
    scene.client.Flags |= ALPC_PORFLG_DIRECT_MESSAGE;
    connect_scene(&scene);
    make_attributes(&sent, ALPC_MESSAGE_DIRECT_ATTRIBUTE);
    direct_attribute(&sent)->Event = event;
    sent.header.ValidAttributes = ALPC_MESSAGE_DIRECT_ATTRIBUTE;
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(wait_for(event, 1), STATUS_TIMEOUT);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(wait_for(event, 0), STATUS_SUCCESS);
}

static void direct_fails(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;

    prepare_scene(&scene);
    scene.server.Flags |= ALPC_PORFLG_DIRECT_MESSAGE;
    scene.client.Flags |= ALPC_PORFLG_DIRECT_MESSAGE;
    connect_scene(&scene);
    make_attributes(&sent, ALPC_MESSAGE_DIRECT_ATTRIBUTE);
    direct_attribute(&sent)->Event = (HANDLE)(uintptr_t)0xdead0;
    sent.header.ValidAttributes = ALPC_MESSAGE_DIRECT_ATTRIBUTE;
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_INVALID_HANDLE);
    direct_attribute(&sent)->Event = scene.k;
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

static const struct check contexts_checks[] = {
    { "context-life", "NtAlpcCreateSecurityContext NtAlpcRevokeSecurityContext NtAlpcDeleteSecurityContext I-21 I-23", life },
    { "context-fails", "!NtAlpcCreateSecurityContext !NtAlpcRevokeSecurityContext !NtAlpcDeleteSecurityContext I-22 I-23 M-03", context_fails },
    { "context-sent", "attr:SECURITY NtAlpcCreateSecurityContext NtAlpcImpersonateClientOfPort H-27", sent_context },
    { "context-one-shot", "attr:SECURITY H-28", one_shot },
    { "context-deleted-after-use", "attr:SECURITY", deleted_after_use },
    { "context-sent-fails", "!attr:SECURITY !NtAlpcSendWaitReceivePort H-29 I-24", sent_context_fails },
    { "token", "attr:TOKEN class:AlpcMessageTokenModifiedIdInformation H-31 J-10", token },
    { "token-not-allowed", "!attr:TOKEN", no_token },
    { "work-on-behalf", "attr:WORK_ON_BEHALF", work_on_behalf },
    { "work-on-behalf-tickets", "RtlGetThreadWorkOnBehalfTicket RtlSetThreadWorkOnBehalfTicket RtlClearThreadWorkOnBehalfTicket", tickets },
    { "direct", "attr:DIRECT", direct },
    { "direct-fails", "!attr:DIRECT !NtAlpcSendWaitReceivePort", direct_fails },
};
CHECK_GROUP(contexts);
