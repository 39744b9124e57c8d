/* size_t ntlpc_copy(void *to, const void *from, size_t count): copies and returns the bytes NOT copied.
 *
 * Between ntlpc_copy_begin and ntlpc_copy_end every instruction that touches memory has the count of bytes still to copy
 * (rounded up to its block) in rcx. A fault there is sent by the signal handler to ntlpc_copy_fixup, which returns rcx.
 * Short copies use SSE registers; from 512 bytes on the string instruction is faster. */
    .text
    .globl ntlpc_copy
    .type ntlpc_copy,@function
    .globl ntlpc_copy_begin, ntlpc_copy_end, ntlpc_copy_fixup
    .hidden ntlpc_copy_begin, ntlpc_copy_end, ntlpc_copy_fixup
    .p2align 6
ntlpc_copy_begin:
ntlpc_copy:
    .cfi_startproc
    endbr64
    movq %rdx, %rcx
    cmpq $512, %rdx
    jae  .Lstring
    cmpq $64, %rcx
    jb   .Lsixteens
.Lsixtyfours:
    movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups 32(%rsi), %xmm2
    movups 48(%rsi), %xmm3
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movups %xmm2, 32(%rdi)
    movups %xmm3, 48(%rdi)
    addq $64, %rsi
    addq $64, %rdi
    subq $64, %rcx
    cmpq $64, %rcx
    jae  .Lsixtyfours
.Lsixteens:
    cmpq $16, %rcx
    jb   .Lrest
    movups (%rsi), %xmm0
    movups %xmm0, (%rdi)
    addq $16, %rsi
    addq $16, %rdi
    subq $16, %rcx
    jmp  .Lsixteens
.Lrest:
    testb $8, %cl
    jz   1f
    movq (%rsi), %rax
    movq %rax, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    subq $8, %rcx
1:  testb $4, %cl
    jz   2f
    movl (%rsi), %eax
    movl %eax, (%rdi)
    addq $4, %rsi
    addq $4, %rdi
    subq $4, %rcx
2:  testq %rcx, %rcx
    jz   4f
3:  movb (%rsi), %al
    movb %al, (%rdi)
    incq %rsi
    incq %rdi
    decq %rcx
    jnz  3b
4:  xorl %eax, %eax
    ret
.Lstring:
    rep movsb
    xorl %eax, %eax
    ret
    .cfi_endproc
    .size ntlpc_copy, . - ntlpc_copy
    .globl ntlpc_copy_8
    .type ntlpc_copy_8,@function
    .p2align 4
ntlpc_copy_8:
    .cfi_startproc
    endbr64
    movl $8, %ecx
    movq (%rsi), %rax
    movq %rax, (%rdi)
    xorl %eax, %eax
    ret
    .cfi_endproc
    .size ntlpc_copy_8, . - ntlpc_copy_8
    .globl ntlpc_copy_40
    .type ntlpc_copy_40,@function
    .p2align 4
ntlpc_copy_40:
    .cfi_startproc
    endbr64
    movl $40, %ecx
    movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movq 32(%rsi), %rax
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movq %rax, 32(%rdi)
    xorl %eax, %eax
    ret
    .cfi_endproc
    .size ntlpc_copy_40, . - ntlpc_copy_40
    .globl ntlpc_compare_exchange_8
    .type ntlpc_compare_exchange_8,@function
    .p2align 4
/* size_t ntlpc_compare_exchange_8(void *at, uint64_t *expected, uint64_t desired): 0 when `at` held *expected and now holds
 * `desired`; 1 when it held another value, which is then in *expected; 8 when there is no memory. */
ntlpc_compare_exchange_8:
    .cfi_startproc
    endbr64
    movl $8, %ecx
    movq (%rsi), %rax
    lock cmpxchgq %rdx, (%rdi)
    jne  1f
    xorl %eax, %eax
    ret
1:  movq %rax, (%rsi)
    movl $1, %eax
    ret
    .cfi_endproc
    .size ntlpc_compare_exchange_8, . - ntlpc_compare_exchange_8
ntlpc_copy_end:
    .p2align 4
ntlpc_copy_fixup:
    .cfi_startproc
    endbr64
    movq %rcx, %rax
    ret
    .cfi_endproc
    .section .note.GNU-stack,"",@progbits
