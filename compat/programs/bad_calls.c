/* The calls and their parameters, from the tables of compat. See bad_arguments.h. */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "bad_arguments.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#include <ntlpc/ntlpc_host.h>
#endif

struct call calls[160];
unsigned call_count;

static void copy_text(char *target, size_t size, const char *from, size_t length)
{
    if (length >= size) usage_error("the table has a word that is too long: \"%.*s\"", (int)length, from);
    memcpy(target, from, length);
    target[length] = 0;
}

/* "PULONG Length[out opt]" */
static void read_parameter(struct call *call, const char *text, size_t length)
{
    const char *end = text + length, *mark = memchr(text, '[', length), *space;
    struct parameter *parameter = &call->parameters[call->count];
    const char *last = mark ? mark : end;

    if (call->count == MOST_PARAMETERS) usage_error("%s has too many parameters", call->name);
    for (space = last - 1; space > text && *space != ' '; space--) { }
    copy_text(parameter->type, sizeof parameter->type, text, (size_t)(space - text));
    copy_text(parameter->name, sizeof parameter->name, space + 1, (size_t)(last - space - 1));
    for (const char *at = last; at < end; at++) {
        if (!strncmp(at, "[out", 4)) parameter->marks |= PARAMETER_OUT;
        if (!strncmp(at, "opt", 3)) parameter->marks |= PARAMETER_OPTIONAL;
    }
    call->count++;
}

static void read_row(char *line, const char *kinds)
{
    char *fields[4], kind[20];
    struct call *call = &calls[call_count];

    for (unsigned i = 0; i < 4; i++) {
        fields[i] = line;
        line = strchr(line, ',');
        if (line) *line++ = 0;
        else if (i < 3) return;
    }
    snprintf(kind, sizeof kind, " %s ", fields[1]);
    /* Names in parentheses are types; of the helpers of ntdll only those of ports are ours. */
    if (!strstr(kinds, kind) || strchr(fields[0], '(')) return;
    if (!strcmp(fields[1], "rtl") && strncmp(fields[0], "Alpc", 4)) return;
    if (call_count == sizeof calls / sizeof *calls) usage_error("too many calls");
    memset(call, 0, sizeof *call);
    copy_text(call->name, sizeof call->name, fields[0], strlen(fields[0]));
    copy_text(call->kind, sizeof call->kind, fields[1], strlen(fields[1]));
    copy_text(call->result, sizeof call->result, fields[2], strlen(fields[2]));
    call->returns_status = !strcmp(call->result, "NTSTATUS") && strcmp(call->name, "NtQueryPortInformationProcess");
    if (strcmp(fields[3], "(none)") && strcmp(fields[3], "unknown"))
        for (char *at = fields[3]; *at;) {
            char *end = strchr(at, ';');
            size_t length = end ? (size_t)(end - at) : strcspn(at, ",\r\n");
            read_parameter(call, at, length);
            if (!end) break;
            at = end + 1 + strspn(end + 1, " ");
        }
    call_count++;
}

void read_calls(const char *path, const char *kinds)
{
    FILE *file = fopen(path, "r");
    char line[2000];

    if (!file) usage_error("cannot read \"%s\"", path);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = 0;
        read_row(line, kinds);
    }
    fclose(file);
}

static struct call *call_named(const char *name)
{
    for (unsigned i = 0; i < call_count; i++) if (!strcmp(calls[i].name, name)) return &calls[i];
    return NULL;
}

void find_calls(void)
{
    unsigned kept = 0;

#ifndef _WIN32
    {
        ULONG count = 0;
        const NTLPC_EXPORT *exports = ntlpc_exports(&count);
        for (ULONG i = 0; i < count; i++) {
            struct call *call = call_named(exports[i].Name);
            if (!call) { complain("%s is exported and not in the tables", exports[i].Name); continue; }
            /* No source gives the parameters of one of them. */
            if (call->count != exports[i].ParameterCount) complain("%s has %u parameters, the table says %u", call->name, (unsigned)exports[i].ParameterCount, call->count);
            call->function = exports[i].Function[NTLPC_ABI_SYSV];
        }
    }
#endif
    for (unsigned i = 0; i < call_count; i++) {
#ifdef _WIN32
        calls[i].function = (void *)(uintptr_t)GetProcAddress(GetModuleHandleA("ntdll.dll"), calls[i].name);
#endif
        if (calls[i].function) calls[kept++] = calls[i];
        else if (!strcmp(calls[i].kind, "syscall")) complain("there is no %s", calls[i].name);
    }
    call_count = kept;
    if (!call_count) usage_error("there are no calls");
    (void)call_named;
}
