/* Finding calls by name, and the small things the two programs share. See own_declarations.h. */
#include "own_declarations.h"

#include <stdarg.h>

static const char *program_role = "program";

void say(const char *format, ...)
{
    char line[500];
    int used = snprintf(line, sizeof line, "%s: ", program_role);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line + used, sizeof line - (size_t)used - 2, format, arguments);
    va_end(arguments);
    strcat(line, "\n");
    fwrite(line, 1, strlen(line), stdout);
    fflush(stdout);
}

void fail(const char *what)
{
    say("FAILED: %s", what);
    exit(1);
}

void check(const char *what, Status status, Status wanted)
{
    if (status == wanted) return;
    say("FAILED: %s gave 0x%08x, expected 0x%08x", what, (unsigned)status, (unsigned)wanted);
    exit(1);
}

#ifdef _WIN32

#include <fcntl.h>
#include <io.h>

void *look_for_call(const char *name) { return (void *)(uintptr_t)GetProcAddress(GetModuleHandleA("ntdll.dll"), name); }

static DWORD WINAPI guard(void *argument)
{
    (void)argument;
    Sleep(20000);
    say("FAILED: not done after 20 seconds");
    TerminateProcess(GetCurrentProcess(), 3);
    return 0;
}

static void start_guard(void)
{
    _setmode(_fileno(stdout), _O_BINARY);
    CloseHandle(CreateThread(NULL, 0, guard, NULL, 0, NULL));
}

#else

/* A Linux program finds Nt names as symbols. The Zw spellings, which the library does not export, come from its resolver. */
void *look_for_call(const char *name)
{
    static void *library;
    void *(*resolve)(const char *, unsigned);
    void *call;

    if (!library) library = dlopen("libntlpc.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "cannot load libntlpc.so.1: %s\n", dlerror());
        exit(1);
    }
    call = dlsym(library, name);
    if (call) return call;
    *(void **)&resolve = dlsym(library, "ntlpc_resolve");
    return resolve ? resolve(name, 0) : NULL;
}

static void *guard(void *argument)
{
    (void)argument;
    sleep(20);
    say("FAILED: not done after 20 seconds");
    _exit(3);
}

static void start_guard(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, guard, NULL)) fail("cannot start a thread");
}

#endif

void *find_call(const char *name)
{
    void *call = look_for_call(name);
    if (!call) {
        say("FAILED: there is no %s", name);
        exit(1);
    }
    return call;
}

void make_name(Name *name, const char *text)
{
    size_t length = strlen(text);

    if (length >= 256) fail("the port name is too long");
    memset(name, 0, sizeof *name);
    for (size_t i = 0; i < length; i++) name->Characters[i] = (unsigned char)text[i];
    name->String.Length = (uint16_t)(length * 2);
    name->String.MaximumLength = (uint16_t)(length * 2);
    name->String.Buffer = name->Characters;
    name->Attributes.Length = sizeof name->Attributes;
    name->Attributes.Name = &name->String;
    name->Attributes.Attributes = CaseInsensitive;
}

const char *begin(int argc, char **argv, const char *role)
{
    program_role = role;
    if (argc != 3 || strcmp(argv[1], "--port") || !argv[2][0]) {
        fprintf(stderr, "%s: the port name is missing; use: %s --port TEXT\n", role, role);
        exit(2);
    }
    start_guard();
    return argv[2];
}

void make_message(PortMessage *message, const void *bytes, size_t count)
{
    memset(message, 0, sizeof *message);
    message->DataLength = (uint16_t)count;
    message->TotalLength = (uint16_t)(sizeof *message + count);
    memcpy(message + 1, bytes, count);
}
