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
};

#endif
