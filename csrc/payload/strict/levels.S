/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Five levels of page tables, for which long mode has to be left (Intel SDM 3A, 4.1.2 and 10.8.5);
 * and another stack.
 */
	.set CODE_32, 0x08
	.set CODE_64, 0x10
	.set DATA, 0x18
	.set CR0_PG_BIT, 31
	.set CR4_LA57, 0x1000

	.text

/* void strict_five_levels(edi = root of the tables): image, stack and root lie below 4 GiB. */
	.globl	strict_five_levels
	.hidden	strict_five_levels
strict_five_levels:
	push	%rbx
	pushfq
	cli
	sgdt	old_gdt(%rip)
	mov	%ss, %eax
	push	%rax
	mov	%cs, %eax
	push	%rax
	lea	gdt(%rip), %rax
	mov	%rax, gdt_register+2(%rip)
	lgdt	gdt_register(%rip)
	mov	$DATA, %eax
	mov	%eax, %ss
	lea	in_64(%rip), %rbx
	pushq	$CODE_32
	lea	in_32(%rip), %rax
	push	%rax
	lretq

	.code32
in_32:
	mov	%cr0, %eax
	btr	$CR0_PG_BIT, %eax
	mov	%eax, %cr0
	mov	%cr4, %edx
	or	$CR4_LA57, %edx
	mov	%edx, %cr4
	mov	%edi, %cr3
	bts	$CR0_PG_BIT, %eax
	mov	%eax, %cr0
	push	$CODE_64
	push	%ebx
	lret

	.code64
in_64:
	mov	%esp, %esp		/* what was above 32 bits is not defined */
	lgdt	old_gdt(%rip)
	pop	%rax
	pop	%rdx
	mov	%edx, %ss
	push	%rax
	lea	out(%rip), %rax
	push	%rax
	lretq
out:
	popfq
	pop	%rbx
	ret

/* u64 strict_on_stack(rdi = function, rsi = its argument, rdx = top of its stack) */
	.globl	strict_on_stack
	.hidden	strict_on_stack
strict_on_stack:
	push	%rbp
	mov	%rsp, %rbp
	mov	%rdx, %rsp
	mov	%rdi, %rax
	mov	%rsi, %rdi
	call	*%rax
	mov	%rbp, %rsp
	pop	%rbp
	ret

	.data
	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
gdt_register:
	.word	. - gdt - 1
	.quad	0
old_gdt:
	.skip	10

	.section .note.GNU-stack, "", @progbits
