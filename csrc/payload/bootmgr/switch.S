/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two contexts, between which every call of the firmware goes to and fro. SysV calling
 * convention; our image and the firmware's stack are where they are in both.
 */
	/* struct wbm_world of context.c, which asserts these. */
	.set CR0, 0
	.set CR3, 8
	.set CR4, 16
	.set GDTR, 24
	.set IDTR, 40
	.set CS, 56
	.set SS, 58
	.set DS, 60
	.set ES, 62
	.set CR4_PGE, 0x80

/* Everything of \world; the stack has to be mapped in both. Clobbers rax, rcx. */
.macro load_world world
	lgdt	\world+GDTR(%rip)
	lidt	\world+IDTR(%rip)
	/* Without PGE no global page of one world is left in the other. */
	mov	%cr4, %rax
	and	$~CR4_PGE, %rax
	mov	%rax, %cr4
	mov	\world+CR3(%rip), %rax
	mov	%rax, %cr3
	mov	\world+CR4(%rip), %rax
	mov	%rax, %cr4
	mov	\world+CR0(%rip), %rax
	mov	%rax, %cr0
	mov	\world+SS(%rip), %ss
	mov	\world+DS(%rip), %ds
	mov	\world+ES(%rip), %es
	movzwl	\world+CS(%rip), %eax
	push	%rax
	lea	.Lin\@(%rip), %rax
	push	%rax
	lretq
.Lin\@:
.endm

.macro push_saved
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
.endm

.macro pop_saved
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
.endm

	.text

/* u64 wbm_enter(u64 (*function)(void), u64 stack): run function in the application's context. */
	.globl	wbm_enter
	.hidden	wbm_enter
wbm_enter:
	push_saved
	pushfq
	cli
	mov	%rdi, %rbx
	mov	%rsi, %rbp
	mov	%rsp, firmware_stack(%rip)
	load_world wbm_application_world
	mov	%rbp, %rsp
	call	*%rbx
	mov	%rax, %rbx
	mov	firmware_stack(%rip), %rsp
	load_world wbm_firmware_world
	mov	%rbx, %rax
	popfq
	pop_saved
	ret

/*
 * u64 wbm_leave_and_call(u64 function, const u64 *arguments): function(arguments[0..9]), Microsoft's
 * convention, in the firmware's context with interrupts on. What that was at the return is in
 * wbm_returned_world.
 */
	.globl	wbm_leave_and_call
	.hidden	wbm_leave_and_call
wbm_leave_and_call:
	push_saved
	mov	%rdi, %rbx
	mov	%rsi, %rbp
	mov	%rsp, application_stack(%rip)
	mov	firmware_stack(%rip), %rsp
	and	$~15, %rsp
	load_world wbm_firmware_world
	/* 32 bytes for the callee, then the fifth argument and those behind it. */
	sub	$80, %rsp
	.irp	i, 4, 5, 6, 7, 8, 9
	mov	8*\i(%rbp), %rax
	mov	%rax, 8*\i(%rsp)
	.endr
	mov	(%rbp), %rcx
	mov	8(%rbp), %rdx
	mov	16(%rbp), %r8
	mov	24(%rbp), %r9
	sti
	call	*%rbx
	cli
	mov	%rax, %rbx
	mov	%cr3, %rax
	mov	%rax, wbm_returned_world+CR3(%rip)
	sgdt	wbm_returned_world+GDTR(%rip)
	sidt	wbm_returned_world+IDTR(%rip)
	load_world wbm_application_world
	mov	application_stack(%rip), %rsp
	mov	%rbx, %rax
	pop_saved
	ret

/* 256 gates of 16 bytes each; what comes through one ends the machine in wbm_fault(). */
	.balign	16
	.globl	wbm_gates
	.hidden	wbm_gates
wbm_gates:
	.set	vector, 0
	.rept	256
	.balign	16
	push	$vector
	jmp	fault
	.set	vector, vector + 1
	.endr

fault:
	mov	%rsp, %rdi
	mov	%cr2, %rsi
	and	$~15, %rsp
	call	wbm_fault

	.local	firmware_stack, application_stack
	.comm	firmware_stack, 8, 8
	.comm	application_stack, 8, 8

	.section .note.GNU-stack, "", @progbits
