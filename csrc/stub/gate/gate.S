/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world switch, and the two ways between the worlds that do not return.
 * SysV calling convention throughout; identity mapped in both worlds.
 */
#include "offsets.h"

	.set MSR_PAT, 0x277
	.set MSR_EFER, 0xc0000080
	.set MSR_FS_BASE, 0xc0000100
	.set MSR_GS_BASE, 0xc0000101
	.set MSR_KERNEL_GS_BASE, 0xc0000102
	.set RDMSR_SIZE, 2
#ifdef PK_TEST_KEEP_SMEP	/* a negative control, as in stub/lib/test.h */
	.set CR4_OF_ONE_WORLD, 0x820080
#else
	/* PGE, PCIDE, SMEP, SMAP, PKE, CET, PKS, LASS */
	.set CR4_OF_ONE_WORLD, 0x9f20080
#endif

/* Clobbers rax, rcx, rdx. */
.macro save_msr msr, offset, base
	mov	$\msr, %ecx
	rdmsr
	mov	%eax, \offset(\base)
	mov	%edx, \offset+4(\base)
.endm

.macro load_msr msr, offset, base
	mov	$\msr, %ecx
	mov	\offset(\base), %eax
	mov	\offset+4(\base), %edx
	wrmsr
.endm

/*
 * Global and tagged translations must not survive into the other world, nor may
 * what protects one world's pages judge the other's, which may all be user pages:
 * the next CR3 comes before the next CR4. Clobbers rax.
 */
.macro drop_what_is_of_one_world
	mov	%cr3, %rax
	and	$~0xfff, %rax
	mov	%rax, %cr3
	mov	%cr4, %rax
	and	$~CR4_OF_ONE_WORLD, %rax
	mov	%rax, %cr4
.endm

/*
 * Everything of a world but the general registers, from and to a struct
 * pk_cpu_context at \base. Clobbers rax, rcx, rdx.
 */
.macro save_world base
	mov	%cr0, %rax
	mov	%rax, CPU_CR0(\base)
	mov	%cr3, %rax
	mov	%rax, CPU_CR3(\base)
	mov	%cr4, %rax
	mov	%rax, CPU_CR4(\base)
	mov	%cr8, %rax
	mov	%rax, CPU_CR8(\base)
	sgdt	CPU_GDTR(\base)
	sidt	CPU_IDTR(\base)
	mov	%cs, CPU_CS(\base)
	mov	%ds, CPU_DS(\base)
	mov	%es, CPU_ES(\base)
	mov	%fs, CPU_FS(\base)
	mov	%gs, CPU_GS(\base)
	mov	%ss, CPU_SS(\base)
	stmxcsr	CPU_MXCSR(\base)
	fnstcw	CPU_FCW(\base)
	save_msr MSR_PAT, CPU_PAT, \base
	save_msr MSR_FS_BASE, CPU_FS_BASE, \base
	save_msr MSR_GS_BASE, CPU_GS_BASE, \base
	save_msr MSR_KERNEL_GS_BASE, CPU_KERNEL_GS_BASE, \base
.endm

/*
 * \stack: where rsp comes from. CR3 twice, since PCIDE may only be set while the
 * PCID bits are zero; CR0 before CR4, since CET wants WP; FS and GS bases after
 * the selectors, whose loading clears them.
 */
.macro load_world base, stack
	load_msr MSR_PAT, CPU_PAT, \base
	mov	CPU_CR3(\base), %rax
	and	$~0xfff, %rax
	mov	%rax, %cr3
	mov	CPU_CR0(\base), %rax
	mov	%rax, %cr0
	mov	CPU_CR4(\base), %rax
	mov	%rax, %cr4
	mov	CPU_CR3(\base), %rax
	mov	%rax, %cr3
	lgdt	CPU_GDTR(\base)
	lidt	CPU_IDTR(\base)
	mov	\stack, %rsp
	mov	CPU_DS(\base), %ds
	mov	CPU_ES(\base), %es
	mov	CPU_FS(\base), %fs
	mov	CPU_GS(\base), %gs
	mov	CPU_SS(\base), %ss
	movzwl	CPU_CS(\base), %eax
	push	%rax
	lea	.Lcs\@(%rip), %rax
	push	%rax
	lretq
