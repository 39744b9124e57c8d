/* Callbacks on threads of the host's. */
#include "probe.h"
#include <tlhelp32.h>

static volatile LONG runs, sum, misaligned, foreign_threads;
static DWORD own_thread;
static volatile DWORD last_runner;

static NTSTATUS push(void *function, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d) {
    core_request request = { .function = function, .arguments = { AS_POINTER(a), AS_POINTER(b), AS_POINTER(c), AS_POINTER(d) } };
    NTSTATUS status;
    while ((status = use(PUSH_WORK, &request)) == STATUS_QUOTA_EXCEEDED) Sleep(1);
    return status;
}

static int becomes(volatile LONG *number, LONG value) {
    for (int i = 0; i < 20000 && *number != value; i++) Sleep(1);
    return *number == value;
}

static int threads(void) {
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 entry = { .dwSize = sizeof entry };
    int count = 0;
    if (Thread32First(snapshot, &entry)) do count += entry.th32OwnerProcessID == GetCurrentProcessId(); while (Thread32Next(snapshot, &entry));
    CloseHandle(snapshot);
    return count;
}

/* Uses its home space and all nonvolatile registers, as any Windows function may. */
static void CALLBACK add(uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d) {
    char *frame = __builtin_frame_address(0);
    memset(frame + 16, 0xee, 32);
    if ((uintptr_t)frame & 15) InterlockedIncrement(&misaligned);
    last_runner = GetCurrentThreadId();
    if (GetCurrentThreadId() != own_thread) InterlockedIncrement(&foreign_threads);
    InterlockedExchangeAdd(&sum, (LONG)(a + 2 * b + 3 * c + 4 * d));
    __asm__ volatile("" : : : "rbx", "rsi", "rdi", "r12", "r13", "r14", "r15");
    InterlockedIncrement(&runs);
}

/* ---- Exceptions ---- */

void faulting(void);
extern char faulting_end[];
EXCEPTION_DISPOSITION on_fault(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatch) {
    (void)frame, (void)dispatch;
    if (record->ExceptionCode != (DWORD)EXCEPTION_ACCESS_VIOLATION) return ExceptionContinueSearch;
    context->Rip = (uintptr_t)faulting_end;
    InterlockedIncrement(&runs);
    return ExceptionContinueExecution;
}
__asm__(".globl faulting\n.seh_proc faulting\nfaulting:\n\tsubq $40, %rsp\n\t.seh_stackalloc 40\n\t.seh_endprologue\n"
        "\tmovl $8, %ecx\n\tmovl (%rcx), %eax\n.globl faulting_end\nfaulting_end:\n\taddq $40, %rsp\n\tret\n"
        "\t.seh_handler on_fault, @except\n.seh_endproc\n");

static void *frames[32];
static volatile LONG frame_count;
static void CALLBACK walk(void) { frame_count = RtlCaptureStackBackTrace(0, 32, frames, NULL); }

/* The walk passes the worker's frame and comes to where threads begin, in kernel32.dll or ntdll.dll. */
static void check_frames(void) {
    DWORD64 base = 0;
    MEMORY_BASIC_INFORMATION memory;
    push(walk, 0, 0, 0, 0);
    for (int i = 0; i < 20000 && !frame_count; i++) Sleep(1);
    CHECK(frame_count >= 3);
    CHECK(RtlLookupFunctionEntry((uintptr_t)frames[1], &base, NULL) != NULL && base != 0);
    CHECK(VirtualQuery(frames[1], &memory, sizeof memory) && memory.Protect == PAGE_EXECUTE_READ && memory.Type == MEM_PRIVATE);
    CHECK(VirtualQuery(frames[2], &memory, sizeof memory) && memory.Type == MEM_IMAGE);
}

/* ---- Identity ---- */

static volatile LONG tokens_seen, look_count;
static void CALLBACK impersonate_and_stay(void) {
    core_request request = { .level = SecurityImpersonation };
    HANDLE token;
    use(IMPERSONATE, &request);
    if (OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token)) InterlockedIncrement(&tokens_seen);
    InterlockedIncrement(&look_count);
}
static void CALLBACK look(void) {
    HANDLE token;
    if (OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token)) InterlockedIncrement(&tokens_seen);
    InterlockedIncrement(&look_count);
}

static void check_revert(void) {
    push(impersonate_and_stay, 0, 0, 0, 0);
    CHECK(becomes(&look_count, 1) && tokens_seen == 1);
    for (int i = 0; i < 50; i++) push(look, 0, 0, 0, 0);
    CHECK(becomes(&look_count, 51) && tokens_seen == 1);
}

static volatile DWORD attached[64];
static volatile LONG attached_count;
static void NTAPI on_thread(void *module, DWORD reason, void *reserved) {
    (void)module, (void)reserved;
    if (reason == DLL_THREAD_ATTACH) attached[InterlockedIncrement(&attached_count) & 63] = GetCurrentThreadId();
}
__attribute__((section(".CRT$XLY"), used)) static PIMAGE_TLS_CALLBACK on_thread_pointer = on_thread;

static int was_attached(DWORD thread) {
    for (int i = 0; i < 64; i++) if (attached[i] == thread) return 1;
    return 0;
}

int main(void) {
    int before = threads();
    LONG expected = 0;
    own_thread = GetCurrentThreadId();
    CHECK(FAILS(use(START_WORKER_FROM_OUTSIDE, &(core_request){ 0 }), STATUS_UNSUCCESSFUL));       /* there is no helper yet */
    CHECK(use(START_WORKER, &(core_request){ 0 }) == STATUS_SUCCESS && threads() == before + 2);
    CHECK(push(add, 1, 0x100, 0x1000, 0x10000) == STATUS_SUCCESS && becomes(&runs, 1) && sum == 1 + 2 * 0x100 + 3 * 0x1000 + 4 * 0x10000);
    CHECK(last_runner != own_thread && was_attached(last_runner));
    CHECK(use(START_WORKER_FROM_OUTSIDE, &(core_request){ 0 }) == STATUS_SUCCESS && use(START_WORKER, &(core_request){ 0 }) == STATUS_SUCCESS);
    runs = sum = foreign_threads = 0;
    for (int i = 0; i < 10000; i++) {
        push(add, (uintptr_t)i, 1, 0, 0);
        expected += i + 2;
    }
    CHECK(becomes(&runs, 10000) && sum == expected && misaligned == 0 && foreign_threads == 10000);
    runs = 0;
    for (int i = 0; i < 100; i++) push(faulting, 0, 0, 0, 0);
    CHECK(becomes(&runs, 100));
    check_frames();
    check_revert();
    CHECK(use(END_WORKERS, &(core_request){ 0 }) == STATUS_SUCCESS);
    for (int i = 0; i < 20000 && threads() != before + 1; i++) Sleep(1);
    CHECK(threads() == before + 1);
    return failed_checks;
}
