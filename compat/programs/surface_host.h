/* What the checks build from the host's calls: events, sections, files, packets, identities, a second process. */
#ifndef SURFACE_HOST_H
#define SURFACE_HOST_H

#include "host_calls.h"

HANDLE new_event(int signaled);                     /* synchronization event; kept */
HANDLE new_section(size_t size);                    /* page-file backed, read and write; kept */
HANDLE new_completion_port(void);                   /* kept */
/* The next packet. STATUS_TIMEOUT when there is none (poll), or none for the guard's time. */
struct packet { PVOID key, context; NTSTATUS status; ULONG_PTR information; };
NTSTATUS next_packet(HANDLE port, struct packet *packet, int poll);
void *map_section(HANDLE section, size_t size, int writable);   /* unmapped after the check */
/* A file with that text, as a handle that can be read and written; kept. */
HANDLE new_file(const char *text);
/* What the file holds, from its start, at most size - 1 bytes and a NUL. FALSE when the handle cannot be read. */
int read_file(HANDLE file, char *text, size_t size);
int write_file(HANDLE file, const char *text);      /* at its start */
/* The process and thread a handle names; 0 when it names none. */
unsigned long long process_of(HANDLE process);
unsigned long long thread_of(HANDLE thread);
/* The SID of this process's user. Its length, 0 when it cannot be had. */
unsigned own_sid(unsigned char *sid, unsigned capacity);
/* The level at which the calling thread impersonates; -1: it does not; -2: this world cannot tell. */
int impersonation_level(void);
unsigned char *allocate_region(size_t size);        /* page aligned, for a completion list; freed after the check */
void take_down_host(void);
#endif
