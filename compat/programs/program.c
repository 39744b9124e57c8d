/* Command line, output, guard and text messages. See program.h. */
#include "program.h"

#include <stdarg.h>

const char *program_role = "program";

/* ---- Output ---- */

static void print_line(const char *speaker, const char *format, va_list arguments)
{
    char line[1024];
    int used = snprintf(line, sizeof line, "%s: ", speaker);
    int text = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);

    if (text > 0) used += text;
    if (used > (int)sizeof line - 2) used = (int)sizeof line - 2;
    line[used++] = '\n';
    fwrite(line, 1, (size_t)used, stdout);
    fflush(stdout);
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(program_role, format, arguments);
    va_end(arguments);
}

void say_as(const char *speaker, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(speaker, format, arguments);
    va_end(arguments);
}

#define NAMED(status) { (uint32_t)(status), #status }
static const struct { uint32_t value; const char *name; } status_names[] = {
    NAMED(STATUS_SUCCESS), NAMED(STATUS_TIMEOUT), NAMED(STATUS_PENDING), NAMED(STATUS_UNSUCCESSFUL),
    NAMED(STATUS_NOT_IMPLEMENTED), NAMED(STATUS_INVALID_HANDLE), NAMED(STATUS_INVALID_CID), NAMED(STATUS_INVALID_PARAMETER),
    NAMED(STATUS_ACCESS_VIOLATION), NAMED(STATUS_ACCESS_DENIED), NAMED(STATUS_BUFFER_TOO_SMALL),
    NAMED(STATUS_OBJECT_TYPE_MISMATCH), NAMED(STATUS_PORT_MESSAGE_TOO_LONG), NAMED(STATUS_OBJECT_NAME_INVALID),
    NAMED(STATUS_OBJECT_NAME_NOT_FOUND), NAMED(STATUS_OBJECT_NAME_COLLISION), NAMED(STATUS_OBJECT_PATH_NOT_FOUND),
    NAMED(STATUS_PORT_DISCONNECTED), NAMED(STATUS_PORT_CONNECTION_REFUSED), NAMED(STATUS_INVALID_PORT_HANDLE),
    NAMED(STATUS_INSUFFICIENT_RESOURCES), NAMED(STATUS_REPLY_MESSAGE_MISMATCH), NAMED(STATUS_LPC_REPLY_LOST),
    NAMED(STATUS_PORT_CLOSED), NAMED(STATUS_MESSAGE_LOST), NAMED(STATUS_INVALID_MESSAGE), NAMED(STATUS_REQUEST_CANCELED),
    NAMED(STATUS_LPC_RECEIVE_BUFFER_EXPECTED), NAMED(STATUS_LPC_REQUESTS_NOT_ALLOWED),
    NAMED(STATUS_USER_APC), NAMED(STATUS_MESSAGE_RETRIEVED), NAMED(STATUS_ALPC_CHECK_COMPLETION_LIST), NAMED(STATUS_BUFFER_OVERFLOW),
    NAMED(STATUS_INVALID_INFO_CLASS), NAMED(STATUS_INFO_LENGTH_MISMATCH), NAMED(STATUS_INVALID_PARAMETER_2),
    NAMED(STATUS_INVALID_PARAMETER_3), NAMED(STATUS_INVALID_PARAMETER_4), NAMED(STATUS_INVALID_PARAMETER_MIX),
    NAMED(STATUS_PORT_ALREADY_SET), NAMED(STATUS_INVALID_SID), NAMED(STATUS_BAD_IMPERSONATION_LEVEL), NAMED(STATUS_MESSAGE_NOT_FOUND),
    NAMED(STATUS_SERVER_SID_MISMATCH), NAMED(STATUS_OBJECTID_NOT_FOUND), NAMED(STATUS_RESOURCE_IN_USE),
    NAMED(STATUS_CONTEXT_MISMATCH), NAMED(STATUS_PORT_ALREADY_HAS_COMPLETION_LIST), NAMED(STATUS_LPC_HANDLE_COUNT_EXCEEDED),
    NAMED(STATUS_SECTION_TOO_BIG), NAMED(STATUS_QUOTA_EXCEEDED), NAMED(STATUS_NOT_SUPPORTED), NAMED(STATUS_INVALID_VIEW_SIZE),
    NAMED(STATUS_NO_MEMORY), NAMED(STATUS_LPC_INVALID_CONNECTION_USAGE), NAMED(STATUS_OBJECT_PATH_SYNTAX_BAD),
};

