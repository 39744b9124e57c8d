/* For the Windows programs that look at the preload library from a program's side. Each check prints a line, and the exit code
 * says how many failed. */
#ifndef PROBE_H
#define PROBE_H

#include <ntlpc/ntlpcapi.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "../CoreDouble/core_double.h"

static int failed_checks;

#define CHECK(condition) do { \
        int holds = !!(condition); \
        if (!holds) failed_checks++; \
        printf("%s %s:%d %s\n", holds ? "ok  " : "FAIL", __FILE__, __LINE__, #condition); \
        fflush(stdout); \
    } while (0)

#define FAILS(status, code) ((status) == (NTSTATUS)(code))

static inline NTSTATUS core(enum core_double_operation operation, const void *a, const void *b, const void *c) {
    return NtAlpcSendWaitReceivePort(NULL, operation, (PPORT_MESSAGE)a, NULL, (PPORT_MESSAGE)b, (PSIZE_T)c, NULL, NULL);
}
static inline NTSTATUS use(enum core_double_operation operation, core_request *request) { return core(operation, request, NULL, NULL); }
#define AS_POINTER(number) ((void *)(uintptr_t)(number))

static inline HANDLE make_port(int waitable) {
    HANDLE port = NULL;
    ALPC_PORT_ATTRIBUTES attributes = { 0 };
    CHECK(NtAlpcCreatePort(&port, NULL, waitable ? &attributes : NULL) == STATUS_SUCCESS);
    return port;
}

#endif
