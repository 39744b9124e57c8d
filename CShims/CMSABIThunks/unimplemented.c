/* The calls that are not implemented yet: known, exported, and honest about it.
 *
 * Each answers the failure value of its return type. The first call of each name is worth a line to whoever looks for the
 * reason why a program fails, but only to them: NTLPC_TRACE or NTLPC_LOG must be set. */
#include <ntlpc/ntlpc_calls.h>
#include "ms_abi_thunks.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ntlpc_note_unimplemented(const char *name, int *noted) {
    /* ORDER: relaxed. Only who is first matters, nothing is published. */
    if (__atomic_exchange_n(noted, 1, __ATOMIC_RELAXED)) return;
    if (!getenv("NTLPC_TRACE") && !getenv("NTLPC_LOG")) return;

    static const char before[] = "ntlpc: ", after[] = " is not implemented\n";
    char line[128];
    size_t length = strlen(name), limit = sizeof line - sizeof before - sizeof after;
    if (length > limit) length = limit;
    memcpy(line, before, sizeof before - 1);
    memcpy(line + sizeof before - 1, name, length);
    memcpy(line + sizeof before - 1 + length, after, sizeof after - 1);
    length += sizeof before - 1 + sizeof after - 1;

    /* One write, so that lines of several threads do not mix; errno is the program's. */
    int saved = errno;
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written;
    errno = saved;
}

#define UNUSED_ARGUMENTS _Pragma("GCC diagnostic ignored \"-Wunused-parameter\"")
UNUSED_ARGUMENTS

#define STUB(ReturnType, Name, Parameters, Arguments, Count) \
    __attribute__((weak, visibility("default"))) ReturnType NTAPI Name Parameters { \
        static int noted; \
        ntlpc_note_unimplemented(#Name, &noted); \
        NTLPC_FAIL_##ReturnType; \
    }
NTLPC_UNIMPLEMENTED_CALLS(STUB)
#undef STUB
