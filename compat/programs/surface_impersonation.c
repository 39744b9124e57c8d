/* Impersonation of clients, and what else a server can ask about a message. */
#include "surface.h"

static PVOID level_flags(unsigned level) { return (PVOID)(uintptr_t)(ALPC_IMPERSONATEFLG_REQUIRE_IMPERSONATE | level << 2); }

/* A conversation in which the client allows impersonation at that level, and a request that waits. */
static struct request *impersonation_scene(struct scene *scene, ULONG client_flags, SECURITY_IMPERSONATION_LEVEL level, struct message *message)
{
    struct request *request;
    prepare_scene(scene);
    scene->server.Flags |= ALPC_PORFLG_ALLOW_IMPERSONATION;
    scene->client.Flags |= client_flags;
    scene->client.SecurityQos.ImpersonationLevel = level;
    connect_scene(scene);
    request = start_request(scene->k, 4, 1);
    take(scene->c, message, NULL, LPC_REQUEST);
    return request;
}

static void expect_level(int level)
{
    int found = impersonation_level();
    if (found != -2) SAME((unsigned)found, (unsigned)level);
}

static void impersonate(void)
{
    struct scene scene;
    struct message message;
    struct request *request = impersonation_scene(&scene, ALPC_PORFLG_ALLOW_IMPERSONATION, SecurityImpersonation, &message);

    expect_level(-1);
    for (unsigned form = 0; form < 3; form++) {
        EXPECT(NtAlpcImpersonateClientOfPort(form == 2 ? scene.s : scene.c, &message.header, form == 1 ? level_flags(SecurityImpersonation) : NULL), STATUS_SUCCESS);
        expect_level(SecurityImpersonation);
        stop_impersonating();
        expect_level(-1);
    }
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void identification(void)
{
    struct scene scene;
    struct message message;

    impersonation_scene(&scene, ALPC_PORFLG_ALLOW_IMPERSONATION, SecurityIdentification, &message);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &message.header, NULL), STATUS_SUCCESS);
    expect_level(SecurityIdentification);
    stop_impersonating();
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &message.header, level_flags(SecurityImpersonation)), STATUS_ACCESS_DENIED);
    expect_level(-1);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void without_consent(void)
{
    struct scene scene;
    struct message message;

    impersonation_scene(&scene, 0, SecurityImpersonation, &message);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &message.header, NULL), STATUS_ACCESS_DENIED);
    expect_level(-1);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &message.header, (PVOID)(uintptr_t)ALPC_IMPERSONATEFLG_ANONYMOUS), STATUS_SUCCESS, STATUS_ACCESS_DENIED);
    stop_impersonating();
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void impersonate_fails(void)
{
    struct scene scene, closed;
    struct message message, unknown;

    impersonation_scene(&scene, ALPC_PORFLG_ALLOW_IMPERSONATION, SecurityImpersonation, &message);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &message.header, (PVOID)(uintptr_t)0x10), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcImpersonateClientOfPort(new_event(0), &message.header, NULL), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcImpersonateClientOfPort((HANDLE)(uintptr_t)0xdead0, &message.header, NULL), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, pages(4096, 0), NULL), STATUS_ACCESS_VIOLATION);
    answer_message(&unknown, 0x7ffffff0, 0, 0);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &unknown.header, NULL), STATUS_INVALID_MESSAGE, STATUS_ACCESS_DENIED);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(NtAlpcImpersonateClientOfPort(scene.c, &message.header, NULL), STATUS_INVALID_MESSAGE, STATUS_ACCESS_DENIED, STATUS_REQUEST_CANCELED);
    /* A port that allows nothing says so first. */
    memset(&closed, 0, sizeof closed);
    EXPECT(NtAlpcCreatePort(&closed.c, NULL, NULL), STATUS_SUCCESS);
    keep(closed.c);
    EXPECT(NtAlpcImpersonateClientOfPort(closed.c, &unknown.header, NULL), STATUS_ACCESS_DENIED);
    expect_level(-1);
}

