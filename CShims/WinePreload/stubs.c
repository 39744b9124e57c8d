/* The two halves of a port call under Wine: a few instructions on the Windows side, a C function on the Unix side.
 *
 * A program that calls NtAlpcConnectPort arrives at a stub. The stub puts the four register arguments in the home space that
 * the Microsoft convention reserves above the return address, which makes all arguments one array of 64-bit words, and jumps
 * to Wine's dispatcher of Unix calls: 6-8 ns for the round trip, against 106 ns through Wine's dispatcher of system calls.
 * The dispatcher changes stacks and calls entry `index` of a table of ours with the array.
 *
 * That road carries a status of 32 bits home. A call whose result is wider (a pointer, a size) gets another stub, which calls
 * the dispatcher and reads the result from the fourth word of the home space, where the Unix side leaves it; these calls have
 * two parameters at most. The word is zero before, so that a call that Wine abandons gives NULL. Neither stub moves the stack
 * pointer except for that one return address, so that unwinding takes both for leaf functions and is right.
 *
 * Words are handed to the core as they come. The System V convention leaves the upper half of a 32-bit argument undefined,
 * as Microsoft's does; only 8-bit arguments need care, because compilers rely on their being extended to 32 bits. */
#include "wine_preload.h"
#include <string.h>

#if defined(__x86_64__)

#define RESULT_WORD 3           /* in the array, for results wider than a status */

enum {
#define ROW(type, name, parameters, arguments, count) INDEX_##name,
    NTLPC_PORT_CALLS(ROW)
#undef ROW
    PORT_CALL_COUNT
};

static void *core_entries[PORT_CALL_COUNT];

/* ---- The Unix side ---- */

/* False: the core cannot be had. A thread's first call ends up here, and every call while the core is missing. */
static __attribute__((noinline)) bool enter_slow(void) {
    wine_thread_enter();
    if (core_ready) return true;
    return core_load();
}

static inline bool enter(void) {
    return LIKELY(wine_thread_current.entered && core_ready) || enter_slow();
}

static __attribute__((noinline)) void *find_entry(uint32_t index) {
    void *entry = core_entry(stubs_name(index));
    if (entry) __atomic_store_n(&core_entries[index], entry, __ATOMIC_RELAXED);
    return entry;
}

static inline void *entry_of(uint32_t index) {
    void *entry = __atomic_load_n(&core_entries[index], __ATOMIC_RELAXED);
    return LIKELY(entry != NULL) ? entry : find_entry(index);
}

static inline void extend_bytes(uint32_t index, uint64_t *a) {
    if (index == INDEX_NtAcceptConnectPort) a[3] = (uint8_t)a[3];
    if (index == INDEX_NtAlpcAcceptConnectPort) a[8] = (uint8_t)a[8];
}

typedef uint64_t w;             /* one argument word */
#define INVOKE_0(f)  ((w (*)(void))f)()
#define INVOKE_1(f)  ((w (*)(w))f)(a[0])
#define INVOKE_2(f)  ((w (*)(w, w))f)(a[0], a[1])
#define INVOKE_3(f)  ((w (*)(w, w, w))f)(a[0], a[1], a[2])
#define INVOKE_4(f)  ((w (*)(w, w, w, w))f)(a[0], a[1], a[2], a[3])
#define INVOKE_5(f)  ((w (*)(w, w, w, w, w))f)(a[0], a[1], a[2], a[3], a[4])
#define INVOKE_6(f)  ((w (*)(w, w, w, w, w, w))f)(a[0], a[1], a[2], a[3], a[4], a[5])
#define INVOKE_8(f)  ((w (*)(w, w, w, w, w, w, w, w))f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7])
#define INVOKE_9(f)  ((w (*)(w, w, w, w, w, w, w, w, w))f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8])
#define INVOKE_11(f) ((w (*)(w, w, w, w, w, w, w, w, w, w, w))f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10])

/* By return type: 1 when the result is wider than a status, and what a call gives when it cannot reach the core. */
#define WIDE_NTSTATUS 0
#define WIDE_VOID 0
#define WIDE_ULONG 0
#define WIDE_BOOLEAN 0
#define WIDE_SIZE_T 1
#define WIDE_PVOID 1
#define WIDE_PPORT_MESSAGE 1
#define WIDE_PALPC_MESSAGE_ATTRIBUTES 1
#define MISSING_NTSTATUS(status) (status)
#define MISSING_VOID(status) 0
#define MISSING_ULONG(status) 0
#define MISSING_BOOLEAN(status) 0
#define MISSING_SIZE_T(status) 0
#define MISSING_PVOID(status) 0
#define MISSING_PPORT_MESSAGE(status) 0
#define MISSING_PALPC_MESSAGE_ATTRIBUTES(status) 0

