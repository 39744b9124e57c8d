/* Other processes of the same wineserver, and threads, by Wine's numbers. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)

/* ---- The session ----
 *
 * Every process of a wineserver maps one page of the server's at a fixed address, the one where Windows programs read the time. The
 * file behind it is the server's alone for as long as anybody has it, so its device and inode name the server; the environment
 * and the prefix's path do not, because containers may share those and not the server. The boot's number keeps two machines
 * apart whose namespace roots are shared. */

#define USER_SHARED_DATA 0x7ffe0000ul

static uint64_t mix(uint64_t value) {
    value ^= value >> 31;
    value *= 0x9e3779b97f4a7c15u;
    return value ^ value >> 29;
}

static bool find_server_page(uint64_t *device, uint64_t *inode) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    bool found = false;
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long begin, node;
        unsigned major, minor;
        char sharing;
        if (sscanf(line, "%lx-%*x %*c%*c%*c%c %*x %x:%x %lu", &begin, &sharing, &major, &minor, &node) != 5) continue;
        if (begin > USER_SHARED_DATA) break;
        if (begin != USER_SHARED_DATA || sharing != 's' || node == 0) continue;
        *device = (uint64_t)major << 32 | minor;
        *inode = node;
        found = true;
    }
    if (maps) fclose(maps);
    return found;
}

static uint64_t boot_number(void) {
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    uint64_t number = 0;
    int character;
    while (file && (character = fgetc(file)) > '\n') number = mix(number + (uint64_t)character);
    if (file) fclose(file);
    return number;
}

/* 0 when the page is not found: then handles go to no other process. */
ULONGLONG wine_query_session(void) {
    static uint64_t session;
    static bool is_known;
    uint64_t device, inode, found = 0;
    /* ORDER: pairs with the release below. Two threads that both look find the same. */
    if (__atomic_load_n(&is_known, __ATOMIC_ACQUIRE)) return __atomic_load_n(&session, __ATOMIC_RELAXED);
    wine_critical_enter();
    if (find_server_page(&device, &inode)) {
        found = mix(mix(mix(boot_number()) + device) + inode);
        if (!found) found = 1;
    }
    __atomic_store_n(&session, found, __ATOMIC_RELAXED);
    __atomic_store_n(&is_known, true, __ATOMIC_RELEASE);
    wine_critical_leave();
    return found;
}

/* ---- Processes ---- */

static OBJECT_ATTRIBUTES attributes_of_handle(ULONG attributes) {
    return (OBJECT_ATTRIBUTES){ .Length = sizeof(OBJECT_ATTRIBUTES), .Attributes = attributes & OBJ_INHERIT };
}

/* Wine has had both statuses for a number that no process or thread has. */
static NTSTATUS named(NTSTATUS status) { return status == STATUS_INVALID_PARAMETER ? STATUS_INVALID_CID : status; }

NTSTATUS wine_open_process(HANDLE *process, ACCESS_MASK access, ULONG attributes, const CLIENT_ID *id) {
    OBJECT_ATTRIBUTES object = attributes_of_handle(attributes);
    const CLIENT_ID whole = { .UniqueProcess = id->UniqueProcess };
    HANDLE made;
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    helper_stand_in();
    if (id->UniqueThread) {             /* as in NT, a thread that is named too must be one of the process's */
        NTSTATUS status = wine_open_thread(&made, THREAD_QUERY_LIMITED_INFORMATION, 0, id);
        if (status < 0) return status;
        wine_NtClose(made);
    }
    NTSTATUS status = wine_NtOpenProcess(&made, access, &object, &whole);
    if (status >= 0) *process = made;
    return named(status);
}

/* The handle is opened anew each time: a few round trips to the server, and no handle of ours that a program could close. */
NTSTATUS wine_send_handle(HANDLE handle, HANDLE process, ACCESS_MASK access, ULONG attributes, ULONG options, HANDLE *sent) {
    const CLIENT_ID id = { .UniqueProcess = process };
    HANDLE target, made = NULL;
    if (port_handles_contain(handle)) return STATUS_NOT_SUPPORTED;
    wine_critical_enter();
    NTSTATUS status = wine_open_process(&target, PROCESS_DUP_HANDLE, 0, &id);
    if (status >= 0) {
        status = wine_NtDuplicateObject(NtCurrentProcess(), handle, target, &made, access, attributes & OBJ_INHERIT,
                                        options & (DUPLICATE_SAME_ACCESS | DUPLICATE_SAME_ATTRIBUTES));
        wine_NtClose(target);
    }
    wine_critical_leave();
    if (status >= 0) *sent = made;
    return status;
}

/* ---- Threads ---- */

NTSTATUS wine_thread_id(HANDLE thread, CLIENT_ID *id) {
    struct { NTSTATUS exit; PVOID block; CLIENT_ID id; ULONG_PTR affinity; LONG priority, base_priority; } basic;
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    NTSTATUS status = wine_NtQueryInformationThread(thread, ThreadBasicInformation, &basic, sizeof basic, NULL);
    if (status >= 0) *id = basic.id;
    return status;
}

/* Wine looks at the thread's number alone. The process's is compared while a handle keeps the thread's number from being given
 * to another. */
NTSTATUS wine_open_thread(HANDLE *thread, ACCESS_MASK access, ULONG attributes, const CLIENT_ID *id) {
    OBJECT_ATTRIBUTES plain = attributes_of_handle(0), object = attributes_of_handle(attributes);
    CLIENT_ID found;
    HANDLE known, made;
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    helper_stand_in();
    wine_critical_enter();
    NTSTATUS status = wine_NtOpenThread(&known, THREAD_QUERY_LIMITED_INFORMATION, &plain, id);
    if (status >= 0) {
        status = wine_thread_id(known, &found);
        if (status >= 0 && id->UniqueProcess && found.UniqueProcess != id->UniqueProcess) status = STATUS_INVALID_CID;
        if (status >= 0) status = wine_NtOpenThread(&made, access, &object, id);
        wine_NtClose(known);
    }
    wine_critical_leave();
    if (status >= 0) *thread = made;
    return named(status);
}

#endif
