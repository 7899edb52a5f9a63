// SPDX-License-Identifier: Apache-2.0
/* Compiled to assembly only: the build turns each "->NAME value" into a #define for gate.S. */
#include <pykexec/abi.h>

#define OFFSET(name, type, member) \
	__asm__ volatile("\n.ascii \"->" #name " %c0\"" : : "i"(offsetof(struct type, member)))

void pk_offsets(void);
void pk_offsets(void)
{
	OFFSET(HANDOFF_CPU, pk_handoff, cpu);
	OFFSET(HANDOFF_BOOT_PARAMS, pk_handoff, boot_params);
	OFFSET(CPU_CR0, pk_cpu_context, cr0);
	OFFSET(CPU_CR3, pk_cpu_context, cr3);
	OFFSET(CPU_CR4, pk_cpu_context, cr4);
	OFFSET(CPU_CR8, pk_cpu_context, cr8);
	OFFSET(CPU_EFER, pk_cpu_context, efer);
	OFFSET(CPU_PAT, pk_cpu_context, pat);
	OFFSET(CPU_FS_BASE, pk_cpu_context, fs_base);
	OFFSET(CPU_GS_BASE, pk_cpu_context, gs_base);
	OFFSET(CPU_KERNEL_GS_BASE, pk_cpu_context, kernel_gs_base);
	OFFSET(CPU_RBX, pk_cpu_context, rbx);
	OFFSET(CPU_RBP, pk_cpu_context, rbp);
	OFFSET(CPU_R12, pk_cpu_context, r12);
	OFFSET(CPU_R13, pk_cpu_context, r13);
	OFFSET(CPU_R14, pk_cpu_context, r14);
	OFFSET(CPU_R15, pk_cpu_context, r15);
	OFFSET(CPU_RSP, pk_cpu_context, rsp);
	OFFSET(CPU_RIP, pk_cpu_context, rip);
	OFFSET(CPU_RFLAGS, pk_cpu_context, rflags);
	OFFSET(CPU_GDTR, pk_cpu_context, gdtr);
	OFFSET(CPU_IDTR, pk_cpu_context, idtr);
	OFFSET(CPU_CS, pk_cpu_context, cs);
	OFFSET(CPU_DS, pk_cpu_context, ds);
	OFFSET(CPU_ES, pk_cpu_context, es);
	OFFSET(CPU_FS, pk_cpu_context, fs);
	OFFSET(CPU_GS, pk_cpu_context, gs);
	OFFSET(CPU_SS, pk_cpu_context, ss);
	OFFSET(CPU_TR, pk_cpu_context, tr);
	OFFSET(CPU_LDTR, pk_cpu_context, ldtr);
	OFFSET(CPU_MXCSR, pk_cpu_context, mxcsr);
	OFFSET(CPU_FCW, pk_cpu_context, fcw);
}
