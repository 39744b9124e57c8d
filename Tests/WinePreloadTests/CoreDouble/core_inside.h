/* What the files of the core double share. */
#ifndef CORE_INSIDE_H
#define CORE_INSIDE_H

#include <ntlpc/ntlpcapi.h>
#include <ntlpc/ntlpc_host.h>
#include "core_double.h"

extern const NTLPC_HOST *host;
extern PVOID waitable;                                          /* of the last waitable port, or event that was referenced */
void from_outside(void *(*body)(void *), void *argument);       /* on a thread of its own, to its end */
NTSTATUS use_host(ULONG operation, core_request *request);

NTSTATUS give_to_peer(core_request *request);                   /* peers.c */
NTSTATUS take_from_peer(core_request *request);
NTSTATUS push_work(core_request *request);                      /* workers.c */
NTSTATUS end_workers(void);
NTSTATUS start_worker(void);

#endif
