/* Installing the port calls in a Wine process: nothing on disk changes, and no Windows code has run yet.
 *
 * Trigger: Wine's ntdll.so sets up SIGSEGV. By then ntdll.dll is mapped and Wine's table of system calls is registered.
 *
 * What is done, and in this order, so that any doubt on the way leaves Wine as it was:
 *   1. find ntdll.dll in memory and ntdll.so's functions and calling convention (wine_calls.c);
 *   2. find Wine's table of system calls: a dummy table is registered with the interface that Wine has for its own graphics
 *      library, under a number that nobody uses, and looked for in ntdll.so's memory; the wanted table lies three before it;
 *   3. copy the table, with the hooks (hooks.c) in place of the calls they wrap. A call's number is in its ntdll.dll thunk;
 *   4. write stubs and a new export directory (exports.c) just above ntdll.dll;
 *   5. switch: the directory in ntdll.dll's header, then the table.
 * All calls or none: a program must not find half of the calls ours and the other half Wine's. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)

#define UNUSED_TABLE 3u                 /* Wine has 0 for ntdll and 1 for win32u, of 4 */
#define PAGE 0x1000u
#define MEM_COMMIT_RESERVE 0x3000u
#define MEM_RELEASE 0x8000u
#define PAGE_READONLY 0x02u
#define PAGE_READWRITE 0x04u
#define PAGE_EXECUTE_READ 0x20u

typedef struct service_table {
    uintptr_t *functions;
    ULONG *counters;
    uintptr_t limit;
    uint8_t *argument_sizes;
} service_table;

/* ---- Environment and messages ---- */

bool preload_disabled(void) {
    const char *value = getenv("NTLPC_DISABLE");
    return value && *value && strcmp(value, "0");
}

static bool is_traced(void) {
    const char *value = getenv("NTLPC_TRACE");
    while (value && *value) {
        size_t length = strcspn(value, ",");
        if ((length == 4 && !strncmp(value, "wine", 4)) || (length == 3 && !strncmp(value, "all", 3))) return true;
        value += length;
        value += *value == ',';
    }
    return false;
}

static void say(const char *format, va_list arguments) {
    char line[512];
    int start = snprintf(line, sizeof line, "ntlpc: wine: process %d: ", (int)getpid());
    int length = vsnprintf(line + start, sizeof line - (size_t)start - 1, format, arguments);
    size_t end = strnlen(line, sizeof line - 2);
    (void)length;
    line[end] = '\n';
    if (write(STDERR_FILENO, line, end + 1) < 0) { /* nobody to tell */ }
}

void preload_trace(const char *format, ...) {
    va_list arguments;
    if (!is_traced()) return;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void preload_complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

bool preload_directory(char *buffer, size_t size) {
    Dl_info own;
    if (!dladdr((void *)preload_directory, &own) || !own.dli_fname) return false;
    const char *slash = strrchr(own.dli_fname, '/');
    size_t length = slash ? (size_t)(slash - own.dli_fname) + 1 : 0;
    if (length == 0 || length >= size) return false;
    memcpy(buffer, own.dli_fname, length);
    buffer[length] = 0;
    return true;
}

/* ---- Finding Wine's parts ---- */

static bool find_ntdll(pe_image *image) {
    static const char leaf[] = "/ntdll.dll";
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    bool found = false;
    while (maps && !found && (length = getline(&line, &capacity, maps)) > 0) {
        unsigned long begin, offset;
        if (line[length - 1] == '\n') line[--length] = 0;
        if ((size_t)length < sizeof leaf || strcmp(line + length - (sizeof leaf - 1), leaf)) continue;
        if (sscanf(line, "%lx-%*x %*s %lx", &begin, &offset) != 2 || offset != 0) continue;
        /* A 32-bit program's process holds two. */
        found = pe_image_open(image, (uint8_t *)begin);
    }
    free(line);
    if (maps) fclose(maps);
    return found;
}

typedef struct segment { uintptr_t module, begin, end; } segment;

static int find_writable(struct dl_phdr_info *info, size_t size, void *argument) {
    segment *wanted = argument;
    (void)size;
    if (info->dlpi_addr != wanted->module) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_W)) continue;
        wanted->begin = (info->dlpi_addr + header->p_vaddr + 7) & ~(uintptr_t)7;
        wanted->end = info->dlpi_addr + header->p_vaddr + header->p_memsz;
    }
    return 1;
}

