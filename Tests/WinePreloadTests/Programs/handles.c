/* A port's handle seen with the calls of Wine's: close, duplicate, query. */
#include "probe.h"

static int closes(void) { return core(COUNT_CLOSES, NULL, NULL, NULL); }
static int duplicates(void) { return core(COUNT_DUPLICATES, NULL, NULL, NULL); }

static void check_query(HANDLE port) {
    union { char bytes[512]; UNICODE_STRING name; ULONG words[14]; } answer;
    ULONG length = 0;
    HANDLE event = CreateEventA(NULL, FALSE, FALSE, NULL);
    CHECK(NtQueryObject(port, ObjectTypeInformation, &answer, sizeof answer, &length) == STATUS_SUCCESS);
    CHECK(!wcscmp(answer.name.Buffer, L"ALPC Port") && answer.name.Length == 18);
    CHECK(FAILS(NtQueryObject(port, ObjectTypeInformation, &answer, 8, &length), STATUS_INFO_LENGTH_MISMATCH) && length > 100);
    CHECK(FAILS(NtQueryObject(port, ObjectTypeInformation, AS_POINTER(16), sizeof answer, &length), STATUS_ACCESS_VIOLATION));
    CHECK(NtQueryObject(port, ObjectBasicInformation, &answer, 56, &length) == STATUS_SUCCESS && answer.words[1] == PORT_ALL_ACCESS);
    CHECK(NtQueryObject((char *)port + 1, ObjectBasicInformation, &answer, 56, NULL) == STATUS_SUCCESS && answer.words[1] == PORT_ALL_ACCESS);
    CHECK(NtQueryObject(event, ObjectTypeInformation, &answer, sizeof answer, &length) == STATUS_SUCCESS && !wcscmp(answer.name.Buffer, L"Event"));
    CHECK(FAILS(NtSetEvent(port, NULL), STATUS_ACCESS_DENIED));
    CloseHandle(event);
}

static void check_close(void) {
    HANDLE port = make_port(0);
    int before = closes();
    CHECK(CloseHandle(port) && closes() == before + 1);
    CHECK(!CloseHandle(port) && closes() == before + 1);
}

static void check_duplicate(HANDLE port) {
    HANDLE first, second, third = NULL, event = CreateEventA(NULL, FALSE, FALSE, NULL), self = GetCurrentProcess();
    HANDLE real_self = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
    int closed = closes(), duplicated = duplicates();
    ULONG basic[14];
    DWORD flags = 0;
    CHECK(DuplicateHandle(self, port, self, &first, 0, FALSE, DUPLICATE_SAME_ACCESS) && duplicates() == duplicated + 1);
    CHECK(DuplicateHandle(self, first, self, &second, 0, FALSE, DUPLICATE_SAME_ACCESS | DUPLICATE_CLOSE_SOURCE));
    CHECK(duplicates() == duplicated + 2 && closes() == closed + 1);
    CHECK(!CloseHandle(first) || second == first);
    CHECK(DuplicateHandle(real_self, second, real_self, &third, PORT_ALL_ACCESS, TRUE, 0) && duplicates() == duplicated + 3);
    CHECK(NtQueryObject(third, ObjectBasicInformation, basic, sizeof basic, NULL) == STATUS_SUCCESS && basic[1] == PORT_ALL_ACCESS);
    CHECK(GetHandleInformation(third, &flags) && flags == HANDLE_FLAG_INHERIT);

    CHECK(SetHandleInformation(third, HANDLE_FLAG_PROTECT_FROM_CLOSE, HANDLE_FLAG_PROTECT_FROM_CLOSE));
    CHECK(!CloseHandle(third) && closes() == closed + 1);
    CHECK(NtQueryObject(third, ObjectBasicInformation, basic, sizeof basic, NULL) == STATUS_SUCCESS && basic[1] == PORT_ALL_ACCESS);
    CHECK(SetHandleInformation(third, HANDLE_FLAG_PROTECT_FROM_CLOSE, 0) && CloseHandle(third) && closes() == closed + 2);

    CHECK(DuplicateHandle(self, second, NULL, NULL, 0, FALSE, DUPLICATE_CLOSE_SOURCE) && closes() == closed + 3);
    CHECK(FAILS(NtDuplicateObject(self, port, self, AS_POINTER(16), 0, 0, DUPLICATE_SAME_ACCESS), STATUS_ACCESS_VIOLATION));
    CHECK(DuplicateHandle(self, event, self, &first, 0, FALSE, DUPLICATE_SAME_ACCESS | DUPLICATE_CLOSE_SOURCE) && CloseHandle(first));
    CHECK(closes() == closed + 3);
}

/* A handle number that was a port's and is now an event's is an event's. */
static void check_reuse(void) {
    for (int i = 0; i < 200; i++) {
        HANDLE port = NULL, event;
        ULONG basic[14];
        int before;
        if (NtAlpcCreatePort(&port, NULL, NULL) < 0 || !CloseHandle(port)) failed_checks++;
        event = CreateEventA(NULL, FALSE, FALSE, NULL);
        before = closes();
        if (NtQueryObject(event, ObjectBasicInformation, basic, sizeof basic, NULL) < 0 || basic[1] != EVENT_ALL_ACCESS) failed_checks++;
        if (!CloseHandle(event) || closes() != before) failed_checks++;
    }
    CHECK(failed_checks == 0);
}

int main(void) {
    HANDLE port = make_port(0);
    check_query(port);
    check_close();
    check_duplicate(port);
    check_reuse();
    return failed_checks;
}
