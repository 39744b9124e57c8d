/* What the checks of the surface share. A check is a named function that makes calls and says what they must answer; the first
 * thing that is not so ends it. What it made (handles, threads, memory) is taken down after it, whatever became of it.
 *
 * Each file surface_*.c is one noun with a table of its checks at its end. The second field of a row names what the check covers:
 * a call that succeeds ("NtAlpcCreatePort"), a call that fails as it must ("!NtAlpcCreatePort"), a message attribute
 * ("attr:VIEW", "!attr:VIEW"), an information class ("class:AlpcBasicInformation"), and the ids of compat/scenarios ("H-11").
 * --list prints the tables; tools/generate-coverage reads them. */
#ifndef SURFACE_H
#define SURFACE_H

#include "program.h"
#include "surface_host.h"

struct check { const char *name, *covers; void (*run)(void); };
struct check_group { const char *noun; const struct check *checks; size_t count; };
#define CHECK_GROUP(noun) const struct check_group noun##_group = { #noun, noun##_checks, sizeof noun##_checks / sizeof *noun##_checks }

/* ---- What must hold ---- */

/* The status must be the first one named. Those after it are what else the sources say of NT; a run with --strict, which is how
 * ntlpc itself is tested, does not take them. */
#define EXPECT(value, ...) \
    expect_status((value), (const NTSTATUS[]){ __VA_ARGS__ }, sizeof((const NTSTATUS[]){ __VA_ARGS__ }) / sizeof(NTSTATUS), __FILE__, __LINE__)
/* One of two, depending on time. */
#define EXPECT_EITHER(value, first, second) expect_either((value), (first), (second), __FILE__, __LINE__)
/* Any failure. */
#define EXPECT_ERROR(value) expect_error((value), __FILE__, __LINE__)
#define HOLDS(condition) expect_true(!!(condition), #condition, __FILE__, __LINE__)
#define SAME(value, wanted) expect_same((unsigned long long)(value), (unsigned long long)(wanted), #value, __FILE__, __LINE__)
void expect_status(NTSTATUS status, const NTSTATUS *wanted, size_t count, const char *file, int line);
void expect_either(NTSTATUS status, NTSTATUS first, NTSTATUS second, const char *file, int line);
void expect_error(NTSTATUS status, const char *file, int line);
void expect_true(int holds, const char *condition, const char *file, int line);
void expect_same(unsigned long long value, unsigned long long wanted, const char *what, const char *file, int line);
/* Ends the check as failed. */
void give_up(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);
/* Ends the check as one that this world cannot do, which is not a success: "skip NAME: reason". */
void leave_out(const char *format, ...) PRINTF_LIKE(1, 2);
/* A host call that may be missing. */
#define NEED(call) do { if (!host.call) give_up(__FILE__, __LINE__, "there is no call for %s", #call); } while (0)

/* ---- What is taken down after a check ---- */

HANDLE keep(HANDLE handle);     /* to be closed */
void forget(HANDLE handle);     /* the check closed it itself */
void shut(HANDLE handle);       /* closes it now; must succeed */
void *keep_memory(size_t size); /* zeroed, aligned for everything */
/* A thread of the check. All handles are closed before it is waited for, so that its waits end. */
thread_handle keep_thread(thread_body body, void *argument);
void join(thread_handle thread);

/* ---- Messages ---- */

#define H ((unsigned)sizeof(PORT_MESSAGE))
#define BODY 0x1000u
struct message { PORT_MESSAGE header; unsigned char body[BODY]; };

/* A new message with that many bytes of `fill`, fill + 1, ... */
void fill_message(struct message *message, unsigned length, unsigned fill);
int is_filled(const struct message *message, unsigned length, unsigned fill);
/* A header with nothing but the lengths and the id. */
void answer_message(struct message *message, ULONG id, unsigned length, unsigned fill);
unsigned type_of(const struct message *message);        /* low byte */
unsigned flags_of(const struct message *message);       /* high byte, in place */
unsigned length_of(const struct message *message);

/* ---- Attributes ---- */

struct attributes { ALPC_MESSAGE_ATTRIBUTES header; unsigned char records[152]; };
#define ALL_ATTRIBUTES ALPC_MESSAGE_ATTRIBUTE_ALL
/* Allocates these, with nothing valid. */
void make_attributes(struct attributes *attributes, ULONG flags);
ALPC_SECURITY_ATTR *security_attribute(struct attributes *attributes);
ALPC_DATA_VIEW_ATTR *view_attribute(struct attributes *attributes);
ALPC_CONTEXT_ATTR *context_attribute(struct attributes *attributes);
ALPC_HANDLE_ATTR *handle_attribute(struct attributes *attributes);
ALPC_TOKEN_ATTR *token_attribute(struct attributes *attributes);
ALPC_DIRECT_ATTR *direct_attribute(struct attributes *attributes);
ALPC_WORK_ON_BEHALF_ATTR *work_attribute(struct attributes *attributes);

