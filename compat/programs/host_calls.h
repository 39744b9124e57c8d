/* The calls beside the port calls that programs here use: sections, files, completion ports, processes, tokens. They are the
 * system's under Windows and libntlpc's natively, and are looked for by name, so that a world that lacks one fails what needs it
 * and nothing else. */
#ifndef HOST_CALLS_H
#define HOST_CALLS_H

#include "portability.h"

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
/* The function of that name in ntdll, or natively in libntlpc; NULL when there is none. */
void *find_call(const char *name);

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

unsigned long own_thread_id(void);
/* Takes the calling thread's token away again. */
void stop_impersonating(void);
/* True when memory there can be read, written. */
int can_read(const void *address);
int can_write(void *address);
/* Memory of at least `size` bytes, page aligned: protection 0 none, 1 read, 2 read and write. Lives as long as the process. */
void *pages(size_t size, int protection);
void free_pages(void *base, size_t size);
/* Of memory from pages: can be read and written from now on. */
void make_writable(void *base, size_t size);

#endif
