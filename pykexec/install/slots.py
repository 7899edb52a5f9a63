# SPDX-License-Identifier: Apache-2.0
"""Two slots for our image on the EFI system partition, and the variable that says what is in them.

The variable is a line of text for each fact, so that a person can read it anywhere. What it says
decides nothing that the firmware does: that is in BootOrder and BootNext alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pykexec.efi.guid import Guid, named_guids
from pykexec.efi.variables import VariableName
from pykexec.errors import FormatError
from pykexec.log import printable

SLOTS = ("a", "b")
DIRECTORY = "EFI/pykexec"
FALLBACK = "EFI/BOOT/BOOTX64.EFI"
"""What firmware starts that knows no boot option (UEFI 2.10, 3.5.1.1)."""

WRITTEN, ARMED, STARTED = "written", "armed", "started"
"""How far a trial has come: the image is in its slot; BootNext names it; its agent is up."""

_HEAD = "pykexec slots 1"
_SIZE_MAX = 4096
_TEXT_MAX = 160  # characters
_IMAGE = re.compile(r"([ab]) ([0-9a-f]{64}) (.+)")


@dataclass(frozen=True, slots=True)
class InSlot:
    """An image in a slot: SHA-256 of the file, and its version in words."""

    slot: str
    sha256: str
    version: str

    def __str__(self) -> str:
        return f"{self.sha256[:16]} in slot {self.slot}, {self.version}"


@dataclass(frozen=True, slots=True)
class Slots:
    """What is known: active is what machines boot, previous what was active before. trial has come
    as far as stage; failed was given up for reason, and is kept until the server was told.
    """

    partition: Guid
    active: InSlot | None = None
    previous: InSlot | None = None
    trial: InSlot | None = None
    stage: str = ""
    failed: InSlot | None = None
    reason: str = ""
    has_fallback: bool = False

    def __bytes__(self) -> bytes:
        lines = [_HEAD, f"partition {self.partition}"]
        for name in ("active", "previous", "trial", "failed"):
            image: InSlot | None = getattr(self, name)
            if image:
                words = printable(image.version, _TEXT_MAX)
                lines.append(f"{name} {image.slot} {image.sha256} {words}")
        if self.trial:
            lines.append(f"stage {self.stage}")
        if self.failed:
            lines.append(f"reason {printable(self.reason, _TEXT_MAX)}")
        if self.has_fallback:
            lines.append("fallback ours")
        return "".join(f"{line}\n" for line in lines).encode()


def variable_name() -> VariableName:
    """Where it is kept: beside the reason of the last end."""
    return VariableName("PykexecSlots", named_guids()["pykexec_handoff"])


def path_of(slot: str) -> str:
    """The slot's file, on the partition."""
    return f"{DIRECTORY}/{slot}.efi"


def efi_path(path: str) -> str:
    """A path on the partition as the firmware has it."""
    return "\\" + path.replace("/", "\\")


def other(slot: str) -> str:
    """The slot that is not this one."""
    return SLOTS[1 - SLOTS.index(slot)]


def slot_of(path: str) -> str:
    """Of a path as the firmware has it; "" where that is no slot's."""
    return next((slot for slot in SLOTS if path.lower() == efi_path(path_of(slot)).lower()), "")


def parse_slots(data: bytes) -> Slots:
    """Decode the variable; FormatError for what we would not have written."""
    what = f"variable {variable_name().name}"
    if len(data) > _SIZE_MAX:
        raise FormatError(f"{what}: {len(data)} bytes")
    head, *lines = data.decode("utf-8", "replace").split("\n")
    if head != _HEAD or not lines or lines.pop():
        raise FormatError(f"{what}: not that of this version")
    found: dict[str, str] = {}
    for line in lines:
        key, space, value = line.partition(" ")
        if not space or not value.isprintable() or key in found:
            raise FormatError(f"{what}: {printable(line, 40)!r}")
        found[key] = value
    slots = Slots(
        partition=Guid.parse(found.pop("partition", "")),
        active=_image(found, "active"),
        previous=_image(found, "previous"),
        trial=_image(found, "trial"),
        stage=found.pop("stage", ""),
        failed=_image(found, "failed"),
        reason=found.pop("reason", ""),
        has_fallback=found.pop("fallback", "") == "ours",
    )
    if found or bool(slots.trial) != (slots.stage in (WRITTEN, ARMED, STARTED)):
        raise FormatError(f"{what}: its parts contradict each other")
    return slots


def _image(found: dict[str, str], key: str) -> InSlot | None:
    if key not in found:
        return None
    match = _IMAGE.fullmatch(found.pop(key))
    if match is None:
        raise FormatError(f"variable {variable_name().name}: {key} is no image")
    return InSlot(match[1], match[2], match[3])
