/* Threads, clocks and process ids for both worlds. See portability.h. */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "portability.h"

struct thread {
    thread_body body;
    void *argument;
#ifdef _WIN32
    HANDLE handle;
#else
    unsigned long identifier;
#endif
};

#ifdef _WIN32

#include <fcntl.h>
#include <io.h>

static DWORD WINAPI run_thread(void *argument)
{
    struct thread *thread = argument;
    thread->body(thread->argument);
    return 0;
}

thread_handle thread_start(thread_body body, void *argument)
{
    struct thread *thread = calloc(1, sizeof *thread);
    if (thread) {
        thread->body = body;
        thread->argument = argument;
        thread->handle = CreateThread(NULL, 0, run_thread, thread, 0, NULL);
    }
    if (!thread || !thread->handle) {
        fprintf(stderr, "cannot start a thread: error %lu\n", GetLastError());
        exit_now(1);
    }
    return thread;
}

void thread_join(thread_handle thread)
{
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
    free(thread);
}

void sleep_ms(unsigned milliseconds) { Sleep(milliseconds); }

uint64_t clock_ns(void)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)((double)now.QuadPart * 1e9 / (double)frequency.QuadPart);
}

unsigned long own_process_id(void) { return GetCurrentProcessId(); }
void exit_now(int code) { TerminateProcess(GetCurrentProcess(), (UINT)code); for (;;) Sleep(INFINITE); }

void use_plain_output(void)
{
    _setmode(_fileno(stdout), _O_BINARY);
    _setmode(_fileno(stderr), _O_BINARY);
}

#else

#include <pthread.h>
#include <time.h>
#include <unistd.h>

static void *run_thread(void *argument)
{
    struct thread *thread = argument;
    thread->body(thread->argument);
    return NULL;
}

thread_handle thread_start(thread_body body, void *argument)
{
    struct thread *thread = calloc(1, sizeof *thread);
    pthread_t identifier = 0;
    int error = -1;

    if (thread) {
        thread->body = body;
        thread->argument = argument;
        error = pthread_create(&identifier, NULL, run_thread, thread);
    }
    if (error) {
        fprintf(stderr, "cannot start a thread: error %d\n", error);
        exit_now(1);
    }
    thread->identifier = identifier;
    return thread;
}

void thread_join(thread_handle thread)
{
    pthread_join(thread->identifier, NULL);
    free(thread);
}

void sleep_ms(unsigned milliseconds)
{
    struct timespec rest = { milliseconds / 1000, (long)(milliseconds % 1000) * 1000000 };
    while (nanosleep(&rest, &rest)) { }
}

uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

unsigned long own_process_id(void) { return (unsigned long)getpid(); }
void exit_now(int code) { _exit(code); }
void use_plain_output(void) { }

#endif
