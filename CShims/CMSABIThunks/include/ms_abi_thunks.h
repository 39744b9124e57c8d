/* The public functions of this target are declared in ntlpc/ntlpc_host.h (ntlpc_resolve, ntlpc_exports, ntlpc_version) and
 * ntlpc/ntlpc_msabi.h. This file is here because a target of C has a header. */
