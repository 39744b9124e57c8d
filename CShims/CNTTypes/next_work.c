/* Stands in for ntlpc_next_work where the calls are not linked: no pool, no work. */
#include <ntlpc/ntlpc_host.h>

__attribute__((weak)) BOOLEAN ntlpc_next_work(PVOID Pool, NTLPC_WORK *Work) {
    (void)Pool;
    (void)Work;
    return FALSE;
}