static void container(void)
{
    struct scene scene;
    struct message message;
    NTSTATUS status;

    impersonation_scene(&scene, ALPC_PORFLG_ALLOW_IMPERSONATION, SecurityImpersonation, &message);
    /* A client in no container has none to give. */
    status = NtAlpcImpersonateClientContainerOfPort(scene.c, &message.header, 0);
    HOLDS(status != STATUS_NOT_IMPLEMENTED);
    stop_impersonating();
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void container_fails(void)
{
    struct scene scene;
    struct message message;

    impersonation_scene(&scene, ALPC_PORFLG_ALLOW_IMPERSONATION, SecurityImpersonation, &message);
    EXPECT(NtAlpcImpersonateClientContainerOfPort(scene.c, &message.header, 1), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcImpersonateClientContainerOfPort(new_event(0), &message.header, 0), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcImpersonateClientContainerOfPort((HANDLE)(uintptr_t)0xdead0, &message.header, 0), STATUS_INVALID_HANDLE);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
}

static void legacy(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    lpc_scene(&scene);
    request = start_lpc_request(scene.k, 4, 1);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtImpersonateClientOfPort(scene.s, &message.header), STATUS_SUCCESS);
    expect_level(SecurityImpersonation);
    stop_impersonating();
    EXPECT(NtReplyPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void legacy_fails(void)
{
    struct scene scene;
    struct request *request;
    struct message message;

    lpc_scene(&scene);
    request = start_lpc_request(scene.k, 4, 1);
    EXPECT(lpc_receive(scene.c, NULL, NULL, &message), STATUS_SUCCESS);
    EXPECT(NtImpersonateClientOfPort(scene.c, &message.header), STATUS_INVALID_PORT_HANDLE, STATUS_SUCCESS);
    stop_impersonating();
    EXPECT(NtImpersonateClientOfPort(new_event(0), &message.header), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtImpersonateClientOfPort((HANDLE)(uintptr_t)0xdead0, &message.header), STATUS_INVALID_HANDLE);
    EXPECT(NtImpersonateClientOfPort(scene.s, pages(4096, 0)), STATUS_ACCESS_VIOLATION);
    EXPECT(NtReplyPort(scene.s, &message.header), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    EXPECT(NtImpersonateClientOfPort(scene.s, &message.header), STATUS_REPLY_MESSAGE_MISMATCH);
}

/* ---- Message information ---- */

static void message_sid(void)
{
    struct scene scene;
    struct message message;
    unsigned char sid[68] = { 0 }, own[68] = { 0 };
    ULONG length = 0;
    unsigned own_length = own_sid(own, sizeof own);

    for (unsigned round = 0; round < 2; round++) {
        struct request *request = NULL;
        usual_scene(&scene);
        if (!round) request = start_request(scene.k, 4, 1);
        else { fill_message(&message, 4, 1); EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS); }
        take(scene.c, &message, NULL, LPC_REQUEST);
        EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageSidInformation, sid, 4, &length), STATUS_BUFFER_TOO_SMALL);
        HOLDS(length >= 12 && length <= 68);
        EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageSidInformation, sid, sizeof sid, &length), STATUS_SUCCESS);
        /* Root is LocalSystem natively. */
        HOLDS((length == own_length && !memcmp(sid, own, own_length)) || !memcmp(sid, "\1\1\0\0\0\0\0\5\22\0\0\0", 12));
        EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
        if (request) EXPECT(finish_request(request), STATUS_SUCCESS);
    }
}

static void message_modified_id(void)
{
    struct scene scene;
    struct message message;
    LUID first = { 0, 0 }, second = { 0, 0 };
    ULONG length = 0;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageTokenModifiedIdInformation, &first, sizeof first, &length), STATUS_SUCCESS);
    SAME(length, sizeof first);
    EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageTokenModifiedIdInformation, &second, sizeof second, NULL), STATUS_SUCCESS);
    HOLDS(first.LowPart == second.LowPart && first.HighPart == second.HighPart);
    EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageTokenModifiedIdInformation, &first, 4, &length), STATUS_BUFFER_TOO_SMALL);
}