/* ---- Ports ---- */

#define PORT_CONTEXT ((PVOID)(uintptr_t)0xbadf00d)

/* Three ports of a conversation: C the connection port, S the server's communication port, K the client's. */
struct scene {
    struct nt_name name;
    ALPC_PORT_ATTRIBUTES server, client;
    HANDLE c, s, k;
    ULONG request_id;       /* of the connection request */
};
/* Attributes with ALLOW_LPC_REQUESTS, 4 KiB of payload, everything else all ones, impersonation and dynamic. */
void usual_attributes(ALPC_PORT_ATTRIBUTES *attributes);
/* A name that no other check has used. */
void fresh_name(struct nt_name *name);
/* A name and usual attributes for both sides; nothing is made yet. */
void prepare_scene(struct scene *scene);
void make_server(struct scene *scene);
/* An asynchronous connect, not answered. */
void start_connect(struct scene *scene);
/* Receives the connection request and accepts it with PORT_CONTEXT. */
void accept_client(struct scene *scene);
/* All of that; the connection reply is received too. */
void connect_scene(struct scene *scene);
void usual_scene(struct scene *scene);      /* prepare_scene, connect_scene */
/* A further client of the scene's port. */
void connect_client_of(const struct scene *server, struct scene *other, PVOID context);
/* A legacy conversation over the same struct: NtCreatePort, NtConnectPort in a thread, NtAcceptConnectPort. */
void lpc_scene(struct scene *scene);

/* ---- Calls with the guard's time ---- */

NTSTATUS send_message(HANDLE port, ULONG flags, struct message *message, struct attributes *attributes);
NTSTATUS receive_message(HANDLE port, struct message *message, struct attributes *attributes);
NTSTATUS poll_message(HANDLE port, struct message *message, struct attributes *attributes);
/* Receives, and the message must be of that type. */
void take(HANDLE port, struct message *message, struct attributes *attributes, unsigned type);
/* Answers with RELEASE and a payload of `length` bytes. */
NTSTATUS reply_message(HANDLE port, const struct message *request, unsigned length, unsigned fill);
NTSTATUS lpc_receive(HANDLE port, PVOID *context, struct message *reply, struct message *message);
NTSTATUS lpc_poll(HANDLE port, struct message *message);
/* Waits for a handle: 0 polls, else the guard's time. */
NTSTATUS wait_for(HANDLE handle, int poll);
ALPC_BASIC_INFORMATION basic_information(HANDLE port);

/* A synchronous request of a thread of its own. */
struct request {
    HANDLE port;
    ULONG flags;                        /* beside SYNC_REQUEST */
    int legacy;                         /* NtRequestWaitReplyPort */
    struct message sent, received;
    struct attributes *send_attributes, *receive_attributes;
    SIZE_T length;                      /* capacity, then what the call left there */
    NTSTATUS status;
    volatile int done;
    volatile unsigned long long process, thread;    /* of the thread that asks */
    thread_handle body;
    LARGE_INTEGER timeout;
};
/* Starts it with `length` bytes of payload. The structure must outlive the check: keep_memory. */
struct request *start_request(HANDLE port, unsigned length, unsigned fill);
struct request *start_request_with(HANDLE port, unsigned length, unsigned fill, struct attributes *send, struct attributes *receive);
struct request *start_request_flags(HANDLE port, ULONG flags, unsigned length, unsigned fill);
struct request *start_lpc_request(HANDLE port, unsigned length, unsigned fill);
/* The message as it is; and four bytes of payload with a Type of the sender's choice. */
struct request *start_lpc_request_of(HANDLE port, const struct message *message);
struct request *start_lpc_request_of_type(HANDLE port, unsigned type);
/* Waits for its end. */
NTSTATUS finish_request(struct request *request);
/* For things that happen soon but not at once: tries for the guard's time. */
#define EVENTUALLY(condition) do { \
        unsigned tries_ = 0; \
        while (!(condition)) { if (++tries_ > 4000) HOLDS(condition); sleep_ms(5); } \
    } while (0)

/* ---- Between the files ---- */

extern int strict;
unsigned progress_count(void);
/* Runs the body as a check of that name: FALSE when something in it did not hold. */
int try_to(const char *name, void (*body)(void *argument), void *argument);
void take_down(void);
void release_handles(void);    /* closes what the check has made, from another thread */
void say_check(const char *format, ...) PRINTF_LIKE(1, 2);
/* The crossing checks: their server, the port of a server that runs already (NULL: one is started), and the end of it. */
extern const char *cross_port;
int cross_serve(const char *port);
void cross_end(void);

extern const struct check_group attributes_group, ports_group, messages_group, lpc_group, callbacks_group, request_data_group,
    lpc_views_group, sections_group, handles_group, contexts_group, reserves_group, cancel_group, information_group,
    completion_group, completion_list_group, thread_pool_group, impersonation_group, sender_group, waits_group, cross_group;

#endif
