/* ntlpc_ms_<Name>: each call in the Microsoft x64 calling convention.
 *
 * A thunk changes the convention and does nothing else: the compiler moves the arguments, and saves the registers that the
 * Microsoft convention preserves and ours does not (rsi, rdi, xmm6 to xmm15). Swift ignores ms_abi without a word, so this is C. */
#include <ntlpc/ntlpc_msabi.h>

/* The lists of ntlpc_calls.h must agree with the prototypes: each call is declared once more from its list. */
#define DECLARE(ReturnType, Name, Parameters, Arguments, Count) ReturnType NTAPI Name Parameters;
NTLPC_ALL_CALLS(DECLARE)
#undef DECLARE

#define THUNK(ReturnType, Name, Parameters, Arguments, Count) \
    __attribute__((ms_abi, visibility("default"))) ReturnType ntlpc_ms_##Name Parameters { \
        NTLPC_RETURN_##ReturnType(Name Arguments); \
    }
NTLPC_ALL_CALLS(THUNK)
#undef THUNK