.Lcs\@:
	load_msr MSR_FS_BASE, CPU_FS_BASE, \base
	load_msr MSR_GS_BASE, CPU_GS_BASE, \base
	load_msr MSR_KERNEL_GS_BASE, CPU_KERNEL_GS_BASE, \base
	fldcw	CPU_FCW(\base)
	ldmxcsr	CPU_MXCSR(\base)
	mov	CPU_CR8(\base), %rax
	mov	%rax, %cr8
.endm

	.text

/* u64 pk_context_save(struct pk_cpu_context *): 0 now, 1 when the firmware's context comes back. */
	.globl pk_context_save
pk_context_save:
	save_world %rdi
	save_msr MSR_EFER, CPU_EFER, %rdi
	mov	%rbx, CPU_RBX(%rdi)
	mov	%rbp, CPU_RBP(%rdi)
	mov	%r12, CPU_R12(%rdi)
	mov	%r13, CPU_R13(%rdi)
	mov	%r14, CPU_R14(%rdi)
	mov	%r15, CPU_R15(%rdi)
	lea	8(%rsp), %rax
	mov	%rax, CPU_RSP(%rdi)
	mov	(%rsp), %rax
	mov	%rax, CPU_RIP(%rdi)
	pushfq
	pop	%rax
	mov	%rax, CPU_RFLAGS(%rdi)
	str	%eax
	mov	%ax, CPU_TR(%rdi)
	sldt	%eax
	mov	%ax, CPU_LDTR(%rdi)
	xor	%eax, %eax
	ret

/*
 * pk_resume_entry(rdi = struct pk_handoff *, rsi = boot_params or 0): the end of
 * Linux. Returns 1 from pk_context_save with interrupts off. No stack is needed
 * until the firmware's own is back.
 */
	.globl pk_resume_entry
pk_resume_entry:
	cli
	cld
	mov	%rsi, HANDOFF_BOOT_PARAMS(%rdi)
	lea	HANDOFF_CPU(%rdi), %rbx
	/* Before CR3: the firmware's page tables may use NXE. Long mode is on in both. */
	load_msr MSR_EFER, CPU_EFER, %rbx
	drop_what_is_of_one_world
	fninit
	load_world %rbx, CPU_RSP(%rbx)
	movzwl	CPU_LDTR(%rbx), %eax
	lldt	%ax
	movzwl	CPU_TR(%rbx), %eax
	test	%eax, %eax
	jz	1f
	mov	CPU_GDTR+2(%rbx), %rdx
	mov	%eax, %ecx
	and	$~7, %ecx
	andb	$~2, 5(%rdx,%rcx)	/* ltr refuses a busy TSS */
	ltr	%ax
1:	mov	CPU_RBP(%rbx), %rbp
	mov	CPU_R12(%rbx), %r12
	mov	CPU_R13(%rbx), %r13
	mov	CPU_R14(%rbx), %r14
	mov	CPU_R15(%rbx), %r15
	mov	CPU_RIP(%rbx), %rcx
	mov	CPU_RBX(%rbx), %rbx
	mov	$1, %eax
	jmp	*%rcx

/*
 * u64 pk_world_switch(rdi = firmware's context, rsi = where Linux' goes, rdx = function,
 *                     rcx = its argument, r8 = top of its stack)
 * Calls function(argument) in the firmware's world, interrupts off at both ends.
 * TR stays Linux': no descriptor that faults.c loads names a stack in it.
 */
	.globl pk_world_switch
pk_world_switch:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushfq
	cli
	cld
	mov	%rdi, %rbp
	mov	%rsi, %rbx
	mov	%rdx, %r12
	mov	%rcx, %r13
	mov	%r8, %r15
	mov	%rsp, CPU_RSP(%rbx)
	save_world %rbx
	/* Linux' own is not there in what follows, and an NMI wants one. */
	mov	%r15, %rsp
	drop_what_is_of_one_world
	load_world %rbp, %r15
	mov	%r13, %rdi
	call	*%r12
	cli
	cld
	mov	%rax, %r14

	load_world %rbx, CPU_RSP(%rbx)
	mov	%r14, %rax
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* The handler behind every vector of the draining IDT (hardware.c). */
	.globl pk_drain_interrupt
	.balign 16
pk_drain_interrupt:
	iretq

/* #GP of the rdmsr in pk_msr_exists() (hardware.c): goes on behind it, and the carry flag tells. */
	.globl pk_msr_fault
	.balign 16
pk_msr_fault:
	add	$8, %rsp		/* the error code */
	addq	$RDMSR_SIZE, (%rsp)
	orq	$1, 16(%rsp)
	iretq

	.section .note.GNU-stack, "", @progbits
