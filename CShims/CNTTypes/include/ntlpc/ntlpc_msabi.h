/* The Microsoft x64 entry points, ntlpc_ms_<Name>, for loaders and emulators that map Windows code into a Linux process.
 * ntlpc_resolve(Name, NTLPC_ABI_MS) gives the same addresses. x86-64 Linux only; not for Swift. */
#ifndef NTLPC_MSABI_H
#define NTLPC_MSABI_H

#include <ntlpc/ntlpc_calls.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NTLPC_DECLARE_MS(ReturnType, Name, Parameters, Arguments, Count) \
    __attribute__((ms_abi)) ReturnType ntlpc_ms_##Name Parameters;
NTLPC_ALL_CALLS(NTLPC_DECLARE_MS)
#undef NTLPC_DECLARE_MS

#ifdef __cplusplus
}
#endif
#endif
