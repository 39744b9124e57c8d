/* Environment variables that the hot paths look at, as plain words: a call must not pay for asking. */
#include "linux_shims.h"
#include <stdlib.h>
#include <string.h>

uint32_t ntlpc_trace_mask;
int64_t ntlpc_spin_nanoseconds = 50000;     /* about one wake across processors of a virtual machine */

static uint32_t trace_bit(const char *name, size_t length) {
    static const struct { const char *name; uint32_t bit; } names[] = {
        { "calls", 1 }, { "ports", 2 }, { "transport", 4 }, { "wine", 8 }, { "all", ~0u }, { "1", ~0u },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == length && !memcmp(names[i].name, name, length)) return names[i].bit;
    return 0;
}

__attribute__((constructor)) static void read_settings(void) {
    const char *trace = getenv("NTLPC_TRACE"), *spin = getenv("NTLPC_SPIN");
    while (trace && *trace) {
        size_t length = strcspn(trace, ",");
        ntlpc_trace_mask |= trace_bit(trace, length);
        trace += length + (trace[length] == ',');
    }
    if (spin && !strcmp(spin, "always")) {
        ntlpc_spin_nanoseconds = -1;
    } else if (spin && *spin) {
        char *end;
        long microseconds = strtol(spin, &end, 10);
        if (!*end && microseconds >= 0) ntlpc_spin_nanoseconds = (microseconds > 10000 ? 10000 : microseconds) * 1000;
    }
}