static service_table *find_service_table(void *ntdll, uintptr_t module) {
    static uintptr_t functions[1];
    static uint8_t argument_sizes[1];
    service_table dummy = { .functions = functions, .limit = 1, .argument_sizes = argument_sizes };
    struct { void *dispatcher; uint16_t limit; uint8_t argument_sizes[1]; } windows_side = { .limit = 1 };
    segment data = { .module = module };
    NTSTATUS (*register_old)(ULONG, service_table *, void **);
    BOOLEAN (*register_new)(uintptr_t *, ULONG *, ULONG, uint8_t *, ULONG);
    void *old = dlsym(ntdll, "ntdll_init_syscalls"), *new = dlsym(ntdll, "KeAddSystemServiceTable");
    memcpy(&register_old, &old, sizeof old);
    memcpy(&register_new, &new, sizeof new);
    if (register_old) register_old(UNUSED_TABLE, &dummy, (void **)&windows_side);
    else if (register_new) register_new(functions, NULL, 1, argument_sizes, UNUSED_TABLE);
    else return NULL;
    dl_iterate_phdr(find_writable, &data);
    for (uintptr_t at = data.begin; at + sizeof(service_table) <= data.end; at += sizeof(uintptr_t)) {
        service_table *table = (service_table *)at;
        if (table->functions != functions || table->argument_sizes != argument_sizes) continue;
        memset(table, 0, sizeof *table);
        table -= UNUSED_TABLE;
        return (uintptr_t)table >= data.begin && table->functions && table->limit ? table : NULL;
    }
    return NULL;
}

/* ---- The changes ---- */

/* The number of a system call, from its thunk: movq %rcx, %r10; movl $number, %eax. */
static bool service_number(const pe_image *image, const char *name, uintptr_t limit, uint32_t *number) {
    static const uint8_t begin[4] = { 0x4c, 0x8b, 0xd1, 0xb8 };
    const uint8_t *thunk = pe_image_find(image, name);
    if (!thunk || memcmp(thunk, begin, sizeof begin)) return false;
    memcpy(number, thunk + sizeof begin, sizeof *number);
    return *number < limit;
}

static uintptr_t *copy_functions(const pe_image *image, const service_table *table) {
    uint32_t number;
    uintptr_t *copy = malloc(table->limit * sizeof *copy);
    if (!copy) return NULL;
    memcpy(copy, table->functions, table->limit * sizeof *copy);
    for (uint32_t i = 0; i < hooks_count; i++) {
        if (!service_number(image, hooks[i].name, table->limit, &number)) {
            preload_trace("not installed: ntdll.dll's %s is of an unknown kind", hooks[i].name);
            free(copy);
            return NULL;
        }
        copy[number] = (uintptr_t)hooks[i].function[wine_calls_are_sysv];
    }
    /* Only now that nothing can fail: from here on wine_* calls what the hooks replaced. */
    for (uint32_t i = 0; i < hooks_count; i++)
        if (service_number(image, hooks[i].name, table->limit, &number))
            wine_calls_redirect(hooks[i].name, (void *)table->functions[number]);
    return copy;
}

/* Memory above the image that 32-bit offsets from its base reach. */
static uint8_t *allocate_above(const pe_image *image, size_t size) {
    const uintptr_t step = 0x100000, reach = 0xf0000000;
    uintptr_t begin = ((uintptr_t)image->base + image->size + 0xffff) & ~(uintptr_t)0xffff;
    for (uintptr_t at = begin; at + size < (uintptr_t)image->base + reach; at += step) {
        void *memory = (void *)at;
        SIZE_T bytes = size;
        if (wine_NtAllocateVirtualMemory(NtCurrentProcess(), &memory, 0, &bytes, MEM_COMMIT_RESERVE, PAGE_READWRITE) >= 0) return memory;
    }
    return NULL;
}

static NTSTATUS protect(void *at, size_t size, ULONG protection, ULONG *before) {
    SIZE_T bytes = size;
    return wine_NtProtectVirtualMemory(NtCurrentProcess(), &at, &bytes, protection, before);
}

