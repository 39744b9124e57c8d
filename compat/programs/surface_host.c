/* Objects, identities and processes for the checks. See surface_host.h. */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "surface.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#endif

/* ---- What is taken down ---- */

#define KEPT 64
static struct { void *base; size_t size; } regions[KEPT];   /* size 0: a view of a section */
static unsigned region_count;

static void keep_region(void *base, size_t size)
{
    if (region_count == KEPT) give_up(__FILE__, __LINE__, "too many regions");
    regions[region_count].base = base;
    regions[region_count++].size = size;
}

void take_down_host(void)
{
    while (region_count) {
        region_count--;
        if (regions[region_count].size) free_pages(regions[region_count].base, regions[region_count].size);
        else host.unmap_view(NtCurrentProcess(), regions[region_count].base);
    }
}

/* ---- Objects ---- */

HANDLE new_event(int signaled)
{
    HANDLE event = NULL;
    NEED(create_event);
    EXPECT(host.create_event(&event, EVENT_ALL_ACCESS, NULL, SynchronizationEvent, (BOOLEAN)signaled), STATUS_SUCCESS);
    return keep(event);
}

HANDLE new_section(size_t size)
{
    HANDLE section = NULL;
    LARGE_INTEGER maximum = { .QuadPart = (long long)size };
    NEED(create_section);
    EXPECT(host.create_section(&section, SECTION_ALL_ACCESS, NULL, &maximum, PAGE_READWRITE, SEC_COMMIT, NULL), STATUS_SUCCESS);
    return keep(section);
}

void *map_section(HANDLE section, size_t size, int writable)
{
    void *base = NULL;
    SIZE_T length = size;
    NEED(map_view);
    NEED(unmap_view);
    EXPECT(host.map_view(section, NtCurrentProcess(), &base, 0, 0, NULL, &length, 2 /* ViewUnmap */, 0, writable ? PAGE_READWRITE : PAGE_READONLY),
           STATUS_SUCCESS);
    keep_region(base, 0);
    return base;
}

HANDLE new_completion_port(void)
{
    HANDLE port = NULL;
    NEED(create_completion);
    NEED(remove_completion);
    EXPECT(host.create_completion(&port, 0x1f0003, NULL, 0), STATUS_SUCCESS);
    return keep(port);
}

NTSTATUS next_packet(HANDLE port, struct packet *packet, int poll)
{
    LARGE_INTEGER timeout = { .QuadPart = poll ? 0 : -20ll * 10000000 };
    IO_STATUS_BLOCK block;
    NTSTATUS status;

    memset(packet, 0, sizeof *packet);
    memset(&block, 0, sizeof block);
    NEED(remove_completion);
    guard_progress();
    status = host.remove_completion(port, &packet->key, &packet->context, &block, &timeout);
    guard_progress();
    packet->status = block.Status;
    packet->information = block.Information;
    return status;
}

/* ---- Files ---- */

#ifdef _WIN32

HANDLE new_file(const char *text)
{
    char directory[MAX_PATH], path[MAX_PATH];
    HANDLE file;

    if (!GetTempPathA(sizeof directory, directory) || !GetTempFileNameA(directory, "ntl", 0, path)) give_up(__FILE__, __LINE__, "no temporary file");
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, CREATE_ALWAYS,
                       FILE_FLAG_DELETE_ON_CLOSE, NULL);
    if (file == INVALID_HANDLE_VALUE) give_up(__FILE__, __LINE__, "no temporary file: error %lu", GetLastError());
    keep(file);
    HOLDS(write_file(file, text));
    return file;
}

int read_file(HANDLE file, char *text, size_t size)
{
    DWORD count = 0;
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    if (!ReadFile(file, text, (DWORD)(size - 1), &count, NULL)) return 0;
    text[count] = 0;
    return 1;
}

int write_file(HANDLE file, const char *text)
{
    DWORD count = 0;
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    return WriteFile(file, text, (DWORD)strlen(text), &count, NULL) && count == strlen(text);
}

#else

/* The library's way between descriptors and handles; declared in ntlpc_host.h. */
static NTSTATUS handle_of(int descriptor, HANDLE *handle)
{
    NTSTATUS (*convert)(int, ACCESS_MASK, ULONG, HANDLE *);
    *(void **)&convert = find_call("ntlpc_descriptor_to_handle");
    if (!convert) give_up(__FILE__, __LINE__, "there is no ntlpc_descriptor_to_handle");
    return convert(descriptor, GENERIC_READ | GENERIC_WRITE, 0, handle);
}

static int descriptor_of(HANDLE handle, ACCESS_MASK access)
{
    NTSTATUS (*convert)(HANDLE, ACCESS_MASK, int *);
    int descriptor = -1;
    *(void **)&convert = find_call("ntlpc_handle_to_descriptor");
    if (!convert) give_up(__FILE__, __LINE__, "there is no ntlpc_handle_to_descriptor");
    return convert(handle, access, &descriptor) == STATUS_SUCCESS ? descriptor : -1;
}

