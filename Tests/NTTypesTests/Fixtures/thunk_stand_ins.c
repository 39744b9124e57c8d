/* Stand-ins for the calls that Swift implements; thunk_program.c replaces some of them by its own. */
#include <ntlpc/ntlpc_calls.h>
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* What a stand-in answers, by return type. */
#define NTLPC_FAIL_NTSTATUS                     return STATUS_NOT_IMPLEMENTED
#define NTLPC_FAIL_VOID                         return
#define NTLPC_FAIL_ULONG                        return 0
#define NTLPC_FAIL_SIZE_T                       return 0
#define NTLPC_FAIL_BOOLEAN                      return FALSE
#define NTLPC_FAIL_PVOID                        return NULL
#define NTLPC_FAIL_PPORT_MESSAGE                return NULL
#define NTLPC_FAIL_PALPC_MESSAGE_ATTRIBUTES     return NULL

#define STAND_IN(ReturnType, Name, Parameters, Arguments, Count) \
    __attribute__((weak)) ReturnType NTAPI Name Parameters { NTLPC_FAIL_##ReturnType; }
NTLPC_PORT_CALLS(STAND_IN)
NTLPC_NATIVE_HOST_CALLS(STAND_IN)
