/* Loading libntlpc.so, at the first port call of a process and not before: most Wine processes never make one.
 *
 * The library is the one beside this one, whatever the loader's search path says. It is loaded RTLD_LOCAL, because it
 * exports NtClose and others under the names that Wine's own ntdll.so has.
 *
 * Termination and suspension wait while it loads: a thread that died here would take glibc's loader lock with it. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)

core_library core;
bool core_ready;

static void *(*resolve)(const char *name, unsigned abi);

static bool find_symbol(void *library, const char *name, void *slot) {
    void *found = dlsym(library, name);
    memcpy(slot, &found, sizeof found);
    if (!found) preload_complain("libntlpc.so has no %s: it does not fit this libntlpc-wine.so; ports are off", name);
    return found != NULL;
}

static bool load(void) {
    NTSTATUS (*set_host)(const NTLPC_HOST *host);
    struct dl_find_object object;
    char path[PATH_MAX];
    if (!preload_directory(path, sizeof path - sizeof "libntlpc.so")) return false;
    strcat(path, "libntlpc.so");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        preload_complain("%s; ports are off", dlerror());
        return false;
    }
    if (!find_symbol(library, "ntlpc_set_host", &set_host) || !find_symbol(library, "ntlpc_resolve", &resolve) ||
        !find_symbol(library, "ntlpc_handle_closed", &core.handle_closed) ||
        !find_symbol(library, "ntlpc_handle_duplicated", &core.handle_duplicated) ||
        !find_symbol(library, "ntlpc_handle_is_port", &core.handle_is_port) ||
        !find_symbol(library, "ntlpc_handle_fault_signal", &core.handle_fault_signal) ||
        !find_symbol(library, "ntlpc_handle_thread_signal", &core.handle_thread_signal)) return false;
    void *next_work = dlsym(library, "ntlpc_next_work");
    memcpy(&core.next_work, &next_work, sizeof next_work);
    wine_identity_prepare();
    NTSTATUS status = set_host(&wine_host);
    if (status < 0) {
        preload_complain("libntlpc.so does not take Wine as its host (status %08x); ports are off", (unsigned)status);
        return false;
    }
    if (_dl_find_object((void *)core.handle_fault_signal, &object) == 0) {
        core.code_begin = (uintptr_t)object.dlfo_map_start;
        core.code_end = (uintptr_t)object.dlfo_map_end;
    }
    preload_trace("%s is loaded", path);
    return true;
}

bool core_load(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool failed;
    wine_critical_enter();
    pthread_mutex_lock(&lock);
    if (!core_ready && !failed) {
        if (load()) __atomic_store_n(&core_ready, true, __ATOMIC_RELEASE);
        else failed = true;
    }
    pthread_mutex_unlock(&lock);
    wine_critical_leave();
    return core_ready;
}

void *core_entry(const char *name) { return resolve(name, NTLPC_ABI_SYSV); }

#endif
