/* Other processes and threads by their numbers, and handles sent to another Windows process. */
#include "probe.h"

static NTSTATUS open_process(HANDLE process, HANDLE thread, ULONG access, ULONG attributes, HANDLE *handle) {
    core_request request = { .id = { process, thread }, .access = access, .attributes = attributes };
    NTSTATUS status = use(OPEN_PROCESS, &request);
    *handle = request.result;
    return status;
}

static NTSTATUS open_thread(HANDLE process, HANDLE thread, ULONG access, HANDLE *handle) {
    core_request request = { .id = { process, thread }, .access = access };
    NTSTATUS status = use(OPEN_THREAD, &request);
    *handle = request.result;
    return status;
}

static NTSTATUS query_thread(HANDLE thread, CLIENT_ID *id) {
    core_request request = { .handle = thread };
    NTSTATUS status = use(QUERY_THREAD, &request);
    *id = request.id;
    return status;
}

static void check_opening(void) {
    HANDLE process = AS_POINTER(GetCurrentProcessId()), thread = AS_POINTER(GetCurrentThreadId()), handle;
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL);
    DWORD flags;
    CLIENT_ID id;
    CHECK(open_process(process, NULL, PROCESS_QUERY_INFORMATION, OBJ_INHERIT, &handle) == STATUS_SUCCESS);
    CHECK(GetProcessId(handle) == GetCurrentProcessId() && GetHandleInformation(handle, &flags) && flags == HANDLE_FLAG_INHERIT);
    CHECK(!TerminateProcess(handle, 1) && CloseHandle(handle));
    CHECK(open_process(process, thread, PROCESS_QUERY_INFORMATION, 0, &handle) == STATUS_SUCCESS && CloseHandle(handle));
    CHECK(FAILS(open_process(AS_POINTER(0x7ffffff0), NULL, PROCESS_QUERY_INFORMATION, 0, &handle), STATUS_INVALID_CID));
    CHECK(FAILS(open_process(NULL, NULL, PROCESS_QUERY_INFORMATION, 0, &handle), STATUS_INVALID_CID));
    CHECK(FAILS(open_process(AS_POINTER(0x7ffffff0), thread, PROCESS_QUERY_INFORMATION, 0, &handle), STATUS_INVALID_CID));
    CHECK(open_thread(process, thread, THREAD_QUERY_INFORMATION, &handle) == STATUS_SUCCESS);
    CHECK(query_thread(handle, &id) == STATUS_SUCCESS && id.UniqueProcess == process && id.UniqueThread == thread && CloseHandle(handle));
    CHECK(open_thread(NULL, thread, THREAD_QUERY_INFORMATION, &handle) == STATUS_SUCCESS && CloseHandle(handle));
    CHECK(FAILS(open_thread(AS_POINTER(4), thread, THREAD_QUERY_INFORMATION, &handle), STATUS_INVALID_CID));
    CHECK(FAILS(open_thread(process, AS_POINTER(0x7ffffff0), THREAD_QUERY_INFORMATION, &handle), STATUS_INVALID_CID));
    CHECK(query_thread(GetCurrentThread(), &id) == STATUS_SUCCESS && id.UniqueThread == thread);
    CHECK(FAILS(query_thread(AS_POINTER(0x55550), &id), STATUS_INVALID_HANDLE) && FAILS(query_thread(event, &id), STATUS_OBJECT_TYPE_MISMATCH));
}

static NTSTATUS send_to(HANDLE handle, DWORD process, ULONG access, ULONG attributes, ULONG options, HANDLE *sent) {
    core_request request = { .handle = handle, .process = AS_POINTER(process), .access = access, .attributes = attributes, .options = options };
    NTSTATUS status = use(SEND_HANDLE, &request);
    *sent = request.result;
    return status;
}

