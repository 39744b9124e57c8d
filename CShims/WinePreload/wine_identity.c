/* Who a thread acts for: tokens of the processes of the session, and impersonation.
 *
 * A client of the same wineserver is impersonated with its own process's token, at the level that it allowed. A Linux program of
 * the same user is impersonated with this process's: Wine knows the user by one token only. For any other user Wine has no token;
 * only an anonymous one names nobody.
 *
 * The kernel's word counts: a process number that a message names is believed only of a client with this process's user. */
#include "wine_preload.h"
#include <ntlpc/ntsecurity.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)

#define TokenUser 1u
#define TokenStatistics 10u
#define TOKEN_IMPERSONATION 2u          /* TokenImpersonation, of TOKEN_TYPE */
#define TOKEN_DUPLICATE 0x0002u
#define TOKEN_IMPERSONATE 0x0004u
#define TOKEN_QUERY 0x0008u
#define CURRENT_PROCESS_TOKEN ((HANDLE)(LONG_PTR)-4)
#define CURRENT_EFFECTIVE_TOKEN ((HANDLE)(LONG_PTR)-6)

static NTSTATUS open_process_token(HANDLE process_id, ACCESS_MASK access, HANDLE *token) {
    const CLIENT_ID id = { .UniqueProcess = process_id };
    HANDLE process = NtCurrentProcess();
    NTSTATUS status = process_id ? wine_open_process(&process, PROCESS_QUERY_INFORMATION, 0, &id) : STATUS_SUCCESS;
    if (status < 0) return status;
    status = wine_NtOpenProcessToken(process, access, token);
    if (process_id) wine_NtClose(process);
    return status;
}

NTSTATUS wine_query_token(HANDLE process, LUID ids[3]) {
    struct {
        LUID token, authentication;
        LARGE_INTEGER expiration;
        ULONG type, level, charged, available, groups, privileges;
        LUID modified;
    } statistics;
    HANDLE token = CURRENT_EFFECTIVE_TOKEN;
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    wine_critical_enter();
    NTSTATUS status = process ? open_process_token(process, TOKEN_QUERY, &token) : STATUS_SUCCESS;
    if (status >= 0) {
        status = wine_NtQueryInformationToken(token, TokenStatistics, &statistics, sizeof statistics, NULL);
        if (process) wine_NtClose(token);
    }
    wine_critical_leave();
    if (status < 0) return status;
    ids[0] = statistics.token;
    ids[1] = statistics.authentication;
    ids[2] = statistics.modified;
    return STATUS_SUCCESS;
}

/* ---- The user ----
 * Asked by threads that are not Wine's too, and so looked up beforehand. It does not change. */

static uint8_t user_sid[SECURITY_MAX_SID_SIZE];
static ULONG user_sid_length;

void wine_identity_prepare(void) {
    struct { SID_AND_ATTRIBUTES user; uint8_t sid[SECURITY_MAX_SID_SIZE]; } answer;
    if (wine_NtQueryInformationToken(CURRENT_PROCESS_TOKEN, TokenUser, &answer, sizeof answer, NULL) < 0) return;
    const SID *sid = answer.user.Sid;
    if (sid->SubAuthorityCount > SID_MAX_SUB_AUTHORITIES) return;
    user_sid_length = 8u + 4u * sid->SubAuthorityCount;
    memcpy(user_sid, sid, user_sid_length);
}

NTSTATUS wine_query_user_sid(PVOID sid, ULONG *length) {
    ULONG capacity = *length;
    if (!user_sid_length) return STATUS_NOT_SUPPORTED;
    *length = user_sid_length;
    if (capacity < user_sid_length) return STATUS_BUFFER_TOO_SMALL;
    memcpy(sid, user_sid, user_sid_length);
    return STATUS_SUCCESS;
}

/* ---- Impersonation ---- */

static NTSTATUS set_thread_token(HANDLE token) {
    return wine_NtSetInformationThread(NtCurrentThread(), ThreadImpersonationToken, &token, sizeof token);
}

static NTSTATUS impersonate_process(HANDLE process_id, ULONG level, BOOLEAN effective_only) {
    SECURITY_QUALITY_OF_SERVICE quality = { .Length = sizeof quality, .ImpersonationLevel = level, .EffectiveOnly = effective_only };
    OBJECT_ATTRIBUTES object = { .Length = sizeof object, .SecurityQualityOfService = &quality };
    HANDLE own, copy;
    NTSTATUS status = open_process_token(process_id, TOKEN_DUPLICATE, &own);
    if (status < 0) return status;
    status = wine_NtDuplicateToken(own, TOKEN_IMPERSONATE | TOKEN_QUERY, &object, effective_only, TOKEN_IMPERSONATION, &copy);
    wine_NtClose(own);
    if (status < 0) return status;
    status = set_thread_token(copy);
    wine_NtClose(copy);
    return status;
}

/* Wine 8.0 has no anonymous token: this process's then, at the level at which nobody may look at it. */
static NTSTATUS impersonate_nobody(void) {
    NTSTATUS status = wine_NtImpersonateAnonymousToken(NtCurrentThread());
    if (status != STATUS_NOT_IMPLEMENTED && status != STATUS_NOT_SUPPORTED) return status;
    return impersonate_process(NULL, SecurityAnonymous, TRUE);
}

NTSTATUS wine_impersonate(const NTLPC_CLIENT *client) {
    NTSTATUS status;
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    if (client->Level > SecurityDelegation) return STATUS_BAD_IMPERSONATION_LEVEL;
    wine_critical_enter();
    if (client->Level == SecurityAnonymous) status = impersonate_nobody();
    else if (client->Uid != geteuid()) status = STATUS_ACCESS_DENIED;
    else status = impersonate_process(client->ProcessId, client->Level, client->EffectiveOnly);
    if (status >= 0) wine_thread_current.impersonates = true;
    wine_critical_leave();
    return status;
}

void wine_revert(void) {
    if (LIKELY(!wine_thread_current.impersonates)) return;
    wine_thread_current.impersonates = false;
    set_thread_token(NULL);
}

#endif
