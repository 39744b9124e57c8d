/* Pointers that lead nowhere, or to memory with a story. */
#include "probe.h"

static NTSTATUS read_at(const void *at, uintptr_t size) { return core(READ_MEMORY, at, NULL, AS_POINTER(size)); }
static NTSTATUS write_at(const void *at, uintptr_t size) { return core(WRITE_MEMORY, at, NULL, AS_POINTER(size)); }

static void check_protections(void) {
    char *memory = VirtualAlloc(NULL, 0x10000, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    DWORD before;
    CHECK(read_at(memory, 0x10000) == STATUS_SUCCESS && write_at(memory, 0x10000) == STATUS_SUCCESS);
    VirtualProtect(memory, 0x1000, PAGE_READONLY, &before);
    CHECK(read_at(memory, 64) == STATUS_SUCCESS && FAILS(write_at(memory, 64), STATUS_ACCESS_VIOLATION));
    VirtualProtect(memory, 0x1000, PAGE_NOACCESS, &before);
    CHECK(FAILS(read_at(memory, 64), STATUS_ACCESS_VIOLATION) && FAILS(read_at(memory + 0xff8, 64), STATUS_ACCESS_VIOLATION));
    /* Wine takes the guard away with the fault, as NT does: the second time the page is ordinary. */
    VirtualProtect(memory, 0x1000, PAGE_READWRITE | PAGE_GUARD, &before);
    CHECK(FAILS(read_at(memory, 64), STATUS_ACCESS_VIOLATION));
    CHECK(read_at(memory, 64) == STATUS_SUCCESS);
    VirtualFree(memory, 0, MEM_RELEASE);
    CHECK(FAILS(read_at(memory, 64), STATUS_ACCESS_VIOLATION) && FAILS(write_at(memory, 0x10000), STATUS_ACCESS_VIOLATION));
}

static void check_write_watch(void) {
    char *memory = VirtualAlloc(NULL, 0x10000, MEM_COMMIT | MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
    void *written[16];
    ULONG_PTR count = 16;
    DWORD granularity;
    CHECK(write_at(memory + 0x1ff0, 64) == STATUS_SUCCESS);
    CHECK(GetWriteWatch(0, memory, 0x10000, written, &count, &granularity) == 0 && count == 2);
}

static LONG CALLBACK on_exception(EXCEPTION_POINTERS *exception) {
    if (exception->ExceptionRecord->ExceptionCode != (DWORD)EXCEPTION_ACCESS_VIOLATION) return EXCEPTION_CONTINUE_SEARCH;
    exception->ContextRecord->Rip += 3;         /* the instruction below */
    exception->ContextRecord->Rcx = 77;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void check_own_faults(void) {
    uint64_t result = 0;
    AddVectoredExceptionHandler(1, on_exception);
    __asm__ volatile("movq $8, %%rcx\n\tmovq (%%rcx), %%rcx" : "=c"(result));
    CHECK(result == 77);
}

int main(void) {
    int right = 0;
    CHECK(FAILS(NtAlpcCreatePort(NULL, NULL, NULL), STATUS_ACCESS_VIOLATION));
    CHECK(FAILS(NtAlpcCreatePort(AS_POINTER(0x7fff12340000), NULL, NULL), STATUS_ACCESS_VIOLATION));
    CHECK(FAILS(read_at(NULL, 64), STATUS_ACCESS_VIOLATION) && FAILS(read_at(AS_POINTER(0x1234567000), 600), STATUS_ACCESS_VIOLATION));
    CHECK(FAILS(read_at(AS_POINTER(0x8000000000000000), 8), STATUS_ACCESS_VIOLATION));
    CHECK(FAILS(write_at("constant", 8), STATUS_ACCESS_VIOLATION));
    check_protections();
    check_write_watch();
    CHECK(FAILS(core(READ_IN_CRITICAL, NULL, NULL, AS_POINTER(8)), STATUS_ACCESS_VIOLATION));
    for (int i = 0; i < 20000; i++) right += FAILS(read_at(NULL, 64), STATUS_ACCESS_VIOLATION);
    CHECK(right == 20000);
    check_own_faults();
    return failed_checks;
}
