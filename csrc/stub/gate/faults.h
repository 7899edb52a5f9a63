/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no flag holds back while the gate is between the worlds or in the firmware's: an NMI is kept
 * for Linux, which knows what to make of it; after a machine check or a double fault there is no
 * going on, but the firmware's context is there to say so.
 */
#ifndef PK_STUB_FAULTS_H
#define PK_STUB_FAULTS_H

#include <pykexec/abi.h>

/* Set when Linux' turn was ended by one: pk_resume_entry() was taken, whatever was called has not returned. */
struct pk_fault {
	u64 vector;	/* 0: none */
	u64 address;	/* of the instruction that it came at */
};
extern struct pk_fault pk_fault;

/* In Linux' world, interrupts off: from here to the end of the switch, in both worlds; *firmware is the other one. */
void pk_faults_guard(struct pk_cpu_context *firmware);

/* In the firmware's: all other vectors are its own, as it has them now; or, unless anew, as it had them. */
void pk_faults_follow(bool anew);

/* Back in Linux' world, with Linux' own table again. */
void pk_faults_release(void);

/* Linux is whole again: it gets the NMI that came. */
void pk_faults_tell(void);

#endif