const char *status_name(NTSTATUS status)
{
    static char unknown[8][16];
    static unsigned next;
    char *text;

    for (size_t i = 0; i < sizeof status_names / sizeof *status_names; i++)
        if (status_names[i].value == (uint32_t)status) return status_names[i].name;
    text = unknown[next++ % 8];
    snprintf(text, 16, "0x%08x", (unsigned)status);
    return text;
}

const char *message_type_name(unsigned type)
{
    static const char *const names[] = {
        "LPC_NEW_MESSAGE", "LPC_REQUEST", "LPC_REPLY", "LPC_DATAGRAM", "LPC_LOST_REPLY", "LPC_PORT_CLOSED", "LPC_CLIENT_DIED",
        "LPC_EXCEPTION", "LPC_DEBUG_EVENT", "LPC_ERROR_EVENT", "LPC_CONNECTION_REQUEST", "LPC_CONNECTION_REPLY", "LPC_CANCELED",
    };
    type &= 0xff;
    return type < sizeof names / sizeof *names ? names[type] : "LPC_UNKNOWN";
}

/* ---- Checks ---- */

void fail(const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("FAILED: %s", text);
    exit_now(1);
}

void expect(NTSTATUS status, NTSTATUS wanted, const char *what)
{
    if (status != wanted) fail("%s gave %s, expected %s", what, status_name(status), status_name(wanted));
}

/* ---- Command line ---- */

static const struct program_option *known_options;
static size_t known_option_count;
static const char *program_file = "program";

void usage_error(const char *format, ...)
{
    char text[400], usage[400];
    size_t used = 0;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    usage[0] = 0;
    for (size_t i = 0; i < known_option_count && used < sizeof usage; i++) {
        const struct program_option *option = &known_options[i];
        const char *argument = option->kind == OPTION_TEXT ? " TEXT" : option->kind == OPTION_NUMBER ? " NUMBER" : "";
        int length = snprintf(usage + used, sizeof usage - used, option->required ? " %s%s" : " [%s%s]", option->name, argument);
        used += length > 0 ? (size_t)length : 0;
    }
    fprintf(stderr, "%s: %s; use: %s%s\n", program_file, text, program_file, usage);
    fflush(stderr);
    exit(2);
}

static void read_number(const struct program_option *option, const char *text)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || value < option->lowest || value > option->highest)
        usage_error("%s needs a number from %u to %u, not \"%s\"", option->name, option->lowest, option->highest, text);
    *(unsigned *)option->value = (unsigned)value;
}

void read_options(int argc, char **argv, const struct program_option *options, size_t count)
{
    unsigned given = 0;
    const char *slash;

    use_plain_output();
    known_options = options;
    known_option_count = count;
    if (argc > 0) {
        program_file = argv[0];
        for (slash = argv[0]; *slash; slash++) if (*slash == '/' || *slash == '\\') program_file = slash + 1;
    }
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < count && strcmp(argv[i], options[k].name)) k++;
        if (k == count) usage_error("unknown argument \"%s\"", argv[i]);
        given |= 1u << k;
        if (options[k].kind == OPTION_SWITCH) { *(int *)options[k].value = 1; continue; }
        if (++i == argc || !argv[i][0]) usage_error("%s needs a value", options[k].name);
        if (options[k].kind == OPTION_TEXT) *(const char **)options[k].value = argv[i];
        else read_number(&options[k], argv[i]);
    }
    for (size_t k = 0; k < count; k++)
        if (options[k].required && !(given & 1u << k)) usage_error("%s is missing", options[k].name);
}

