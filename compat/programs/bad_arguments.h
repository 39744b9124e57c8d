/* Calls with bad arguments: what the files bad_*.c share.
 *
 * The calls and the types of their parameters are read from compat/functions.csv and host-functions.csv, so a call that is added
 * there is tested without another word. Each parameter gets a value that is good for its type, or one that is bad in one of many
 * ways; a call gets one bad argument among good ones, or several. */
#ifndef BAD_ARGUMENTS_H
#define BAD_ARGUMENTS_H

#include "program.h"
#include "host_calls.h"

/* ---- Calls ---- */

#define MOST_PARAMETERS 11
enum { PARAMETER_OUT = 1, PARAMETER_OPTIONAL = 2 };
struct parameter { char type[48], name[40]; unsigned marks; };
struct call {
    char name[48], kind[16], result[32];
    struct parameter parameters[MOST_PARAMETERS];
    unsigned count;
    void *function;
    int returns_status, not_implemented;
    unsigned long long calls, successes, failures;
};
extern struct call calls[160];
extern unsigned call_count;
/* Reads a table; only kinds that are named in `kinds`, with a space before and behind each. Ends the program when it cannot. */
void read_calls(const char *path, const char *kinds);
/* Finds the functions; drops calls that this world has not. Natively every export must have a row. */
void find_calls(void);

/* ---- Random numbers ---- */

void seed_random(unsigned seed);
unsigned random_below(unsigned limit);
#define CHANCE(percent) (random_below(100) < (percent))

/* ---- Objects the calls are made on ---- */

enum { PORTS_OF_POOL = 14 };
struct pool {
    /* C S K of two ALPC conversations, one of them waitable, and of an LPC one; clients of the server that answers, and two that
     * wait to be accepted. */
    HANDLE ports[PORTS_OF_POOL];
    HANDLE events[2], sections[1], completions[1], stale[2];
    struct nt_name alpc_name, lpc_name;
    ULONG ids[16];                          /* of messages seen lately */
    unsigned id_count;
    ALPC_HANDLE values[8];                  /* port sections and security contexts */
    unsigned value_count;
    ULONG reserves[4];
    unsigned reserve_count;
    PVOID views[4];
    unsigned view_count;
    PTP_ALPC completions_of_pool[2];        /* the thread pool's */
    unsigned char *list;                    /* memory for a completion list */
    volatile int dead;                      /* its ports were closed to end a call */
};
extern struct pool pool;
void make_pool(void);
void close_pool(void);
/* From another thread, while a call hangs: closes the ports, signals the events, posts packets. */
void release_pool(void);
/* Sends a few messages so that there is something to receive. */
void stir_pool(void);
void usual_port_attributes(ALPC_PORT_ATTRIBUTES *attributes, ULONG flags);
HANDLE some_handle(void);
void note_id(ULONG id);

/* ---- A server that answers ---- */

extern struct nt_name served_alpc, served_lpc;
void start_server(void);
int server_lives(void);
void end_server(void);
/* The server itself, in its own process. */
int serve(const char *name);

/* ---- Values ---- */

#define SLOT_SIZE 0x40000u
/* Memory that only arguments point to: writable, with pages that cannot be touched on both sides. */
void make_slots(void);
/* Makes the arguments of a call. `bad`: how many of them shall be bad. */
void make_arguments(const struct call *call, uint64_t *arguments, unsigned bad);
/* What the argument points to; NULL when fewer than `size` bytes are there. */
void *good_output(unsigned parameter, const uint64_t *arguments, size_t size);
#define MARKER 0x5a5a5a5a5a5a5a5aull
/* Takes back what a call gave, closes its handles. A line for a call that failed and wrote a handle all the same. */
void settle(struct call *call, const uint64_t *arguments, uint64_t result);

/* ---- What there is ---- */

struct census { unsigned descriptors, mappings, handles; };
void take_census(struct census *census);

extern int failures;
void complain(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
