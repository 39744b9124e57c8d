/* Reaching the calls: import table, GetProcAddress, arguments, results, child processes, other handles. */
#include "probe.h"

NTSTATUS NTAPI ZwAlpcCreatePort(PHANDLE, POBJECT_ATTRIBUTES, PALPC_PORT_ATTRIBUTES);
NTSTATUS NTAPI NtOpenDirectoryObject(PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES);

/* A caller may leave anything in the upper bits of a BOOLEAN's word. */
typedef NTSTATUS (NTAPI *accept_alpc)(void *, void *, ULONG, void *, void *, void *, void *, void *, uint64_t);
typedef NTSTATUS (NTAPI *accept_lpc)(void *, void *, void *, uint64_t, void *, void *);

static void *call_named(const char *name) { return (void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), name); }

static void check_arguments(void) {
    uint64_t sum = 0;
    accept_alpc accept_alpc_wide = (accept_alpc)call_named("NtAlpcAcceptConnectPort");
    accept_lpc accept_lpc_wide = (accept_lpc)call_named("NtAcceptConnectPort");
    CHECK(NtAlpcSendWaitReceivePort(AS_POINTER(1), ADD_ARGUMENTS, AS_POINTER(2), AS_POINTER(4), AS_POINTER(8), (PSIZE_T)&sum,
                                    AS_POINTER(16), AS_POINTER(32)) == STATUS_SUCCESS && sum == 63);
    CHECK(NtAlpcAcceptConnectPort(NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 0x7f) == 0x7f);
    CHECK(accept_alpc_wide(NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 0xffffffffffffff01) == 1);
    CHECK(accept_lpc_wide(NULL, NULL, NULL, 0xabcdef01, AS_POINTER(0x100), NULL) == 0x101);
    CHECK(AlpcGetMessageAttribute(AS_POINTER(0x7788), 0x9abcdef0) == AS_POINTER(0x9abcdef000007788));
    CHECK(AlpcGetHeaderSize(0x80000001) == 0x1122334480000001);
    CHECK(AlpcGetMessageFromCompletionList(AS_POINTER(1), NULL) == NULL);
}

static void check_names(void) {
    HANDLE port = NULL;
    CHECK(ZwAlpcCreatePort(&port, NULL, NULL) == STATUS_SUCCESS && CloseHandle(port));
    CHECK(NtCreatePort(&port, NULL, 1, 2, 3) == STATUS_SUCCESS && CloseHandle(port));
    CHECK(FAILS(NtConnectPort(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_NOT_IMPLEMENTED));
    CHECK(FAILS(NtRequestPort(NULL, NULL), STATUS_NOT_IMPLEMENTED));
    CHECK(call_named("NtAlpcConnectPort") == call_named("ZwAlpcConnectPort"));
    CHECK(call_named("NtAlpcConnectPort") && call_named("ZwConnectPort") && call_named("ZwReplyPort"));
    CHECK(call_named("TpAllocAlpcCompletion") && call_named("AlpcMaxAllowedMessageLength"));
    CHECK(call_named("NtCreateFile") && call_named("NtWaitForSingleObject") && call_named("ZwClose"));
    CHECK(!call_named("NtAlpcNoSuchCall") && !call_named("ZpAllocAlpcCompletion"));
}

/* Handles, sections, waits and completion ports are Wine's own; only port calls are ours, all of them. */
static int is_wines(const char *name) {
    MEMORY_BASIC_INFORMATION memory;
    return VirtualQuery(call_named(name), &memory, sizeof memory) && memory.Type == MEM_IMAGE;
}

static void check_whose_they_are(void) {
    static const char *const wines[] = { "NtClose", "NtCreateEvent", "NtCreateSection", "NtMapViewOfSection", "NtUnmapViewOfSection", "NtCreateIoCompletion",
                                         "NtSetIoCompletion", "NtRemoveIoCompletionEx", "NtWaitForMultipleObjects", "NtSetInformationThread", "NtOpenProcess" };
    static const char *const ours[] = { "NtCreatePort", "NtReplyWaitReplyPort", "NtReadRequestData", "NtAlpcCreatePortSection", "NtAlpcCancelMessage",
                                        "AlpcRegisterCompletionList", "TpAllocAlpcCompletion", "NtAlpcOpenSenderThread", "ZwAlpcQueryInformationMessage" };
    for (size_t i = 0; i < sizeof wines / sizeof *wines; i++) if (!is_wines(wines[i])) failed_checks++, printf("FAIL %s is not Wine's\n", wines[i]);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) if (is_wines(ours[i])) failed_checks++, printf("FAIL %s is Wine's\n", ours[i]);
}

static void check_host_questions(void) {
    CLIENT_ID id;
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    HANDLE directory, event = CreateEventA(NULL, FALSE, FALSE, NULL);
    WCHAR text[300] = { 0 };
    ULONG length = 0;
    CHECK(core(QUERY_CLIENT_ID, &id, NULL, NULL) == STATUS_SUCCESS);
    CHECK((uintptr_t)id.UniqueProcess == GetCurrentProcessId() && (uintptr_t)id.UniqueThread == GetCurrentThreadId());
    CHECK(FAILS(core(CLASSIFY_HANDLE, event, NULL, NULL), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(FAILS(core(CLASSIFY_HANDLE, GetCurrentProcess(), NULL, NULL), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(FAILS(core(CLASSIFY_HANDLE, AS_POINTER(0x55550), NULL, NULL), STATUS_INVALID_HANDLE));
    CHECK(FAILS(core(CLASSIFY_HANDLE, NULL, NULL, NULL), STATUS_INVALID_HANDLE));
    RtlInitUnicodeString(&name, L"\\BaseNamedObjects");
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    CHECK(NtOpenDirectoryObject(&directory, 1, &attributes) == STATUS_SUCCESS);
    CHECK(core(QUERY_DIRECTORY_NAME, directory, text, &length) == STATUS_SUCCESS && !wcscmp(text, L"\\BaseNamedObjects") && length == 34);
    CHECK(FAILS(core(QUERY_DIRECTORY_NAME, event, text, &length), STATUS_OBJECT_TYPE_MISMATCH));
    CHECK(FAILS(core(QUERY_DIRECTORY_NAME, AS_POINTER(0x55550), text, &length), STATUS_INVALID_HANDLE));
}

static void check_child(const char *program) {
    STARTUPINFOA start = { .cb = sizeof start };
    PROCESS_INFORMATION child;
    char command[MAX_PATH + 16];
    DWORD code = 99;
    snprintf(command, sizeof command, "\"%s\" child", program);
    CHECK(CreateProcessA(NULL, command, NULL, NULL, FALSE, 0, NULL, NULL, &start, &child));
    WaitForSingleObject(child.hProcess, INFINITE);
    CHECK(GetExitCodeProcess(child.hProcess, &code) && code == 0);
}

int main(int count, char **arguments) {
    HANDLE port = make_port(0);
    if (count > 1) return failed_checks + !CloseHandle(port);
    check_arguments();
    check_names();
    check_whose_they_are();
    check_host_questions();
    check_child(arguments[0]);
    return failed_checks;
}