/* ---- The guard ---- */

static unsigned limit_seconds;
static volatile unsigned progress;

static void guard_body(void *argument)
{
    unsigned seen = progress, still = 0;

    (void)argument;
    for (;;) {
        sleep_ms(500);
        if (progress != seen) { seen = progress; still = 0; continue; }
        if (++still < limit_seconds * 2) continue;
        say("FAILED: nothing happened for %u seconds", limit_seconds);
        exit_now(3);
    }
}

void guard_start(unsigned seconds)
{
    limit_seconds = seconds;
    thread_start(guard_body, NULL);
}

void guard_progress(void) { progress++; }
unsigned progress_count(void) { return progress; }
unsigned guard_limit(void) { return limit_seconds; }

LARGE_INTEGER *guard_timeout(LARGE_INTEGER *timeout)
{
    timeout->QuadPart = -(long long)limit_seconds * 9000000;    /* nine tenths, relative, in units of 100 ns */
    return timeout;
}

/* ---- Names ---- */

void make_name(struct nt_name *name, const char *text)
{
    size_t length = strlen(text);

    memset(name, 0, sizeof *name);
    if (length >= sizeof name->characters / sizeof *name->characters) usage_error("the port name is too long");
    for (size_t i = 0; i < length; i++) name->characters[i] = (unsigned char)text[i];
    name->string.Length = (USHORT)(length * sizeof(WCHAR));
    name->string.MaximumLength = (USHORT)((length + 1) * sizeof(WCHAR));
    name->string.Buffer = name->characters;
    InitializeObjectAttributes(&name->attributes, &name->string, OBJ_CASE_INSENSITIVE, NULL, NULL);
}

/* ---- Text messages ---- */

static void write_text(struct text_message *message, const char *format, va_list arguments)
{
    char text[TEXT_CAPACITY];   /* the arguments may lie in the message */
    int length = vsnprintf(text, sizeof text, format, arguments);

    if (length < 0) length = 0;
    if ((unsigned)length >= TEXT_CAPACITY) length = TEXT_CAPACITY - 1;
    memcpy(message->text, text, (size_t)length);
    message->header.u1.s1.DataLength = (USHORT)length;
    message->header.u1.s1.TotalLength = (USHORT)(sizeof message->header + (size_t)length);
}

void set_text(struct text_message *message, const char *format, ...)
{
    va_list arguments;
    memset(&message->header, 0, sizeof message->header);
    va_start(arguments, format);
    write_text(message, format, arguments);
    va_end(arguments);
}

void answer_text(struct text_message *message, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_text(message, format, arguments);
    va_end(arguments);
}

const char *received_text(struct text_message *message)
{
    unsigned length = (USHORT)message->header.u1.s1.DataLength;
    message->text[length < TEXT_CAPACITY ? length : TEXT_CAPACITY - 1] = 0;
    return message->text;
}

void say_message(const char *speaker, const char *what, struct text_message *message, const char *owner)
{
    unsigned type = (USHORT)message->header.u2.s2.Type;
    int text = (type & 0xff) != LPC_PORT_CLOSED && (type & 0xff) != LPC_CLIENT_DIED && message->header.u1.s1.DataLength;

    say_as(speaker, "%s %s type=0x%04x data=%u total=%u id=%u callback=%u from=%llu.%llu%s%s%s%s%s", what,
           message_type_name(type), type, (USHORT)message->header.u1.s1.DataLength, (USHORT)message->header.u1.s1.TotalLength,
           (unsigned)message->header.MessageId, (unsigned)message->header.CallbackId,
           (unsigned long long)(uintptr_t)message->header.ClientId.UniqueProcess,
           (unsigned long long)(uintptr_t)message->header.ClientId.UniqueThread,
           owner ? " of " : "", owner ? owner : "", text ? " \"" : "", text ? received_text(message) : "", text ? "\"" : "");
}
