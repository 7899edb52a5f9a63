# SPDX-License-Identifier: Apache-2.0
"""Which function goes through which step of the plan."""

from __future__ import annotations

from pykexec.certify import devices, exercise, look, network, trust
from pykexec.certify.plan import Run

RUNS: dict[str, Run] = {
    "firmware": look.firmware,
    "memory": look.memory,
    "acpi": look.acpi,
    "handles": look.handles,
    "variables": look.variables,
    "timers": exercise.timers,
    "gate": exercise.gate,
    "console": exercise.console,
    "disks": devices.disks,
    "scratch": devices.scratch,
    "ramdisk": devices.ramdisk,
    "nics": network.nics,
    "tpm": trust.tpm,
    "event-log": trust.event_log,
    "reserved-ram": exercise.remember_ram,
    "registers": exercise.registers,
    "firmware-ram": exercise.firmware_ram,
}
"""All but the round trips, which the engine leads."""
