/* What handles name, and files and sections that go to a Linux program and come from one. */
#include "probe.h"

static char file_path[MAX_PATH], linux_path[MAX_PATH];

static NTSTATUS query(HANDLE handle, core_request *answer) {
    *answer = (core_request){ .handle = handle };
    return use(QUERY_HANDLE, answer);
}

static int is(HANDLE handle, ULONG type) {
    core_request answer;
    int holds = query(handle, &answer) == STATUS_SUCCESS && answer.type == type;
    CloseHandle(handle);
    return holds;
}

static NTSTATUS give(HANDLE handle, ULONG access, const char *command) {
    core_request request = { .handle = handle, .access = access, .text = command };
    return use(GIVE_TO_PEER, &request);
}

static NTSTATUS take(const char *command, ULONG type, ULONG access, HANDLE *handle) {
    core_request request = { .type = type, .access = access, .text = command };
    NTSTATUS status = use(TAKE_FROM_PEER, &request);
    *handle = request.result;
    return status;
}

static void check_queries(void) {
    core_request answer;
    HANDLE token, port = make_port(0), event = CreateEventA(NULL, TRUE, FALSE, NULL);
    SECURITY_ATTRIBUTES inherited = { .nLength = sizeof inherited, .bInheritHandle = TRUE };
    OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token);
    CHECK(query(event, &answer) == STATUS_SUCCESS && answer.type == ALPC_PORFLG_OBJECT_TYPE_EVENT);
    CHECK(answer.access == EVENT_ALL_ACCESS && answer.attributes == 0);
    CHECK(SetHandleInformation(event, HANDLE_FLAG_PROTECT_FROM_CLOSE, HANDLE_FLAG_PROTECT_FROM_CLOSE));
    CHECK(query(event, &answer) == STATUS_SUCCESS && answer.attributes == OBJ_PROTECT_CLOSE);
    event = CreateEventA(&inherited, TRUE, FALSE, NULL);
    CHECK(query(event, &answer) == STATUS_SUCCESS && answer.attributes == OBJ_INHERIT);
    CHECK(is(CreateSemaphoreA(NULL, 0, 1, NULL), ALPC_PORFLG_OBJECT_TYPE_SEMAPHORE));
    CHECK(is(CreateMutexA(NULL, FALSE, NULL), ALPC_PORFLG_OBJECT_TYPE_MUTEX));
    CHECK(is(CreateJobObjectA(NULL, NULL), ALPC_PORFLG_OBJECT_TYPE_JOB));
    CHECK(is(CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 4096, NULL), ALPC_PORFLG_OBJECT_TYPE_SECTION));
    CHECK(is(OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, GetCurrentProcessId()), ALPC_PORFLG_OBJECT_TYPE_PROCESS));
    CHECK(is(OpenThread(THREAD_QUERY_INFORMATION, FALSE, GetCurrentThreadId()), ALPC_PORFLG_OBJECT_TYPE_THREAD));
    CHECK(is(token, ALPC_PORFLG_OBJECT_TYPE_TOKEN));
    CHECK(is(CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0), 0));
    CHECK(is(port, 0));
    CHECK(query(GetCurrentProcess(), &answer) == STATUS_SUCCESS && answer.type == ALPC_PORFLG_OBJECT_TYPE_PROCESS);
    CHECK(FAILS(query(AS_POINTER(0x55550), &answer), STATUS_INVALID_HANDLE) && FAILS(query(NULL, &answer), STATUS_INVALID_HANDLE));
}

static void check_files_given(void) {
    char text[16] = { 0 };
    DWORD count;
    HANDLE file = CreateFileA(file_path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, CREATE_ALWAYS, 0, NULL), reading;
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL), from, to;
    CHECK(WriteFile(file, "from Windows", 12, &count, NULL));
    CHECK(give(file, GENERIC_READ, "expect from Windows") == 0);
    CHECK(give(file, GENERIC_READ, "write no") == 3);
    CHECK(give(file, GENERIC_READ | GENERIC_WRITE, "write from Linux") == 0);
    CHECK(give(file, MAXIMUM_ALLOWED, "write from Linux") == 0 && give(file, 0, "write from Linux") == 0);
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    CHECK(ReadFile(file, text, 10, &count, NULL) && !strcmp(text, "from Linux"));
    CHECK(DuplicateHandle(GetCurrentProcess(), file, GetCurrentProcess(), &reading, FILE_GENERIC_READ, FALSE, 0));
    CHECK(FAILS(give(reading, GENERIC_WRITE, "write no"), STATUS_ACCESS_DENIED));
    CHECK(give(reading, MAXIMUM_ALLOWED, "expect from Linux") == 0 && give(reading, MAXIMUM_ALLOWED, "write no") == 3);
    CHECK(FAILS(give(file, FILE_READ_ATTRIBUTES, "expect from"), STATUS_NOT_SUPPORTED));
    CHECK(FAILS(give(event, EVENT_MODIFY_STATE, "expect from"), STATUS_NOT_SUPPORTED));
    CHECK(FAILS(give(AS_POINTER(0x55550), GENERIC_READ, "expect from"), STATUS_INVALID_HANDLE));
    CHECK(CreatePipe(&from, &to, NULL, 0) && FAILS(give(from, FILE_READ_DATA, "expect from"), STATUS_NOT_SUPPORTED));
    CloseHandle(file);
    CloseHandle(reading);
}