/* One export for each call, and the same code as Zw... for each Nt... */
static pe_export *list_exports(uint32_t stubs_rva, uint32_t *count, char **text) {
    uint32_t calls = stubs_count();
    pe_export *exports = malloc(2 * calls * sizeof *exports);
    size_t room = 0;
    for (uint32_t i = 0; i < calls; i++) room += strlen(stubs_name(i)) + 1;
    char *twin = *text = malloc(room);
    *count = 0;
    if (!exports || !twin) {
        free(exports);
        free(twin);
        return NULL;
    }
    for (uint32_t i = 0; i < calls; i++) {
        const char *name = stubs_name(i);
        uint32_t rva = stubs_rva + i * STUB_SIZE;
        exports[(*count)++] = (pe_export){ name, rva };
        if (strncmp(name, "Nt", 2)) continue;
        size_t length = strlen(name) + 1;
        memcpy(twin, name, length);
        memcpy(twin, "Zw", 2);
        exports[(*count)++] = (pe_export){ twin, rva };
        twin += length;
    }
    return exports;
}

/* Step 4, and the first half of 5. */
static bool extend_exports(const pe_image *image) {
    size_t code_size = (stubs_size() + PAGE - 1) & ~(size_t)(PAGE - 1);
    const uint8_t *dispatcher = pe_image_find(image, "__wine_unix_call_dispatcher");
    uint32_t count, directory_size = 0;
    char *text;
    ULONG before;
    if (!dispatcher) return false;
    pe_export *exports = list_exports(0, &count, &text);
    if (!exports) return false;
    size_t size = (code_size + pe_exports_size(image, exports, count) + PAGE - 1) & ~(size_t)(PAGE - 1);
    uint8_t *memory = allocate_above(image, size);
    bool done = memory != NULL;
    if (done) {
        uint32_t rva = (uint32_t)(memory - image->base);
        done = stubs_write(memory, dispatcher, pe_image_find(image, "RtlAddFunctionTable"));
        for (uint32_t i = 0; i < count; i++) exports[i].rva += rva;
        directory_size = pe_exports_write(image, memory + code_size, exports, count);
        done = done && protect(memory, code_size, PAGE_EXECUTE_READ, &before) >= 0
            && protect(memory + code_size, size - code_size, PAGE_READONLY, &before) >= 0
            && protect(image->export_slot, 8, PAGE_READWRITE, &before) >= 0;
        if (done) {
            image->export_slot[0] = rva + (uint32_t)code_size;
            image->export_slot[1] = directory_size;
            protect(image->export_slot, 8, before, &before);
        } else {
            void *at = memory;
            SIZE_T bytes = 0;
            wine_NtFreeVirtualMemory(NtCurrentProcess(), &at, &bytes, MEM_RELEASE);
        }
    }
    free(exports);
    free(text);
    return done;
}

static bool install(void *ntdll, uintptr_t module) {
    pe_image image;
    service_table *table;
    uintptr_t *functions;
    if (!find_ntdll(&image)) {
        preload_trace("not installed: ntdll.dll is not in memory");
        return false;
    }
    if (!wine_calls_find(ntdll)) return false;
    if (!(table = find_service_table(ntdll, module))) {
        preload_trace("not installed: Wine's table of system calls was not found");
        return false;
    }
    if (!(functions = copy_functions(&image, table))) return false;
    if (!extend_exports(&image)) {
        preload_trace("not installed: no room for the calls near ntdll.dll");
        free(functions);
        return false;
    }
    __atomic_store_n(&table->functions, functions, __ATOMIC_RELEASE);
    return true;
}

void preload_wine_starts(void *address_in_ntdll) {
    static bool tried;
    struct dl_find_object object;
    struct timespec begin, end;
    char path[4096];
    if (tried || _dl_find_object(address_in_ntdll, &object) != 0) return;
    tried = true;
    if (!preload_directory(path, sizeof path - sizeof "libntlpc.so")) return;
    strcat(path, "libntlpc.so");
    if (access(path, R_OK) != 0) {
        preload_complain("%s cannot be read; ports are off", path);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    void *ntdll = dlopen(object.dlfo_link_map->l_name, RTLD_NOLOAD | RTLD_LAZY);
    if (!ntdll) return;
    bool installed = install(ntdll, object.dlfo_link_map->l_addr);
    dlclose(ntdll);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (installed)
        preload_trace("installed: %u calls, %s convention, %ld us", stubs_count(), wine_calls_are_sysv ? "System V" : "Microsoft",
                      (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
}

#endif
