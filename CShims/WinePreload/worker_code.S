/* The Windows side of a worker thread, copied into memory near ntdll.dll (install.c) and independent of where it lies there.
 *
 *     void worker(pool): while (worker_body({ pool, &function, arguments })) function(arguments...);
 *
 * worker_body is a function of Wine's Unix side, reached as the stubs reach theirs (stubs.c), and so on the worker's other stack;
 * the function is the program's, called as Windows calls a callback: aligned stack, 32 bytes of home space.
 *
 * The unwind data make this frame one that can be passed: an exception that a callback does not handle goes on to the
 * handler at the thread's start, which reports it and ends the process. worker_body hands out the registration of the table as
 * the first piece of work (wine_worker.c). */
#if defined(__x86_64__)

#define BLOCK 0x20              /* on the stack, above the home space: pool, function, four arguments */
#define FRAME 0x70              /* with the return address and rbx a multiple of 16 */

    .section .rodata
    .balign 16
    .globl worker_code, worker_code_table, worker_code_slots, worker_code_end
    .hidden worker_code, worker_code_table, worker_code_slots, worker_code_end

worker_code:
    pushq %rbx
pushed:
    subq $FRAME, %rsp
framed:
    movq %rcx, %rbx
next:
    movq %rbx, BLOCK(%rsp)
    leaq BLOCK(%rsp), %r8
    movl index(%rip), %edx
    movq functions(%rip), %rcx
    movq dispatcher(%rip), %rax
    call *(%rax)
    testl %eax, %eax
    je end
    movq BLOCK+16(%rsp), %rcx
    movq BLOCK+24(%rsp), %rdx
    movq BLOCK+32(%rsp), %r8
    movq BLOCK+40(%rsp), %r9
    call *BLOCK+8(%rsp)
    jmp next
end:
    xorl %eax, %eax
    addq $FRAME, %rsp
    popq %rbx
    ret
code_end:

    .balign 4
unwind_information:             /* UNWIND_INFO */
    .byte 1                     /* version 1, no handler */
    .byte framed - worker_code
    .byte 2, 0                  /* two codes, no frame register */
    .byte framed - worker_code, ((FRAME / 8 - 1) << 4) | 2     /* UWOP_ALLOC_SMALL */
    .byte pushed - worker_code, (3 << 4) | 0                   /* UWOP_PUSH_NONVOL rbx */

worker_code_table:              /* RUNTIME_FUNCTION, relative to worker_code */
    .long 0, code_end - worker_code, unwind_information - worker_code

    .balign 8
worker_code_slots:              /* filled in in the copy: worker_slots in wine_worker.c */
dispatcher:
    .quad 0
functions:
    .quad 0
index:
    .quad 0
worker_code_end:

#endif
    .section .note.GNU-stack, "", @progbits