#define ROW(type, name, parameters, arguments, count) \
    _Static_assert(!WIDE_##type || count <= RESULT_WORD, #name " has no word to spare for its result"); \
    static NTSTATUS unix_##name(uint64_t *a) { \
        if (UNLIKELY(!enter())) return MISSING_##type(STATUS_DLL_NOT_FOUND); \
        void *entry = entry_of(INDEX_##name); \
        if (UNLIKELY(!entry)) return MISSING_##type(STATUS_NOT_IMPLEMENTED); \
        extend_bytes(INDEX_##name, a); \
        uint64_t result = INVOKE_##count(entry); \
        if (WIDE_##type) a[RESULT_WORD] = result; \
        return (NTSTATUS)result; \
    }
NTLPC_PORT_CALLS(ROW)
#undef ROW

static NTSTATUS (*const unix_functions[])(uint64_t *arguments) = {
#define ROW(type, name, parameters, arguments, count) unix_##name,
    NTLPC_PORT_CALLS(ROW)
#undef ROW
    helper_body,
    worker_body,
};

static const struct { const char *name; bool wide; } calls[] = {
#define ROW(type, name, parameters, arguments, count) { #name, WIDE_##type },
    NTLPC_PORT_CALLS(ROW)
#undef ROW
    { NULL, false },
};

#define HELPER_INDEX PORT_CALL_COUNT
#define WORKER_INDEX (PORT_CALL_COUNT + 1)

uint32_t stubs_count(void) { return PORT_CALL_COUNT; }
const char *stubs_name(uint32_t index) { return calls[index].name; }

/* ---- The Windows side ---- */

static const uint8_t narrow_begin[] = {
    0x48, 0x89, 0x4c, 0x24, 0x08,                               /* movq %rcx, 8(%rsp) */
    0x48, 0x89, 0x54, 0x24, 0x10,                               /* movq %rdx, 16(%rsp) */
    0x4c, 0x89, 0x44, 0x24, 0x18,                               /* movq %r8, 24(%rsp) */
    0x4c, 0x89, 0x4c, 0x24, 0x20,                               /* movq %r9, 32(%rsp) */
};
static const uint8_t wide_begin[] = {
    0x48, 0x89, 0x4c, 0x24, 0x08,                               /* movq %rcx, 8(%rsp) */
    0x48, 0x89, 0x54, 0x24, 0x10,                               /* movq %rdx, 16(%rsp) */
    0x48, 0xc7, 0x44, 0x24, 0x20, 0x00, 0x00, 0x00, 0x00,       /* movq $0, 32(%rsp) */
};
static const uint8_t load_arguments[] = { 0x4c, 0x8d, 0x44, 0x24, 0x08 };   /* leaq 8(%rsp), %r8: the array */
static const uint8_t load_index[] = { 0xba };                   /* movl $index, %edx */
static const uint8_t load_functions[] = { 0x48, 0xb9 };         /* movabsq $functions, %rcx */
static const uint8_t jump[] = { 0xff, 0x25 };                   /* jmp *dispatcher(%rip) */
static const uint8_t call[] = { 0xff, 0x15 };                   /* call *dispatcher(%rip) */
static const uint8_t wide_end[] = {
    0x48, 0x8b, 0x44, 0x24, 0x20,                               /* movq 32(%rsp), %rax */
    0xc3,                                                       /* ret */
};

static uint8_t *put(uint8_t *at, const void *bytes, size_t count) {
    memcpy(at, bytes, count);
    return at + count;
}

static bool write_stub(uint8_t *at, uint32_t index, const uint8_t *dispatcher) {
    uint8_t *next = at;
    uint64_t functions = (uint64_t)(uintptr_t)unix_functions;
    bool wide = calls[index].wide;
    next = wide ? put(next, wide_begin, sizeof wide_begin) : put(next, narrow_begin, sizeof narrow_begin);
    next = put(next, load_arguments, sizeof load_arguments);
    next = put(next, load_index, sizeof load_index);
    next = put(next, &index, sizeof index);
    next = put(next, load_functions, sizeof load_functions);
    next = put(next, &functions, sizeof functions);
    next = wide ? put(next, call, sizeof call) : put(next, jump, sizeof jump);
    int64_t distance = dispatcher - (next + 4);
    int32_t displacement = (int32_t)distance;
    if (displacement != distance) return false;
    next = put(next, &displacement, sizeof displacement);
    if (wide) next = put(next, wide_end, sizeof wide_end);
    memset(next, 0xcc, STUB_SIZE - (size_t)(next - at));        /* int3 */
    return true;
}

static uint8_t *helper_stub;
uint8_t *stubs_helper(void) { return helper_stub; }

size_t stubs_size(void) { return WORKER_INDEX * STUB_SIZE + worker_code_size(); }

bool stubs_write(uint8_t *at, const uint8_t *dispatcher, void *add_function_table) {
    for (uint32_t i = 0; i < WORKER_INDEX; i++)
        if (!write_stub(at + i * STUB_SIZE, i, dispatcher)) return false;
    helper_stub = at + HELPER_INDEX * STUB_SIZE;
    worker_code_write(at + WORKER_INDEX * STUB_SIZE, unix_functions, WORKER_INDEX, dispatcher, add_function_table);
    return true;
}

#endif