static void message_direct_status(void)
{
    struct scene scene;
    struct message message;
    NTSTATUS status;

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_REQUEST);
    status = NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageDirectStatusInformation, NULL, 0, NULL);
    HOLDS(status == STATUS_PENDING || (NT_ERROR(status) && status != STATUS_NOT_IMPLEMENTED));
    EXPECT_ERROR(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageDirectStatusInformation, &status, sizeof status, NULL));
}

static void message_fails(void)
{
    struct scene scene;
    struct message message, other;
    unsigned char sid[68];
    ULONG length = 0;
    HANDLE event = new_event(0);

    usual_scene(&scene);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, 0, &message, NULL), STATUS_SUCCESS);
    take(scene.c, &message, NULL, LPC_REQUEST);
    EXPECT(NtAlpcQueryInformationMessage(scene.c, NULL, AlpcMessageSidInformation, sid, sizeof sid, &length), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, (ALPC_MESSAGE_INFORMATION_CLASS)4, sid, sizeof sid, &length), STATUS_INVALID_INFO_CLASS, STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageSidInformation, pages(4096, 0), sizeof sid, &length), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcQueryInformationMessage(scene.k, &message.header, AlpcMessageSidInformation, sid, sizeof sid, &length), STATUS_ACCESS_DENIED, STATUS_INVALID_MESSAGE);
    /* The id comes before the handle. */
    answer_message(&other, 0, 0, 0);
    EXPECT(NtAlpcQueryInformationMessage(event, &other.header, AlpcMessageSidInformation, sid, sizeof sid, &length), STATUS_INVALID_PARAMETER);
    other.header.MessageId = 1;
    EXPECT(NtAlpcQueryInformationMessage(event, &other.header, AlpcMessageSidInformation, sid, sizeof sid, &length), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcQueryInformationMessage((HANDLE)(uintptr_t)0xdead0, &other.header, AlpcMessageSidInformation, sid, sizeof sid, &length), STATUS_INVALID_HANDLE);
    /* A header in the 32-bit form has its id at offset 16. */
    other.header.u2.s2.Type = LPC_RESERVED_MESSAGE;
    EXPECT(NtAlpcQueryInformationMessage(event, &other.header, AlpcMessageSidInformation, sid, sizeof sid, &length), STATUS_INVALID_PARAMETER);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT_ERROR(NtAlpcQueryInformationMessage(scene.c, &message.header, AlpcMessageSidInformation, sid, sizeof sid, &length));
}

static const struct check impersonation_checks[] = {
    { "impersonate", "NtAlpcImpersonateClientOfPort J-14", impersonate },
    { "impersonate-identification", "NtAlpcImpersonateClientOfPort !NtAlpcImpersonateClientOfPort J-17 J-18", identification },
    { "impersonate-without-consent", "!NtAlpcImpersonateClientOfPort J-15", without_consent },
    { "impersonate-fails", "!NtAlpcImpersonateClientOfPort J-16", impersonate_fails },
    { "impersonate-container", "NtAlpcImpersonateClientContainerOfPort", container },
    { "impersonate-container-fails", "!NtAlpcImpersonateClientContainerOfPort J-19", container_fails },
    { "impersonate-legacy", "NtImpersonateClientOfPort C-33", legacy },
    { "impersonate-legacy-fails", "!NtImpersonateClientOfPort C-34 C-35 C-37", legacy_fails },
    { "message-sid", "NtAlpcQueryInformationMessage !NtAlpcQueryInformationMessage class:AlpcMessageSidInformation !class:AlpcMessageSidInformation J-08 J-09", message_sid },
    { "message-modified-id", "NtAlpcQueryInformationMessage class:AlpcMessageTokenModifiedIdInformation !class:AlpcMessageTokenModifiedIdInformation J-10", message_modified_id },
    { "message-direct-status", "class:AlpcMessageDirectStatusInformation !class:AlpcMessageDirectStatusInformation J-13", message_direct_status },
    { "message-fails", "!NtAlpcQueryInformationMessage J-11 J-12 M-03", message_fails },
};
CHECK_GROUP(impersonation);

