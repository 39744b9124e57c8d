/* What the core double does when a probe calls NtAlpcSendWaitReceivePort: the Flags argument names the operation, the other
 * arguments are A (SendMessage), B (ReceiveMessage) and C (BufferLength). Shared by the double and the Windows programs. */
#ifndef CORE_DOUBLE_H
#define CORE_DOUBLE_H

enum core_double_operation {
    ADD_ARGUMENTS,          /* *C = sum of the seven other arguments */
    BLOCK,                  /* sleeps until RELEASE; gives 0x55 */
    RELEASE,
    READ_MEMORY,            /* C bytes at A through the caller copy */
    WRITE_MEMORY,           /* C zeros to A */
    READ_IN_CRITICAL,       /* the same as READ_MEMORY inside a critical section */
    COUNT_CLOSES,           /* handles that the host reported closed */
    COUNT_DUPLICATES,
    QUERY_CLIENT_ID,        /* *(CLIENT_ID *)A */
    CLASSIFY_HANDLE,        /* of A */
    QUERY_DIRECTORY_NAME,   /* of A into B; *(ULONG *)C receives the length */
    SIGNAL,                 /* the last waitable port, by the calling thread */
    UNSIGNAL,
    SIGNAL_FROM_OUTSIDE,    /* by a thread that Wine does not know */
    UNSIGNAL_FROM_OUTSIDE,
    SIGNAL_IN_A_RACE,       /* both at once, many times; signaled in the end */
    SIGNAL_AT_THREAD_END,   /* when the calling thread's storage is destroyed */
    CLOSE_WAITABLE,
    WORK_IN_CRITICAL,       /* 300 ms in a critical section, then finishes */
    COUNT_FINISHED,         /* how often WORK_IN_CRITICAL finished */
    TRAP,                   /* a failed precondition of the core's */
    STRAY_WRITE,            /* a fault in the core that is no caller's fault */

    /* The host's entries one by one, on a core_request at A. Those with OUTSIDE by a thread that Wine does not know. */
    QUERY_HANDLE,           /* handle: type, access, attributes */
    QUERY_SESSION,          /* session */
    QUERY_SESSION_FROM_OUTSIDE,
    SEND_HANDLE,            /* handle, process, access, attributes, options: result */
    CLOSE_OBJECT,           /* handle */
    CLOSE_OBJECT_FROM_OUTSIDE,
    REFERENCE_EVENT,        /* handle; then SIGNAL and so on mean it */
    GIVE_TO_PEER,           /* the descriptor of handle with access, to a Linux program: its exit code (peer.c, command at text) */
    TAKE_FROM_PEER,         /* a descriptor of a Linux program's: result, for type, access, attributes */
    REFERENCE_COMPLETION,   /* handle; one at a time */
    POST,                   /* count packets: key, numbers from first, status, number + 1 */
    POST_FROM_OUTSIDE,
    POST_FROM_BOTH,         /* the first half from outside, then at once the second by the caller */
    POST_IN_A_RACE,         /* both halves at the same time: the caller's has the lower numbers */
    RELEASE_COMPLETION,
    RELEASE_COMPLETION_FROM_OUTSIDE,
    OPEN_PROCESS,           /* id, access, attributes: result */
    OPEN_THREAD,
    QUERY_THREAD,           /* handle: id */
    QUERY_TOKEN,            /* process: luids */
    IMPERSONATE,            /* process, level, foreign (not our user) */
    WAIT,                   /* handle, options (alertable), timeout; count counts the waits that returned here */
    START_WORKER,
    START_WORKER_FROM_OUTSIDE,
    PUSH_WORK,              /* function, arguments */
    END_WORKERS,            /* as many as were started */
    QUERY_USER,             /* sid, count: its length, in capacity */
    QUERY_USER_FROM_OUTSIDE,
};

typedef struct core_request {
    HANDLE handle, process, result;
    CLIENT_ID id;
    ULONG type, access, attributes, options;
    ULONGLONG session;
    const char *text;
    ULONG count, first;
    PVOID key;
    NTSTATUS status;
    LUID luids[3];
    ULONG level, foreign;
    LONGLONG timeout;       /* 0: none */
    PVOID function, arguments[4];
    char sid[68];
} core_request;

#endif