static void check_files_taken(void) {
    char command[MAX_PATH + 32], text[16] = { 0 };
    core_request answer;
    DWORD count;
    HANDLE file;
    snprintf(command, sizeof command, "give file %s", linux_path);
    CHECK(take(command, ALPC_PORFLG_OBJECT_TYPE_FILE, GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE, &file) == STATUS_SUCCESS);
    CHECK(query(file, &answer) == STATUS_SUCCESS && answer.type == ALPC_PORFLG_OBJECT_TYPE_FILE && answer.access == (FILE_GENERIC_READ | FILE_GENERIC_WRITE));
    CHECK(WriteFile(file, "through Wine", 12, &count, NULL) && give(file, FILE_READ_DATA, "expect through Wine") == 0);
    CloseHandle(file);
    snprintf(command, sizeof command, "give reading %s", linux_path);
    CHECK(FAILS(take(command, ALPC_PORFLG_OBJECT_TYPE_FILE, FILE_WRITE_DATA, &file), STATUS_ACCESS_DENIED));
    CHECK(take(command, ALPC_PORFLG_OBJECT_TYPE_FILE, FILE_GENERIC_READ, &file) == STATUS_SUCCESS);
    CHECK(ReadFile(file, text, 12, &count, NULL) && !strcmp(text, "through Wine") && !WriteFile(file, "no", 2, &count, NULL));
    CloseHandle(file);
    CHECK(take("give reading /tmp", ALPC_PORFLG_OBJECT_TYPE_FILE, FILE_LIST_DIRECTORY, &file) == STATUS_SUCCESS && CloseHandle(file));
    CHECK(take("give reading /dev/null", ALPC_PORFLG_OBJECT_TYPE_FILE, FILE_GENERIC_READ, &file) == STATUS_SUCCESS);
    CHECK(ReadFile(file, text, 1, &count, NULL) && count == 0 && CloseHandle(file));
    CHECK(FAILS(take("give path /tmp", ALPC_PORFLG_OBJECT_TYPE_FILE, FILE_READ_ATTRIBUTES, &file), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(FAILS(take(command, ALPC_PORFLG_OBJECT_TYPE_EVENT, EVENT_MODIFY_STATE, &file), STATUS_NOT_SUPPORTED));
}

static void check_sections_given(void) {
    HANDLE section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x20000, NULL), reading, image, file, part;
    char self[MAX_PATH], *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    strcpy(view, "from Windows");
    CHECK(give(section, SECTION_MAP_READ, "expect from Windows") == 0);
    CHECK(give(section, SECTION_MAP_READ, "map-write no") == 3);
    CHECK(give(section, SECTION_MAP_READ | SECTION_MAP_WRITE, "map-write from Linux") == 0 && !strcmp(view, "from Linuxws"));
    CHECK(DuplicateHandle(GetCurrentProcess(), section, GetCurrentProcess(), &reading, SECTION_MAP_READ | SECTION_QUERY, FALSE, 0));
    CHECK(FAILS(give(reading, SECTION_MAP_WRITE, "map-write no"), STATUS_ACCESS_DENIED));
    CHECK(give(reading, MAXIMUM_ALLOWED, "map-write no") == 3 && give(reading, MAXIMUM_ALLOWED, "expect from Linux") == 0);
    CHECK(FAILS(give(section, SECTION_QUERY, "expect from"), STATUS_NOT_SUPPORTED));
    GetModuleFileNameA(NULL, self, sizeof self);
    file = CreateFileA(self, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    image = CreateFileMappingA(file, NULL, PAGE_READONLY | SEC_IMAGE, 0, 0, NULL);
    CHECK(image && FAILS(give(image, SECTION_MAP_READ, "expect MZ"), STATUS_NOT_SUPPORTED));
    part = CreateFileMappingA(file, NULL, PAGE_READONLY, 0, 64, NULL);
    CHECK(part && FAILS(give(part, SECTION_MAP_READ, "expect MZ"), STATUS_NOT_SUPPORTED));
    part = CreateFileMappingA(file, NULL, PAGE_READONLY, 0, 0, NULL);
    CHECK(part && give(part, SECTION_MAP_READ, "expect MZ") == 0 && give(part, MAXIMUM_ALLOWED, "map-write no") == 3);
}

static void check_sections_taken(void) {
    core_request answer;
    HANDLE section;
    char *view;
    CHECK(take("give memory from Linux", ALPC_PORFLG_OBJECT_TYPE_SECTION, SECTION_ALL_ACCESS, &section) == STATUS_SUCCESS);
    CHECK(query(section, &answer) == STATUS_SUCCESS && answer.type == ALPC_PORFLG_OBJECT_TYPE_SECTION && answer.access == SECTION_ALL_ACCESS);
    view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    CHECK(view && !strcmp(view, "from Linux"));
    strcpy(view, "from Wine");
    CHECK(give(section, SECTION_MAP_READ, "expect from Wine") == 0);
    CHECK(give(section, SECTION_MAP_WRITE | SECTION_MAP_READ, "map-write back") == 0 && !strcmp(view, "back Wine"));
    CHECK(!MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0x20000));
    CloseHandle(section);
    CHECK(take("give memory from Linux", ALPC_PORFLG_OBJECT_TYPE_SECTION, SECTION_MAP_READ, &section) == STATUS_SUCCESS);
    CHECK((view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0)) && !strcmp(view, "from Linux") && !MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0));
    CHECK(take("give sealed from Linux", ALPC_PORFLG_OBJECT_TYPE_SECTION, SECTION_ALL_ACCESS, &section) == STATUS_SUCCESS);
    CHECK((view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0)) && !strcmp(view, "from Linux") && !MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0));
    CHECK(take("give empty", ALPC_PORFLG_OBJECT_TYPE_SECTION, SECTION_MAP_READ, &section) < 0);
    CHECK(FAILS(take("give socket", ALPC_PORFLG_OBJECT_TYPE_SECTION, SECTION_MAP_READ, &section), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(FAILS(take("give reading /tmp", ALPC_PORFLG_OBJECT_TYPE_SECTION, SECTION_MAP_READ, &section), STATUS_OBJECT_TYPE_MISMATCH));
}

static DWORD handles(void) { DWORD count = 0; GetProcessHandleCount(GetCurrentProcess(), &count); return count; }

static int closes_late(HANDLE event) {
    DWORD flags;
    for (int i = 0; i < 2000 && GetHandleInformation(event, &flags); i++) Sleep(1);
    return !GetHandleInformation(event, &flags);
}

static void check_closing(void) {
    core_request request = { .handle = CreateEventA(NULL, TRUE, FALSE, NULL) };
    DWORD flags, before;
    core_request answer;
    CHECK(use(CLOSE_OBJECT, &request) == STATUS_SUCCESS && !GetHandleInformation(request.handle, &flags));
    /* Without the helper the close waits until a thread of Wine's comes by. */
    request.handle = CreateEventA(NULL, TRUE, FALSE, NULL);
    CHECK(use(CLOSE_OBJECT_FROM_OUTSIDE, &request) == STATUS_SUCCESS && GetHandleInformation(request.handle, &flags));
    query(GetCurrentProcess(), &answer);
    CHECK(!GetHandleInformation(request.handle, &flags));
    request.handle = CreateEventA(NULL, TRUE, FALSE, NULL);
    use(CLOSE_OBJECT_FROM_OUTSIDE, &request);
    make_port(1);                       /* starts the helper */
    CHECK(closes_late(request.handle));
    before = handles();
    for (int i = 0; i < 500; i++) {
        request.handle = CreateEventA(NULL, TRUE, FALSE, NULL);
        use(CLOSE_OBJECT_FROM_OUTSIDE, &request);
    }
    CHECK(closes_late(request.handle) && handles() == before);
}

static void check_nothing_leaks(void) {
    HANDLE section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x10000, NULL), taken;
    DWORD before = handles();
    for (int i = 0; i < 50; i++) {
        if (give(section, SECTION_MAP_READ, "write no") != 3) failed_checks++;
        if (take("give memory x", ALPC_PORFLG_OBJECT_TYPE_SECTION, SECTION_MAP_READ, &taken) < 0 || !CloseHandle(taken)) failed_checks++;
    }
    CHECK(handles() == before);
}

int main(int count, char **arguments) {
    (void)count;
    snprintf(file_path, sizeof file_path, "%s.%lu.data", arguments[0], GetCurrentProcessId());
    snprintf(linux_path, sizeof linux_path, "/tmp/ntlpc-objects-%lu-%lu", GetCurrentProcessId(), GetTickCount());
    check_queries();
    check_files_given();
    check_files_taken();
    check_sections_given();
    check_sections_taken();
    check_nothing_leaks();
    check_closing();
    DeleteFileA(file_path);
    DeleteFileA(linux_path);
    return failed_checks;
}
