/* The calls beside the port calls that the checks use: sections, files, completion ports, processes, tokens. They are the
 * system's under Windows and libntlpc's natively, and are looked for by name, so that a world that lacks one fails the checks that
 * need it and no others. */
#ifndef SURFACE_HOST_H
#define SURFACE_HOST_H

#include "portability.h"

struct surface_process;

#define HOST_CALLS(X) \
    X(create_section, "NtCreateSection", (PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES, PLARGE_INTEGER, ULONG, ULONG, HANDLE)) \
    X(map_view, "NtMapViewOfSection", (HANDLE, HANDLE, PVOID *, ULONG_PTR, SIZE_T, PLARGE_INTEGER, PSIZE_T, ULONG, ULONG, ULONG)) \
    X(unmap_view, "NtUnmapViewOfSection", (HANDLE, PVOID)) \
    X(create_completion, "NtCreateIoCompletion", (PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES, ULONG)) \
    X(set_completion, "NtSetIoCompletion", (HANDLE, ULONG_PTR, ULONG_PTR, NTSTATUS, ULONG_PTR)) \
    X(remove_completion, "NtRemoveIoCompletion", (HANDLE, PVOID *, PVOID *, PIO_STATUS_BLOCK, PLARGE_INTEGER)) \
    X(remove_completions, "NtRemoveIoCompletionEx", (HANDLE, PFILE_IO_COMPLETION_INFORMATION, ULONG, PULONG, PLARGE_INTEGER, BOOLEAN)) \
    X(create_packet, "NtCreateWaitCompletionPacket", (PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES)) \
    X(associate_packet, "NtAssociateWaitCompletionPacket", (HANDLE, HANDLE, HANDLE, PVOID, PVOID, NTSTATUS, ULONG_PTR, PBOOLEAN)) \
    X(cancel_packet, "NtCancelWaitCompletionPacket", (HANDLE, BOOLEAN)) \
    X(create_event, "NtCreateEvent", (PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES, ULONG, BOOLEAN)) \
    X(set_event, "NtSetEvent", (HANDLE, PLONG)) \
    X(reset_event, "NtResetEvent", (HANDLE, PLONG)) \
    X(duplicate, "NtDuplicateObject", (HANDLE, HANDLE, HANDLE, PHANDLE, ACCESS_MASK, ULONG, ULONG)) \
    X(query_object, "NtQueryObject", (HANDLE, ULONG, PVOID, ULONG, PULONG)) \
    X(wait_many, "NtWaitForMultipleObjects", (ULONG, HANDLE *, ULONG, BOOLEAN, PLARGE_INTEGER)) \
    X(create_directory, "NtCreateDirectoryObject", (PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES)) \
    X(query_process, "NtQueryInformationProcess", (HANDLE, ULONG, PVOID, ULONG, PULONG)) \
    X(query_thread, "NtQueryInformationThread", (HANDLE, ULONG, PVOID, ULONG, PULONG)) \
    X(set_thread, "NtSetInformationThread", (HANDLE, ULONG, PVOID, ULONG)) \
    X(open_process_token, "NtOpenProcessToken", (HANDLE, ACCESS_MASK, PHANDLE)) \
    X(open_thread_token, "NtOpenThreadToken", (HANDLE, ACCESS_MASK, BOOLEAN, PHANDLE)) \
    X(query_token, "NtQueryInformationToken", (HANDLE, ULONG, PVOID, ULONG, PULONG)) \
    X(queue_apc, "NtQueueApcThread", (HANDLE, PVOID, PVOID, PVOID, PVOID)) \
    X(get_ticket, "RtlGetThreadWorkOnBehalfTicket", (PRTL_WORK_ON_BEHALF_TICKET_EX, ULONG)) \
    X(set_ticket, "RtlSetThreadWorkOnBehalfTicket", (PALPC_WORK_ON_BEHALF_TICKET)) \
    X(clear_ticket, "RtlClearThreadWorkOnBehalfTicket", (void))

struct host_calls {
#define HOST_FIELD(field, name, parameters) NTSTATUS (NTAPI *field) parameters;
    HOST_CALLS(HOST_FIELD)
#undef HOST_FIELD
};
extern struct host_calls host;
void find_host_calls(void);

#ifndef SECTION_MAP_WRITE
#define SECTION_QUERY       0x0001u
#define SECTION_MAP_WRITE   0x0002u
#define SECTION_MAP_READ    0x0004u
#endif
#ifndef SECTION_ALL_ACCESS
#define SECTION_ALL_ACCESS  0x000f001fu
#endif
#ifndef PAGE_READONLY
#define PAGE_READONLY       0x02u
#define PAGE_READWRITE      0x04u
#endif
#ifndef SEC_COMMIT
#define SEC_COMMIT          0x08000000u
#endif
#ifndef PROCESS_QUERY_INFORMATION
#define PROCESS_QUERY_INFORMATION 0x0400u
#endif
#ifndef THREAD_QUERY_INFORMATION
#define THREAD_QUERY_INFORMATION  0x0040u
#endif

/* True when the program runs on Windows' own ports or on ntlpc under Wine. */
#ifdef _WIN32
#define ON_WINDOWS 1
#else
#define ON_WINDOWS 0
#endif

/* ---- Built from them ---- */

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
unsigned long own_thread_id(void);
/* The SID of this process's user. Its length, 0 when it cannot be had. */
unsigned own_sid(unsigned char *sid, unsigned capacity);
/* The level at which the calling thread impersonates; -1: it does not; -2: this world cannot tell. */
int impersonation_level(void);
void stop_impersonating(void);
/* True when memory there can be read. */
int can_read(const void *address);
int can_write(void *address);
/* Memory of at least `size` bytes, page aligned: protection 0 none, 1 read, 2 read and write. Lives as long as the process. */
void *pages(size_t size, int protection);
unsigned char *allocate_region(size_t size);        /* page aligned, for a completion list; freed after the check */
void take_down_host(void);
/* Starts this program again with these arguments; the output goes where ours goes. */
struct surface_process *start_again(const char *const *arguments);
int wait_for_process(struct surface_process *process);     /* its exit status; the structure is freed */
void end_process(struct surface_process *process);

#endif
