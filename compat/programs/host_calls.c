/* Host calls by name, memory and threads for both worlds. See host_calls.h. */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "host_calls.h"
#include <ntlpc/ntobject.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

struct host_calls host;

void *find_call(const char *name)
{
#ifdef _WIN32
    return (void *)(uintptr_t)GetProcAddress(GetModuleHandleA("ntdll.dll"), name);
#else
    return dlsym(RTLD_DEFAULT, name);
#endif
}

void find_host_calls(void)
{
#define FIND(field, name, parameters) *(void **)&host.field = find_call(name);
    HOST_CALLS(FIND)
#undef FIND
}

unsigned long own_thread_id(void)
{
#ifdef _WIN32
    return GetCurrentThreadId();
#else
    return (unsigned long)syscall(SYS_gettid);
#endif
}

void stop_impersonating(void)
{
    HANDLE none = NULL;
    if (host.set_thread) host.set_thread(NtCurrentThread(), 5 /* ThreadImpersonationToken */, &none, sizeof none);
}

/* ---- Memory ---- */

#ifdef _WIN32

/* By trying: memory that a port call has mapped need not be known to VirtualQuery. */
int can_read(const void *address) { return !IsBadReadPtr(address, 1); }
int can_write(void *address) { return !IsBadWritePtr(address, 1); }

void *pages(size_t size, int protection)
{
    return VirtualAlloc(NULL, size, MEM_COMMIT | MEM_RESERVE, protection == 0 ? PAGE_NOACCESS : protection == 1 ? PAGE_READONLY : PAGE_READWRITE);
}

#else

int can_read(const void *address)
{
    char byte;
    struct iovec here = { &byte, 1 }, there = { (void *)address, 1 };
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

int can_write(void *address)
{
    char byte;
    struct iovec here = { &byte, 1 }, there = { address, 1 };
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1 && process_vm_writev(getpid(), &here, 1, &there, 1, 0) == 1;
}

void *pages(size_t size, int protection)
{
    void *base = mmap(NULL, size, protection == 0 ? PROT_NONE : protection == 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

#endif

void free_pages(void *base, size_t size)
{
#ifdef _WIN32
    (void)size;
    VirtualFree(base, 0, MEM_RELEASE);
#else
    munmap(base, size);
#endif
}

void make_writable(void *base, size_t size)
{
#ifdef _WIN32
    DWORD old;
    VirtualProtect(base, size, PAGE_READWRITE, &old);
#else
    mprotect(base, size, PROT_READ | PROT_WRITE);
#endif
}
