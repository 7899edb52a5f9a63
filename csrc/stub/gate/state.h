/* SPDX-License-Identifier: Apache-2.0 */
/* Saving, restoring, switching and reporting the machine's state, as the table in state_items.c says. */
#ifndef PK_STUB_STATE_H
#define PK_STUB_STATE_H

#include <stub/lib/call.h>

/* Read everything, as the firmware has it. */
void pk_state_save(void);

/* Interrupts off and every source masked, nothing left latched: what Linux expects at its start. */
void pk_state_quiesce(void);

/* After gate.S has the processor back: everything else. Interrupts stay off. */
void pk_state_restore(void);

/*
 * The gate's half on Linux' side: keep Linux' interrupt controllers, mask them,
 * take what is latched in Linux' own IDT if Linux had interrupts on, drain the
 * rest. Counts go to the two out-parameters.
 */
void pk_state_leave_linux(bool interrupts_were_on, u32 *ret_drained, u32 *ret_eois);
void pk_state_enter_linux(void);

/* The gate's half on the firmware's side, interrupts off at both ends. */
void pk_state_enter_firmware(void);
void pk_state_leave_firmware(void);

/*
 * The same for a lean switch, in the firmware's world but with its task priority
 * at 15: the interrupt controllers stay Linux' but for the 8259, whose requests
 * no task priority holds back.
 */
void pk_state_enter_lean(void);
void pk_state_leave_lean(void);

/* struct pk_state_entry for every value; in the firmware's world. EFI_BUFFER_TOO_SMALL if they do not fit. */
efi_status_t pk_state_report(struct pk_call *call);

#endif
