/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of faults.c. They run on whatever stack there is. */
	.set VECTOR_DOUBLE_FAULT, 8
	.set VECTOR_MACHINE_CHECK, 18

	.bss
	.balign 8
	.globl pk_nr_nmis
pk_nr_nmis:
	.quad	0
	/* struct pk_fault */
	.globl pk_fault
pk_fault:
	.quad	0, 0

	.text
	.globl pk_fault_nmi
	.balign 16
pk_fault_nmi:
	incq	pk_nr_nmis(%rip)
	iretq

	.globl pk_fault_machine_check
	.balign 16
pk_fault_machine_check:
	mov	$VECTOR_MACHINE_CHECK, %ecx
	mov	(%rsp), %rax
	jmp	end_of_linux

	.globl pk_fault_double
	.balign 16
pk_fault_double:
	mov	$VECTOR_DOUBLE_FAULT, %ecx
	mov	8(%rsp), %rax		/* behind the error code */
end_of_linux:
	mov	%rcx, pk_fault(%rip)
	mov	%rax, pk_fault+8(%rip)
	lea	pk_handoff(%rip), %rdi
	xor	%esi, %esi
	jmp	pk_resume_entry

	.section .note.GNU-stack, "", @progbits
