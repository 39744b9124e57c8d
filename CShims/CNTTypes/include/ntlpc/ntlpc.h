/* Everything a program needs to use NT ports on Linux: types, statuses, the port calls, handles and waits. */
#ifndef NTLPC_NTLPC_H
#define NTLPC_NTLPC_H

#include <ntlpc/nttypes.h>
#include <ntlpc/ntsecurity.h>
#include <ntlpc/ntstatus.h>
#include <ntlpc/ntobject.h>
#include <ntlpc/ntsection.h>
#include <ntlpc/ntcompletion.h>
#include <ntlpc/ntprocess.h>
#include <ntlpc/ntlpcapi.h>
#include <ntlpc/ntlpcapi32.h>

#endif
