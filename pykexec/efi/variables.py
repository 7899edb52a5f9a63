# SPDX-License-Identifier: Apache-2.0
"""UEFI variables through efivarfs, and the boot options in them (UEFI 2.10, 3.1 and 8.2)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from pykexec.abi import VariableAttribute
from pykexec.efi.device_path import DevicePath, parse_first
from pykexec.efi.efivarfs import EFIVARFS, StrPath, make_mutable
from pykexec.efi.guid import Guid, named_guids
from pykexec.efi.ucs2 import decode_ucs2, encode_ucs2
from pykexec.errors import FormatError

BOOT_ATTRIBUTES = (
    VariableAttribute.NON_VOLATILE
    | VariableAttribute.BOOTSERVICE_ACCESS
    | VariableAttribute.RUNTIME_ACCESS
)

LOAD_OPTION_ACTIVE, LOAD_OPTION_HIDDEN, LOAD_OPTION_CATEGORY = 1, 8, 0x1F00
_LOAD_OPTION = "<IH"
_GUID_TEXT_SIZE = 36


@dataclass(frozen=True, slots=True)
class VariableName:
    """A variable is named by its text and its vendor."""

    name: str
    vendor: Guid

    def __str__(self) -> str:
        return f"{self.name}-{self.vendor}"


@dataclass(frozen=True, slots=True)
class Variable:
    """What a variable holds."""

    attributes: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LoadOption:
    """EFI_LOAD_OPTION, what Boot#### holds (3.1.3).

    path is the first of FilePathList, where the image is; others are whatever the operating
    system or the firmware wants with them, kept as they are.
    """

    attributes: int
    description: str
    path: DevicePath
    optional_data: bytes = b""
    other_paths: bytes = b""

    def __bytes__(self) -> bytes:
        path = bytes(self.path) + self.other_paths
        head = struct.pack(_LOAD_OPTION, self.attributes, len(path))
        return head + encode_ucs2(self.description) + path + self.optional_data


def parse_load_option(data: bytes) -> LoadOption:
    """Decode EFI_LOAD_OPTION; of several device paths the first counts, and what is behind it, be
    it padding, is nobody's concern.
    """
    head = struct.calcsize(_LOAD_OPTION)
    if len(data) < head:
        raise FormatError(f"load option: {len(data)} bytes, too short")
    attributes, path_size = struct.unpack_from(_LOAD_OPTION, data)
    end = head
    while data[end : end + 2] != b"\0\0":
        if len(data) - end < 2:
            raise FormatError(f"load option: offset {end}: description is not terminated")
        end += 2
    start = end + 2
    if len(data) - start < path_size:
        raise FormatError(f"load option: offset {start}: path of {path_size} bytes is cut off")
    listed, optional = data[start : start + path_size], data[start + path_size :]
    path, size = parse_first(listed)
    description = decode_ucs2(data[head:end])
    return LoadOption(attributes, description, path, optional, listed[size:])


def list_variables(root: StrPath = EFIVARFS) -> list[VariableName]:
    """Every variable that the firmware shows to an operating system."""
    names = []
    for file in os.listdir(root):
        name, dash, guid = (
            file[: -_GUID_TEXT_SIZE - 1],
            file[-_GUID_TEXT_SIZE - 1 :][:1],
            file[-_GUID_TEXT_SIZE:],
        )
        if dash == "-":
            try:
                names.append(VariableName(name, Guid.parse(guid)))
            except FormatError:
                continue  # Not a name that efivarfs gives.
    return sorted(names, key=str)


def read_variable(name: VariableName, root: StrPath = EFIVARFS) -> Variable:
    """Read one variable; FileNotFoundError where there is none."""
    with open(os.path.join(root, str(name)), "rb") as file:
        raw = file.read()
    if len(raw) < 4:
        raise FormatError(f"{name}: {len(raw)} bytes from efivarfs, attributes are missing")
    return Variable(int.from_bytes(raw[:4], "little"), raw[4:])


def write_variable(name: VariableName, variable: Variable, root: StrPath = EFIVARFS) -> None:
    """Create or replace a variable, in the one write that efivarfs wants."""
    path = os.path.join(root, str(name))
    make_mutable(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(fd, struct.pack("<I", variable.attributes) + variable.data)
    finally:
        os.close(fd)


def delete_variable(name: VariableName, root: StrPath = EFIVARFS) -> None:
    """Delete a variable; FileNotFoundError where there is none."""
    path = os.path.join(root, str(name))
    make_mutable(path)
    os.unlink(path)


def global_name(name: str) -> VariableName:
    """A variable of the specification's own namespace."""
    return VariableName(name, named_guids()["global_variable"])


def boot_options(root: StrPath = EFIVARFS) -> dict[int, LoadOption]:
    """Every readable Boot#### by its number."""
    options = {}
    for name in list_variables(root):
        if (
            name.vendor == named_guids()["global_variable"]
            and (number := _boot_number(name.name)) is not None
        ):
            try:
                options[number] = parse_load_option(read_variable(name, root).data)
            except (FormatError, OSError):
                continue  # The firmware skips what it cannot read, too.
    return options


def boot_order(root: StrPath = EFIVARFS) -> list[int]:
    """Numbers of options, as the boot manager tries them; none where there is no such variable."""
    return _numbers("BootOrder", root)


def boot_current(root: StrPath = EFIVARFS) -> int | None:
    """The option that this boot came by, None where the firmware does not say."""
    return next(iter(_numbers("BootCurrent", root)), None)


def _numbers(name: str, root: StrPath) -> list[int]:
    try:
        data = read_variable(global_name(name), root).data
    except (FormatError, OSError):
        return []
    return parse_numbers(data)


def parse_numbers(data: bytes) -> list[int]:
    """Numbers of boot options, UINT16 each (UEFI 2.10, 3.1.1); an odd last byte is ignored."""
    return [number for (number,) in struct.iter_unpack("<H", data[: len(data) & ~1])]


def _boot_number(name: str) -> int | None:
    digits = name.removeprefix("Boot")
    if len(name) != 8 or len(digits) != 4 or digits.upper() != digits:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


def set_boot_next(option: LoadOption, root: StrPath = EFIVARFS) -> int:
    """Store option as Boot####, in place of one with its description, and name it in BootNext.

    The boot order stays as it is. Returns the number.
    """
    options = boot_options(root)
    used = {name.name for name in list_variables(root)}
    same = [number for number, old in options.items() if old.description == option.description]
    free = (number for number in range(0x10000) if f"Boot{number:04X}" not in used)
    number = same[0] if same else next(free)
    write_variable(global_name(f"Boot{number:04X}"), Variable(BOOT_ATTRIBUTES, bytes(option)), root)
    name_boot_next(number, root)
    return number


def name_boot_next(number: int, root: StrPath = EFIVARFS) -> None:
    """Have the next start, and that alone, begin with an option that there is."""
    boot_next = Variable(BOOT_ATTRIBUTES, struct.pack("<H", number))
    write_variable(global_name("BootNext"), boot_next, root)