HANDLE new_file(const char *text)
{
    char path[] = "/tmp/ntlpc-surface-XXXXXX";
    HANDLE file = NULL;
    int descriptor = mkostemp(path, O_CLOEXEC);

    if (descriptor < 0) give_up(__FILE__, __LINE__, "no temporary file: error %d", errno);
    unlink(path);
    if (pwrite(descriptor, text, strlen(text), 0) != (ssize_t)strlen(text)) give_up(__FILE__, __LINE__, "cannot write the temporary file");
    EXPECT(handle_of(descriptor, &file), STATUS_SUCCESS);
    close(descriptor);
    return keep(file);
}

int read_file(HANDLE file, char *text, size_t size)
{
    int descriptor = descriptor_of(file, 0x1 /* FILE_READ_DATA */);
    ssize_t count = descriptor < 0 ? -1 : pread(descriptor, text, size - 1, 0);

    if (descriptor >= 0) close(descriptor);
    text[count < 0 ? 0 : count] = 0;
    return count >= 0;
}

int write_file(HANDLE file, const char *text)
{
    int descriptor = descriptor_of(file, 0x2 /* FILE_WRITE_DATA */);
    ssize_t count = descriptor < 0 ? -1 : pwrite(descriptor, text, strlen(text), 0);

    if (descriptor >= 0) close(descriptor);
    return count == (ssize_t)strlen(text);
}

#endif

/* ---- Who is who ---- */

struct basic_process { NTSTATUS exit_status; PVOID peb; ULONG_PTR affinity; LONG priority; ULONG_PTR process, parent; };
struct basic_thread { NTSTATUS exit_status; PVOID teb; CLIENT_ID client; ULONG_PTR affinity; LONG priority, base_priority; };

unsigned long long process_of(HANDLE process)
{
    struct basic_process information;
    memset(&information, 0, sizeof information);
    NEED(query_process);
    EXPECT(host.query_process(process, 0, &information, sizeof information, NULL), STATUS_SUCCESS);
    return information.process;
}

unsigned long long thread_of(HANDLE thread)
{
    struct basic_thread information;
    memset(&information, 0, sizeof information);
    NEED(query_thread);
    EXPECT(host.query_thread(thread, 0, &information, sizeof information, NULL), STATUS_SUCCESS);
    return (uintptr_t)information.client.UniqueThread;
}

unsigned own_sid(unsigned char *sid, unsigned capacity)
{
#ifdef _WIN32
    union { struct { unsigned char *sid; ULONG attributes; } user; unsigned char bytes[200]; } buffer;
    HANDLE token = NULL;
    ULONG length = 0;
    unsigned size;

    NEED(open_process_token);
    NEED(query_token);
    EXPECT(host.open_process_token(NtCurrentProcess(), 8 /* TOKEN_QUERY */, &token), STATUS_SUCCESS);
    keep(token);
    EXPECT(host.query_token(token, 1 /* TokenUser */, &buffer, sizeof buffer, &length), STATUS_SUCCESS);
    size = 8u + 4u * buffer.user.sid[1];
    if (size > capacity) return 0;
    memcpy(sid, buffer.user.sid, size);
    return size;
#else
    /* Natively the user with the number n is S-1-22-1-n. */
    const ULONG parts[2] = { 1, getuid() };
    if (capacity < 16) return 0;
    memcpy(sid, "\1\2\0\0\0\0\0\26", 8);
    memcpy(sid + 8, parts, sizeof parts);
    return 16;
#endif
}

int impersonation_level(void)
{
    HANDLE token = NULL;
    ULONG level = 0, length = 0;
    NTSTATUS status;

    if (!host.open_thread_token || !host.query_token) return -2;
    status = host.open_thread_token(NtCurrentThread(), 8 /* TOKEN_QUERY */, TRUE, &token);
    if (status == (NTSTATUS)0xC000007C /* STATUS_NO_TOKEN */) return -1;
    /* The token of an anonymous client cannot be opened: STATUS_CANT_OPEN_ANONYMOUS */
    if (status == (NTSTATUS)0xC00000A6) return 0;
    EXPECT(status, STATUS_SUCCESS);
    keep(token);
    EXPECT(host.query_token(token, 9 /* TokenImpersonationLevel */, &level, sizeof level, &length), STATUS_SUCCESS);
    shut(token);
    return (int)level;
}

/* ---- Memory ---- */

unsigned char *allocate_region(size_t size)
{
    unsigned char *base = pages(size, 2);
    if (!base) give_up(__FILE__, __LINE__, "no memory");
    keep_region(base, size);
    return base;
}
