# SPDX-License-Identifier: Apache-2.0
"""The firmware's boot options as far as our image's life is concerned (UEFI 2.10, 3.1)."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import Node, file_node
from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.guid import Guid
from pykexec.efi.variables import (
    BOOT_ATTRIBUTES,
    LOAD_OPTION_ACTIVE,
    LoadOption,
    Variable,
    VariableName,
    boot_options,
    delete_variable,
    global_name,
    list_variables,
    parse_numbers,
    read_variable,
    write_variable,
)
from pykexec.install.slots import (
    SLOTS,
    Slots,
    efi_path,
    parse_slots,
    path_of,
    slot_of,
    variable_name,
)

NUMBERS = 0x10000
_ORDER, _NEXT = "BootOrder", "BootNext"


@dataclass(frozen=True, slots=True)
class Nvram:
    """efivarfs, and how it is written to: one variable at a time, each the old or the new one."""

    root: StrPath = EFIVARFS
    write: Callable[[VariableName, Variable, StrPath], None] = write_variable
    delete: Callable[[VariableName, StrPath], None] = delete_variable

    def read(self, name: VariableName) -> bytes | None:
        """Its content, None where there is none."""
        try:
            return read_variable(name, self.root).data
        except FileNotFoundError:
            return None

    def put(self, name: VariableName, data: bytes) -> None:
        """Make it so, unless it is: NVRAM wears out, and what is not written cannot break."""
        if self.read(name) != data:
            self.write(name, Variable(BOOT_ATTRIBUTES, data), self.root)

    def drop(self, name: VariableName) -> None:
        """Delete it, if it is there."""
        with suppress(FileNotFoundError):
            self.delete(name, self.root)

    def room(self) -> int | None:
        """Bytes that are left for variables, as Linux since 6.6 says; None where it does not."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize if found.f_blocks else None


def read_slots(nvram: Nvram) -> Slots | None:
    """None where nothing was installed. FormatError for a variable that is not ours."""
    data = nvram.read(variable_name())
    return None if data is None else parse_slots(data)


def write_slots(nvram: Nvram, slots: Slots) -> None:
    """Keep it."""
    nvram.put(variable_name(), bytes(slots))


def boot_order(nvram: Nvram) -> tuple[int, ...]:
    """BootOrder. OSError where it cannot be read: it is not to be written over then."""
    return tuple(parse_numbers(nvram.read(global_name(_ORDER)) or b""))


def set_boot_order(nvram: Nvram, order: Sequence[int]) -> None:
    """Write it, each number once."""
    unique = dict.fromkeys(order)
    nvram.put(global_name(_ORDER), struct.pack(f"<{len(unique)}H", *unique))


def boot_next(nvram: Nvram) -> int | None:
    """What is tried once at the next start."""
    return next(iter(parse_numbers(nvram.read(global_name(_NEXT)) or b"")), None)


def set_boot_next(nvram: Nvram, number: int) -> None:
    """Have it tried once."""
    nvram.put(global_name(_NEXT), struct.pack("<H", number))


def clear_boot_next(nvram: Nvram, numbers: Sequence[int]) -> None:
    """Have none of these tried; what others have put there stays."""
    if boot_next(nvram) in numbers:
        nvram.drop(global_name(_NEXT))


def entries_of(nvram: Nvram, partition: Guid, slot: str = "") -> list[int]:
    """Numbers of the boot options that start a slot, or any of ours."""
    wanted = (slot,) if slot else SLOTS
    return sorted(
        number
        for number, option in boot_options(nvram.root).items()
        if option.path.partition_guid == partition and slot_of(option.path.file_path) in wanted
    )


def entry_name(number: int) -> VariableName:
    """Boot####."""
    return global_name(f"Boot{number:04X}")


def entry_for(drive: Node, slot: str) -> LoadOption:
    """The boot option for a slot of this partition."""
    path = DevicePath((drive, file_node(efi_path(path_of(slot)))))
    return LoadOption(LOAD_OPTION_ACTIVE, f"pykexec {slot}", path)


def ensure_entry(nvram: Nvram, drive: Node, slot: str) -> int:
    """The number of the slot's boot option, which is written if it is not there, or not right; what
    somebody has added to its options stays.
    """
    option = entry_for(drive, slot)
    partition = option.path.partition_guid
    assert partition is not None
    known = boot_options(nvram.root)
    for number in entries_of(nvram, partition, slot):
        old = known[number]
        new = replace(option, optional_data=old.optional_data, other_paths=old.other_paths)
        nvram.put(entry_name(number), bytes(new))
        return number
    used = {name.name for name in list_variables(nvram.root)}
    number = next(n for n in range(NUMBERS) if entry_name(n).name not in used)
    nvram.put(entry_name(number), bytes(option))
    return number
