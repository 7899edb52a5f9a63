/* SPDX-License-Identifier: Apache-2.0 */
/* 64-bit entry, 0x200 into the protected-mode part: rsi = boot_params, interrupts off, no stack of ours yet. */
	.section .text.start, "ax", @progbits
	.globl pk_resume_start
pk_resume_start:
	cli
	cld
	lea	stack_top(%rip), %rsp
	mov	%rsi, %rdi
	call	pk_resume_main
	hlt

	.section .bss
	.balign 16
	.skip 0x4000
stack_top:

	.section .note.GNU-stack, "", @progbits
