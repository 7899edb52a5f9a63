# SPDX-License-Identifier: Apache-2.0
"""Has anybody written where only the firmware should? Asked of the stub, which keeps digests.

Only an image that certifies has them; another one's stub says EFI_NOT_READY.
"""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.abi import Op
from pykexec.abi_devices import RamAction, RamKind
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import answer_error, pack, struct_size, unpack
from pykexec.memory import MemoryDescriptor, Range

_WHAT = "firmware's memory"
SAFE = RamKind.RUNTIME | RamKind.ACPI
"""What the stub has digests of since before the first Linux."""


@dataclass(frozen=True, slots=True)
class FirmwareRam:
    """Bytes that are watched and those that cannot be; ranges that differ, and what they are."""

    watched: int
    left_out: int
    nr_pieces: int
    kinds: RamKind
    changed: tuple[tuple[Range, str], ...]


def remember_ram(mailbox: Mailbox, kinds: RamKind) -> FirmwareRam:
    """Have digests kept of what has none yet. Reserved memory may be what a firmware does not let
    itself read: a machine can end here.
    """
    return _ask(mailbox, RamAction.REMEMBER, kinds)


def read_changed_ram(mailbox: Mailbox, kinds: RamKind) -> FirmwareRam:
    """What differs, of the kinds that there are digests of."""
    return _ask(mailbox, RamAction.COMPARE, kinds)


def _ask(mailbox: Mailbox, action: RamAction, kinds: RamKind) -> FirmwareRam:
    body = pack("pk_ram_request", action=action, kinds=int(kinds))
    return decode_ram(mailbox.ask(Request(Op.FIRMWARE_RAM, _WHAT, body)))


def decode_ram(body: bytes) -> FirmwareRam:
    """A pk_ram_reply and its ranges."""
    head = unpack("pk_ram_reply", body, 0, _WHAT)
    start, step = struct_size("pk_ram_reply"), struct_size("pk_ram_range")
    if len(body) != start + head.nr_changed * step:
        raise answer_error(_WHAT, start, f"{head.nr_changed} ranges in {len(body)} bytes")
    changed = []
    for number in range(head.nr_changed):
        raw = unpack("pk_ram_range", body, start + number * step, _WHAT)
        place = Range(raw.range.start, raw.range.start + raw.range.size)
        changed.append((place, MemoryDescriptor(place, raw.type, 0).type_name))
    kinds = RamKind(head.kinds)
    return FirmwareRam(head.watched, head.left_out, head.nr_pieces, kinds, tuple(changed))
