/* What every program here does in the same way: its command line, its output lines, its guard against hanging, and the checks
 * that turn a wrong status into a failed run. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "portability.h"

/* ---- Command line ---- */

enum option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_SWITCH };

struct program_option {
    const char *name;           /* "--port" */
    enum option_kind kind;
    void *value;                /* const char **, unsigned * or int * */
    int required;
    unsigned lowest, highest;   /* of a number */
};

/* Reads the command line into the options. A mistake prints one line that says what to do and ends the program with 2. */
void read_options(int argc, char **argv, const struct program_option *options, size_t count);
/* Prints one line and ends the program with 2. */
void usage_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* ---- Output ---- */

/* The name lines begin with, e.g. "server". */
extern const char *program_role;
/* One whole line on standard output, written at once: "role: text". */
void say(const char *format, ...) PRINTF_LIKE(1, 2);
/* As say, for a program with several speakers. */
void say_as(const char *speaker, const char *format, ...) PRINTF_LIKE(2, 3);

const char *status_name(NTSTATUS status);           /* "STATUS_TIMEOUT"; of an unknown one its value in hexadecimal */
const char *message_type_name(unsigned type);       /* of the low byte: "LPC_REQUEST" */

/* ---- Checks ---- */

/* Ends the program with 1 and a line that begins with FAILED. */
void fail(const char *format, ...) PRINTF_LIKE(1, 2);
/* Fails unless the status is the wanted one. */
void expect(NTSTATUS status, NTSTATUS wanted, const char *what);

/* ---- The guard ---- */

/* Ends the program with 3 when `seconds` pass without guard_progress. No run can hang for longer than that. */
void guard_start(unsigned seconds);
void guard_progress(void);
unsigned progress_count(void);
unsigned guard_limit(void);
/* The guard's time as an NT time-out, so that waits that can end by themselves do so a little earlier. */
LARGE_INTEGER *guard_timeout(LARGE_INTEGER *timeout);

/* ---- Names ---- */

struct nt_name {
    UNICODE_STRING string;
    OBJECT_ATTRIBUTES attributes;
    WCHAR characters[512];
};
/* An NT object name, case-insensitive, from the text of a command line (ASCII). */
void make_name(struct nt_name *name, const char *text);

/* ---- Text messages ---- */

#define TEXT_CAPACITY 200u

/* A port message with a line of text in it. Fits the smallest limit used here (256 bytes in all). */
struct text_message {
    PORT_MESSAGE header;
    char text[TEXT_CAPACITY];
};
/* Makes it a new message with the text. */
void set_text(struct text_message *message, const char *format, ...) PRINTF_LIKE(2, 3);
/* Replaces the text and keeps the header's ids, as a reply needs. */
void answer_text(struct text_message *message, const char *format, ...) PRINTF_LIKE(2, 3);
/* Ends the received text with a NUL, whatever the sender did. */
const char *received_text(struct text_message *message);
/* One line for a message: its type, flags, lengths, ids, sender and text. */
void say_message(const char *speaker, const char *what, struct text_message *message, const char *owner);

#endif
