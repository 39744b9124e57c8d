/* Tokens of processes, and impersonation as a program sees it. */
#include "probe.h"

static NTSTATUS impersonate(DWORD process, ULONG level, ULONG foreign) {
    core_request request = { .process = AS_POINTER(process), .level = level, .foreign = foreign };
    return use(IMPERSONATE, &request);
}

/* -1: the thread has no token. */
static int level_of_thread(void) {
    SECURITY_IMPERSONATION_LEVEL level;
    TOKEN_TYPE type;
    HANDLE token;
    DWORD size;
    int result = -2;
    if (!OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token)) return GetLastError() == ERROR_NO_TOKEN ? -1 : -3;
    if (GetTokenInformation(token, TokenType, &type, sizeof type, &size) && type == TokenImpersonation &&
        GetTokenInformation(token, TokenImpersonationLevel, &level, sizeof level, &size)) result = (int)level;
    CloseHandle(token);
    return result;
}

static int users_are_equal(void) {
    char thread[256], process[256];
    HANDLE of_thread, of_process;
    DWORD size;
    return OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &of_thread) && OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &of_process)
        && GetTokenInformation(of_thread, TokenUser, thread, sizeof thread, &size) && GetTokenInformation(of_process, TokenUser, process, sizeof process, &size)
        && EqualSid(((TOKEN_USER *)thread)->User.Sid, ((TOKEN_USER *)process)->User.Sid) && CloseHandle(of_thread) && CloseHandle(of_process);
}

static void check_levels(DWORD process) {
    for (ULONG level = SecurityIdentification; level <= SecurityDelegation; level++) {
        CHECK(impersonate(process, level, 0) == STATUS_SUCCESS && level_of_thread() == (int)level && users_are_equal());
        CHECK(RevertToSelf() && level_of_thread() == -1);
    }
}

static NTSTATUS token_of(DWORD process, LUID luids[3]) {
    core_request request = { .process = AS_POINTER(process) };
    NTSTATUS status = use(QUERY_TOKEN, &request);
    memcpy(luids, request.luids, sizeof request.luids);
    return status;
}

static int is_token(const LUID luids[3], HANDLE token) {
    TOKEN_STATISTICS statistics;
    DWORD size;
    return GetTokenInformation(token, TokenStatistics, &statistics, sizeof statistics, &size) && !memcmp(&luids[0], &statistics.TokenId, sizeof *luids)
        && !memcmp(&luids[1], &statistics.AuthenticationId, sizeof *luids) && !memcmp(&luids[2], &statistics.ModifiedId, sizeof *luids);
}

static void check_tokens(const PROCESS_INFORMATION *child) {
    LUID luids[3], again[3];
    HANDLE own, childs, threads;
    OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &own);
    OpenProcessToken(child->hProcess, TOKEN_QUERY, &childs);
    CHECK(token_of(GetCurrentProcessId(), luids) == STATUS_SUCCESS && is_token(luids, own));
    CHECK(token_of(0, again) == STATUS_SUCCESS && !memcmp(luids, again, sizeof luids));
    CHECK(token_of(child->dwProcessId, luids) == STATUS_SUCCESS && is_token(luids, childs) && memcmp(luids, again, sizeof *luids));
    CHECK(impersonate(child->dwProcessId, SecurityImpersonation, 0) == STATUS_SUCCESS);
    CHECK(OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &threads) && token_of(0, luids) == STATUS_SUCCESS && is_token(luids, threads));
    CHECK(memcmp(luids, again, sizeof *luids) && RevertToSelf());
    CHECK(FAILS(token_of(0x7ffffff0, luids), STATUS_INVALID_CID));
}

static void check_user(void) {
    char buffer[256];
    HANDLE token;
    DWORD size;
    core_request inside = { .count = 68 }, outside = { .count = 68 }, small = { .count = 8 };
    CHECK(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token) && GetTokenInformation(token, TokenUser, buffer, sizeof buffer, &size));
    PSID user = ((TOKEN_USER *)buffer)->User.Sid;
    CHECK(use(QUERY_USER, &inside) == STATUS_SUCCESS && inside.count == GetLengthSid(user) && EqualSid(user, inside.sid));
    CHECK(use(QUERY_USER_FROM_OUTSIDE, &outside) == STATUS_SUCCESS && outside.count == inside.count && EqualSid(user, outside.sid));
    CHECK(FAILS(use(QUERY_USER, &small), STATUS_BUFFER_TOO_SMALL) && small.count == inside.count && small.sid[0] == 0);
}

int main(int count, char **arguments) {
    STARTUPINFOA start = { .cb = sizeof start };
    PROCESS_INFORMATION child;
    char command[MAX_PATH + 16];
    if (count > 1) Sleep(INFINITE);
    snprintf(command, sizeof command, "\"%s\" child", arguments[0]);
    CHECK(CreateProcessA(NULL, command, NULL, NULL, FALSE, 0, NULL, NULL, &start, &child));
    check_tokens(&child);
    check_user();
    check_levels(child.dwProcessId);
    check_levels(0);                    /* a Linux program of the same user */
    CHECK(FAILS(impersonate(child.dwProcessId, 4, 0), STATUS_BAD_IMPERSONATION_LEVEL) && FAILS(impersonate(0, 0xffffffff, 0), STATUS_BAD_IMPERSONATION_LEVEL));
    CHECK(FAILS(impersonate(0, SecurityImpersonation, 1), STATUS_ACCESS_DENIED) && level_of_thread() == -1);
    CHECK(FAILS(impersonate(child.dwProcessId, SecurityIdentification, 1), STATUS_ACCESS_DENIED) && level_of_thread() == -1);
    CHECK(FAILS(impersonate(0x7ffffff0, SecurityImpersonation, 0), STATUS_INVALID_CID) && level_of_thread() == -1);
    /* Nobody may look at an anonymous token. */
    CHECK(impersonate(0, SecurityAnonymous, 1) == STATUS_SUCCESS && level_of_thread() == -3 && GetLastError() == ERROR_CANT_OPEN_ANONYMOUS);
    CHECK(RevertToSelf() && level_of_thread() == -1);
    TerminateProcess(child.hProcess, 0);
    return failed_checks;
}
