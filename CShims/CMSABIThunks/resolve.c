/* Names to entry points, for loaders: ntlpc_resolve, ntlpc_exports, ntlpc_version.
 *
 * The table is made from the lists of ntlpc_calls.h and sorted by name on first use, since a list keeps the reference's order.
 * "Zw" names are the "Nt" names of the same call, as in ntdll. */
#include <ntlpc/ntlpc_host.h>
#include <ntlpc/ntlpc_msabi.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NTLPC_VERSION "0.1.0"

#define ENTRY(ReturnType, Name, Parameters, Arguments, Count) { #Name, { (void *)Name, (void *)ntlpc_ms_##Name }, Count, TRUE },
static NTLPC_EXPORT exports[] = { NTLPC_ALL_CALLS(ENTRY) };
#define EXPORT_COUNT (sizeof exports / sizeof *exports)

static pthread_once_t sorted = PTHREAD_ONCE_INIT;

static int by_name(const void *left, const void *right) {
    return strcmp(((const NTLPC_EXPORT *)left)->Name, ((const NTLPC_EXPORT *)right)->Name);
}

static void sort(void) { qsort(exports, EXPORT_COUNT, sizeof *exports, by_name); }

__attribute__((visibility("default"))) const NTLPC_EXPORT *ntlpc_exports(ULONG *Count) {
    pthread_once(&sorted, sort);
    if (Count) *Count = (ULONG)EXPORT_COUNT;
    return exports;
}

__attribute__((visibility("default"))) void *ntlpc_resolve(const char *Name, unsigned Abi) {
    if (!Name || Abi > NTLPC_ABI_MS) return NULL;
    pthread_once(&sorted, sort);
    /* Compared as if a leading "Zw" were "Nt". */
    const char *prefix = Name[0] == 'Z' && Name[1] == 'w' ? "Nt" : "";
    const char *rest = Name + strlen(prefix);
    size_t low = 0, high = EXPORT_COUNT;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *candidate = exports[middle].Name;
        int order = strncmp(prefix, candidate, strlen(prefix));
        if (!order) order = strcmp(rest, candidate + strlen(prefix));
        if (!order) return exports[middle].Function[Abi];
        if (order < 0) high = middle; else low = middle + 1;
    }
    return NULL;
}

__attribute__((visibility("default"))) const char *ntlpc_version(void) { return NTLPC_VERSION; }
