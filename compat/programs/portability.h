/* The little that differs between the two worlds these programs are built for: Windows (and so Wine), where the port calls come
 * from ntdll, and Linux, where they come from libntlpc. Everything else in this directory is the same text for both. */
#ifndef PORTABILITY_H
#define PORTABILITY_H

/* Structures and prototypes of the port calls; on Windows it includes windows.h and winternl.h. */
#include <ntlpc/ntlpcapi.h>
#include <ntlpc/ntstatus.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

typedef void (*thread_body)(void *argument);
typedef struct thread *thread_handle;

/* Threads; a failure to start one ends the program with a message. */
thread_handle thread_start(thread_body body, void *argument);
void thread_join(thread_handle thread);
void sleep_ms(unsigned milliseconds);
/* A clock that never goes back, in nanoseconds (steps of 100 ns on Windows). */
uint64_t clock_ns(void);
/* Process id as the programs of this world know it. */
unsigned long own_process_id(void);
/* Ends the process at once, without running anything. */
void exit_now(int code);
/* Makes standard output and error pass bytes as they are. */
void use_plain_output(void);

#endif
