/* SPDX-License-Identifier: Apache-2.0 */
/* What Linux can ask of the stub itself, and of the firmware as a whole. */
#ifndef PK_STUB_SERVICES_H
#define PK_STUB_SERVICES_H

#include <stub/lib/call.h>

/* measured: what pk_measure_image() says. */
void pk_services_init(u32 measured);

efi_status_t pk_stub_info(struct pk_call *call);
efi_status_t pk_stub_handoff(struct pk_call *call);
/* Does the firmware's timer run while a call of the gate waits? */
efi_status_t pk_self_test(struct pk_call *call);

#endif
