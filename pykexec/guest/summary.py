# SPDX-License-Identifier: Apache-2.0
"""The firmware in words: what the agent shows at its start and the verbs print."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pykexec.abi import TpmBank
from pykexec.about import version
from pykexec.errors import FirmwareError
from pykexec.firmware.devices import (
    block_info_request,
    decode_block_info,
    decode_net_info,
    decode_volume_info,
    net_info_request,
    volume_info_request,
)
from pykexec.firmware.handles import Handle
from pykexec.firmware.info import FirmwareInfo, read_tpm_info
from pykexec.firmware.mailbox import Mailbox, Reply, Request
from pykexec.firmware.status import SUCCESS, status_name
from pykexec.memory import MemoryMap, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pykexec.bridge.relation import Way
    from pykexec.firmware.handoff import Handoff
    from pykexec.memory import Range

DEVICE_KINDS = ("disk", "partition", "volume", "nic", "tpm", "console")


def firmware_line(info: FirmwareInfo) -> str:
    """Vendor, revisions and what protects them."""
    firmware = f"firmware: {info.vendor} {info.revision:#x}, UEFI {info.uefi_revision}"
    return f"{firmware}, Secure Boot {'on' if info.secure_boot else 'off'}"


def status_lines(
    info: FirmwareInfo, handoff: Handoff, ways: Sequence[Way], native_exec: bool
) -> Iterator[str]:
    """All of `pykexec status`."""
    from pykexec.linux.lockdown import read_level

    arena = f"{handoff.arena}, {format_size(handoff.arena.size)}"
    yield "under live boot services"
    yield firmware_line(info)
    yield f"pykexec: {version()}"
    yield f"kernel: {os.uname().release}"
    yield f"lockdown: {read_level() or 'this kernel has none'}"
    yield f"arena: {arena}, {format_size(info.arena_peak)} used by the kernel's start"
    yield f"window: {_window(handoff.window)}"
    yield f"stub: {handoff.stub}, resume entry {handoff.resume_entry:#x}"
    yield f"image: {info.image_path or 'not from a volume'}"
    yield f"measured: {_measured(info)}"
    yield f"world switches: {info.nr_switches}, TSC {info.tsc_khz} kHz"
    for way in ways:
        by = f"native, by {way.driver}" if way.native else "bridged"
        yield f"{way.kind}: {way.name}, {by}{''.join(f', {name}' for name in way.linux)}"
    yield f"exec: {'native' if native_exec else 'by the resume image'}"
    if info.accident:
        yield f"the last start ended by a reset: {info.accident}"
    yield f"round trips: {info.outcome.nr_runs}, last end: {info.outcome}"


def _window(window: Range) -> str:
    if window.start == window.end:
        return "none, data goes by the mailbox"
    from pykexec.bridge.window import IS_MEMORY
    from pykexec.linux.iomem import is_system_ram, read_iomem

    of_kernel = is_system_ram(window.start, read_iomem())
    return f"{window}, {IS_MEMORY if of_kernel else format_size(window.size)}"


def memory_lines(memory: MemoryMap) -> Iterator[str]:
    """The map by type, biggest first."""
    yield f"memory map: {len(memory)} descriptors"
    for name, size in memory.size_by_type().items():
        yield f"  {format_size(size):>10}  {name}"


def payload_memory_line(memory: MemoryMap, handoff: Handoff) -> str:
    """What a payload will have; Linux' own too where the failure action starts none again."""
    linux = (handoff.arena, handoff.low, handoff.window)
    now, later = (
        f"{format_size(total)}, {format_size(largest)} in one piece"
        for total, largest in (memory.free(), memory.free(linux))
    )
    return f"memory for a payload: {now}; where Linux does not come again: {later}"


def describe_devices(mailbox: Mailbox, handles: Sequence[Handle]) -> dict[int, str]:
    """Size, label, address or fault by handle number, asked for in one message."""
    from pykexec.abi import Limit

    asked: list[tuple[Handle, Request]] = []
    for handle in handles:
        if handle.has("block_io"):
            asked.append((handle, block_info_request(handle.number)))
        if handle.has("simple_file_system"):
            asked.append((handle, volume_info_request(handle.number)))
        if handle.has("simple_network"):
            asked.append((handle, net_info_request(handle.number)))
    words: dict[int, list[str]] = {}
    for start in range(0, len(asked), Limit.BATCH_MAX):
        batch = asked[start : start + Limit.BATCH_MAX]
        replies = mailbox.call([request for _, request in batch])
        for (handle, _), reply in zip(batch, replies, strict=True):
            words.setdefault(handle.number, []).extend(_describe(reply))
    return {number: ", ".join(parts) for number, parts in words.items()}


def _describe(reply: Reply) -> list[str]:
    from pykexec.abi import Op

    if reply.status != SUCCESS:
        return [status_name(reply.status)]
    if reply.op == Op.BLOCK_INFO:
        block = decode_block_info(reply.body)
        return [format_size(block.size) if block.present else "no medium"] + (
            ["read-only"] if block.read_only else []
        )
    if reply.op == Op.VOLUME_INFO:
        return [repr(decode_volume_info(reply.body).label)]
    return [decode_net_info(reply.body).address.hex(":")]


def device_rows(
    handles: Sequence[Handle],
    details: dict[int, str],
    linux: Mapping[int, Sequence[str]] | None = None,
    kinds: Sequence[str] = DEVICE_KINDS,
) -> list[tuple[str, ...]]:
    """(number, kind, details, names in Linux, device path) of each device, by kind.

    Without linux there is no column for it.
    """

    def names(handle: Handle) -> tuple[str, ...]:
        return () if linux is None else (" ".join(linux.get(handle.number, ())) or "-",)

    return [
        (
            str(handle.number),
            kind,
            details.get(handle.number, ""),
            *names(handle),
            str(handle.path or "-"),
        )
        for kind in kinds
        for handle in handles
        if handle.kind == kind
    ]


def linux_rows(
    handles: Sequence[Handle], linux: Mapping[int, Sequence[str]]
) -> list[tuple[str, ...]]:
    """(name in Linux, handle number, kind, device path), sorted by name."""
    return sorted(
        (name, str(handle.number), handle.kind, str(handle.path or "-"))
        for handle in handles
        for name in linux.get(handle.number, ())
    )


def _measured(info: FirmwareInfo) -> str:
    if not info.measured:
        return "no"
    return "yes, but the firmware's event log was full" if info.log_full else "yes"


def tpm_line(mailbox: Mailbox) -> str:
    """Which TPM there is."""
    try:
        tpm = read_tpm_info(mailbox)
    except FirmwareError as error:
        return f"TPM: none ({error.strerror})"
    if not tpm.present:
        return "TPM: none"
    banks = " ".join(bank.name.lower() for bank in TpmBank if bank & tpm.active_banks and bank.name)
    return f"TPM: 2.0, {tpm.manufacturer}, active banks {banks or 'none'}"
