# SPDX-License-Identifier: Apache-2.0
"""Does a passphrase or a key file open a LUKS2 volume? What is computed on the way is wiped."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.disk import Reader
from pykexec.disk.luks import ITERATIONS_MAX, Argon2, Luks, Pbkdf2, Slot
from pykexec.errors import FormatError
from pykexec.memory import format_size

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """Memory: what is available now, and how much the arena has in all, bytes."""

    available: int
    arena: int


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a volume opens; None: no slot says yes, and some could not be tried."""

    fits: bool | None
    text: str


def try_luks(volume: Luks, read: Reader, key: memoryview, room: Room) -> Trial:
    """Try every slot; nothing is written."""
    untried = list(volume.faults)
    for slot in volume.slots:
        if why := _reason_not_to(slot, room):
            untried.append(f"key slot {slot.number}: {why}")
            continue
        try:
            if _opens(slot, read, key):
                return Trial(True, f"key slot {slot.number} opens")
        except FormatError as error:
            untried.append(f"key slot {slot.number}: {error}")
    if untried:
        return Trial(None, "; ".join(untried))
    tried = len(volume.slots)
    return Trial(False, f"none of {tried} key slots opens" if tried else "it has no key slot")


def _reason_not_to(slot: Slot, room: Room) -> str:
    kdf = slot.kdf
    if isinstance(kdf, Argon2):
        takes = f"{kdf.name} takes {format_size(kdf.memory)} of memory"
        lacks = kdf.memory - room.available
        if lacks > 0:
            arena = format_size(-(-(room.arena + lacks) // _MIB) * _MIB)
            takes += f", {format_size(room.available)} are available: an arena of {arena} would do"
        return f"{takes}; for random keys make slots with --pbkdf pbkdf2, which are tried"
    if kdf.iterations > ITERATIONS_MAX or slot.digest_kdf.iterations > ITERATIONS_MAX:
        return f"{max(kdf.iterations, slot.digest_kdf.iterations)} iterations take too long"
    if slot.encryption != "aes-xts-plain64":
        return f"its area is encrypted by {slot.encryption[:32]!r}"
    return ""


def _opens(slot: Slot, read: Reader, key: memoryview) -> bool:
    from pykexec.crypto import luks_opens

    # What comes after the stripes is of no use.
    size = -(-slot.key_size * slot.stripes // 512) * 512
    if size > slot.area_size:
        raise FormatError(f"its area of {slot.area_size} bytes is too small")
    area = read(slot.area_offset, size)
    if len(area) != size:
        raise FormatError("its area is cut off")
    assert isinstance(slot.kdf, Pbkdf2)
    kdf, known = slot.kdf, slot.digest_kdf
    return luks_opens(
        key,
        (kdf.hash, kdf.salt, kdf.iterations),
        area,
        slot.area_key_size,
        (slot.stripes, slot.af_hash),
        (slot.key_size, (known.hash, known.salt, known.iterations), slot.digest),
    )
