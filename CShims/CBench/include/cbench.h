/* The timed loops of `ntlpctl bench`: one side answers, the other sends and notes what each round trip took. In C, so that
 * nothing but the measured thing runs between two readings of the clock.
 *
 * Samples are in ticks of cbench_ticks; a run also returns its length in ticks and nanoseconds, which gives the scale. */
#ifndef CBENCH_H
#define CBENCH_H

#include <ntlpc/ntlpcapi.h>
#include <ntlpc/ntlpcfuncs.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cbench_run {
    uint64_t *_Nullable samples;    /* room for `capacity`; filled from the front */
    size_t capacity;
    size_t count;
    uint64_t duration_ns;           /* in: when to stop; the first tenth is not recorded */
    uint64_t elapsed_ns;            /* out: of the recorded part */
    uint64_t elapsed_ticks;
} cbench_run;

/* What both sides of the shared-memory loops map: this many bytes, zero at first. */
#define CBENCH_PAGE_SIZE 4096u

/* Raw futex ping-pong: the limit of anything that blocks. No data is carried. */
void cbench_futex_serve(void *_Nonnull page);
void cbench_futex_run(void *_Nonnull page, cbench_run *_Nonnull run);
/* Raw spinning: the limit when both sides run on CPUs of their own. */
void cbench_spin_serve(void *_Nonnull page);
void cbench_spin_run(void *_Nonnull page, cbench_run *_Nonnull run);

/* A SEQPACKET socket that carries the data. 0, or -errno. */
int cbench_socket_serve(int socket, size_t payload);
int cbench_socket_run(int socket, size_t payload, cbench_run *_Nonnull run);

/* The port calls, from libntlpc.so by dlsym. */
typedef struct cbench_calls {
    NTSTATUS (*_Nullable create)(PHANDLE _Nonnull, POBJECT_ATTRIBUTES _Nullable, PALPC_PORT_ATTRIBUTES _Nullable);
    NTSTATUS (*_Nullable connect)(PHANDLE _Nonnull, PUNICODE_STRING _Nonnull, POBJECT_ATTRIBUTES _Nullable, PALPC_PORT_ATTRIBUTES _Nullable,
                                 ULONG, PSID _Nullable, PPORT_MESSAGE _Nullable, PSIZE_T _Nullable, PALPC_MESSAGE_ATTRIBUTES _Nullable,
                                 PALPC_MESSAGE_ATTRIBUTES _Nullable, PLARGE_INTEGER _Nullable);
    NTSTATUS (*_Nullable accept)(PHANDLE _Nonnull, HANDLE _Nullable, ULONG, POBJECT_ATTRIBUTES _Nullable, PALPC_PORT_ATTRIBUTES _Nullable,
                                PVOID _Nullable, PPORT_MESSAGE _Nonnull, PALPC_MESSAGE_ATTRIBUTES _Nullable, BOOLEAN);
    NTSTATUS (*_Nullable exchange)(HANDLE _Nullable, ULONG, PPORT_MESSAGE _Nullable, PALPC_MESSAGE_ATTRIBUTES _Nullable,
                                  PPORT_MESSAGE _Nullable, PSIZE_T _Nullable, PALPC_MESSAGE_ATTRIBUTES _Nullable, PLARGE_INTEGER _Nullable);
    NTSTATUS (*_Nullable close)(HANDLE _Nullable);
} cbench_calls;

/* Finds them in a library opened with dlopen. Returns the name of the first that is missing, else NULL. */
const char *_Nullable cbench_find_calls(void *_Nonnull library, cbench_calls *_Nonnull calls);

/* Largest payload of the benchmark. */
#define CBENCH_MAX_PAYLOAD 60000u

/* Creates the port, calls `ready`, serves until the first client closes. `name` is ASCII. Returns the first bad status. */
NTSTATUS cbench_port_serve(const cbench_calls *_Nonnull calls, const char *_Nonnull name, void (*_Nonnull ready)(void));
NTSTATUS cbench_port_run(const cbench_calls *_Nonnull calls, const char *_Nonnull name, size_t payload, cbench_run *_Nonnull run);

/* The CPUs that this process may use, in order; returns how many there are, or -errno. */
int cbench_usable_cpus(int *_Nonnull cpus, int capacity);
/* Binds the calling thread, and what it starts, to one CPU; to all for -1. 0, or -errno. */
int cbench_bind_cpu(int cpu);
/* Ends this process when its parent ends. */
void cbench_die_with_parent(void);

#endif
