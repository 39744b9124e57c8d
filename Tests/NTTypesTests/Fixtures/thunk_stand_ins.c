/* Stand-ins for the calls that Swift implements; thunk_program.c replaces some of them by its own. */
#include <ntlpc/ntlpc_calls.h>
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define STAND_IN(ReturnType, Name, Parameters, Arguments, Count) \
    __attribute__((weak)) ReturnType NTAPI Name Parameters { NTLPC_FAIL_##ReturnType; }
NTLPC_IMPLEMENTED_CALLS(STAND_IN)
NTLPC_NATIVE_HOST_CALLS(STAND_IN)
