/* The public functions of this target are declared in ntlpc/ntlpc_host.h (ntlpc_resolve, ntlpc_exports, ntlpc_version) and
 * ntlpc/ntlpc_msabi.h. Only what its files share is here. */
#ifndef NTLPC_MS_ABI_THUNKS_H
#define NTLPC_MS_ABI_THUNKS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Notes that a program called a function that is not implemented. With NTLPC_TRACE or NTLPC_LOG set, the first note of each
 * name writes one line to standard error. `noted` is the name's own flag, 0 at first. */
void ntlpc_note_unimplemented(const char *name, int *noted);

#ifdef __cplusplus
}
#endif
#endif