/* The child reads handle values from its input: an event, a section, a file. */
static int be_child(void) {
    HANDLE handles[3];
    DWORD count, flags;
    core_request session = { 0 };
    use(QUERY_SESSION, &session);
    WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), &session.session, sizeof session.session, &count, NULL);
    if (!ReadFile(GetStdHandle(STD_INPUT_HANDLE), handles, sizeof handles, &count, NULL) || count != sizeof handles) return 1;
    char *view = MapViewOfFile(handles[1], FILE_MAP_WRITE, 0, 0, 0);
    if (!view || strcmp(view, "to the child")) return 2;
    strcpy(view, "to the parent");
    if (!WriteFile(handles[2], "by the child", 12, &count, NULL)) return 3;
    if (!GetHandleInformation(handles[0], &flags) || flags != HANDLE_FLAG_INHERIT) return 4;
    if (ResetEvent(handles[0]) && WaitForSingleObject(handles[0], 0) == WAIT_TIMEOUT) return SetEvent(handles[0]) ? 0 : 6;
    return 5;
}

static void check_sending(const char *program) {
    SECURITY_ATTRIBUTES inherited = { .nLength = sizeof inherited, .bInheritHandle = TRUE };
    STARTUPINFOA start = { .cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES };
    HANDLE to_child, from_parent, to_parent, from_child, sent[3], nothing, event = CreateEventA(NULL, TRUE, FALSE, NULL);
    HANDLE section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x1000, NULL), file, port = make_port(0);
    char *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0), command[MAX_PATH + 16], path[MAX_PATH], text[16] = { 0 };
    PROCESS_INFORMATION child;
    core_request session = { 0 }, outside = { 0 };
    ULONGLONG of_child = 0;
    DWORD count, code = 99;
    use(QUERY_SESSION, &session);
    use(QUERY_SESSION_FROM_OUTSIDE, &outside);
    CHECK(session.session != 0 && outside.session == session.session);
    CreatePipe(&from_parent, &to_child, &inherited, 0);
    CreatePipe(&from_child, &to_parent, &inherited, 0);
    start.hStdInput = from_parent;
    start.hStdOutput = to_parent;
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    snprintf(command, sizeof command, "\"%s\" child", program);
    CHECK(CreateProcessA(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child));
    CHECK(ReadFile(from_child, &of_child, sizeof of_child, &count, NULL) && of_child == session.session);

    strcpy(view, "to the child");
    snprintf(path, sizeof path, "%s.%lu.data", program, GetCurrentProcessId());
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
    CHECK(send_to(event, child.dwProcessId, 0, OBJ_INHERIT, DUPLICATE_SAME_ACCESS, &sent[0]) == STATUS_SUCCESS);
    CHECK(send_to(section, child.dwProcessId, SECTION_MAP_WRITE | SECTION_MAP_READ, 0, 0, &sent[1]) == STATUS_SUCCESS);
    CHECK(send_to(file, child.dwProcessId, FILE_GENERIC_WRITE, 0, 0, &sent[2]) == STATUS_SUCCESS);
    CHECK(FAILS(send_to(port, child.dwProcessId, 0, 0, DUPLICATE_SAME_ACCESS, &nothing), STATUS_NOT_SUPPORTED));
    CHECK(FAILS(send_to(AS_POINTER(0x55550), child.dwProcessId, 0, 0, DUPLICATE_SAME_ACCESS, &nothing), STATUS_INVALID_HANDLE));
    CHECK(FAILS(send_to(event, 0x7ffffff0, 0, 0, DUPLICATE_SAME_ACCESS, &nothing), STATUS_INVALID_CID));
    /* A flag that would close our own handle is not for this call. */
    CHECK(send_to(event, child.dwProcessId, 0, 0, DUPLICATE_SAME_ACCESS | DUPLICATE_CLOSE_SOURCE, &nothing) == STATUS_SUCCESS);
    CHECK(GetHandleInformation(event, &count));
    CHECK(WriteFile(to_child, sent, sizeof sent, &count, NULL));
    CHECK(WaitForSingleObject(child.hProcess, INFINITE) == WAIT_OBJECT_0 && GetExitCodeProcess(child.hProcess, &code) && code == 0);
    CHECK(WaitForSingleObject(event, 0) == WAIT_OBJECT_0 && !strcmp(view, "to the parent"));
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    CHECK(ReadFile(file, text, 12, &count, NULL) && !strcmp(text, "by the child"));
    CHECK(send_to(event, child.dwProcessId, 0, 0, DUPLICATE_SAME_ACCESS, &nothing) < 0);
}

int main(int count, char **arguments) {
    if (count > 1) return be_child();
    check_opening();
    check_sending(arguments[0]);
    return failed_checks;
}
