/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that Python sees, as pykexec._native. pykexec/_build.py runs this through
 * the preprocessor: declarations become cffi's, and macros with the prefixes
 * that it names become constants whose values the compiler fills in.
 */
#ifndef PK_NATIVE_BINDINGS_H
#define PK_NATIVE_BINDINGS_H

#include <pykexec/types.h>

#include <pykexec/abi.h>
#include <efi/guids.h>
#include <efi/types.h>

#include <common/acpi.h>
#include <common/arena.h>
#include <common/bzimage.h>
#include <common/crc32.h>
#include <common/device_path.h>
#include <common/event_log.h>
#include <common/exit_boot_services.h>
#include <common/handoff.h>
#include <common/memory_map.h>
#include <common/message.h>
#include <common/nfit.h>
#include <common/operations.h>
#include <common/page_table.h>
#include <common/pe.h>
#include <common/siphash.h>
#include <common/spcr.h>
#include <common/tpm_filter.h>
#include <common/variable_filter.h>
#include <native/block.h>
#include <native/boot_params.h>
#include <native/nbd.h>
#include <native/port.h>
#include <native/route.h>
#include <native/secret.h>
#include <native/segment.h>
#include <native/syscalls.h>
#include <native/tap.h>
#include <native/ublk.h>
#include <native/vtpm.h>

#ifndef PK_CFFI
#include <linux/kexec.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/reboot.h>
#endif

#endif
