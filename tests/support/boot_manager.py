# SPDX-License-Identifier: Apache-2.0
"""A machine as far as our image's life goes: its firmware's boot manager (UEFI 2.10, 3.1), an ESP
on a real FAT volume, and agents that come as far as their images do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pykexec.disk.fat_reader import FatVolume
from pykexec.efi import pe
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import file_node, hard_drive_node
from pykexec.efi.efivarfs import StrPath
from pykexec.efi.guid import Guid
from pykexec.efi.variables import (
    LoadOption,
    Variable,
    VariableName,
    delete_variable,
    global_name,
    parse_load_option,
    read_variable,
    write_variable,
)
from pykexec.errors import FormatError
from pykexec.install import trial
from pykexec.install.change import Machine
from pykexec.install.image import Identity, identify
from pykexec.install.nvram import Nvram, read_slots
from pykexec.install.slots import FALLBACK, slot_of
from tests.support.esp_disk import EspDisk, fat_image
from tests.support.own_images import own_image

PARTITION = Guid.parse("eeeeeeee-0000-4000-8000-eeeeeeeeeeee")
DRIVE = hard_drive_node(1, 2048, 8192, PARTITION)
DEBIAN = "EFI/debian/grubx64.efi"
OLD, NEW, OLDER = own_image("1.0"), own_image("1.1"), own_image("0.9")
OTHER_SYSTEM = own_image("9", release="ID=debian")
NAMES = {OLD: "old", NEW: "new", OLDER: "older", OTHER_SYSTEM: "debian"}


class PowerCut(BaseException):
    """Nothing of ours runs any more."""


@dataclass(slots=True)
class Power:
    """Goes before the write number cut, or that write fails with error; writes are counted."""

    cut: int = -1
    error: OSError | None = None
    writes: list[str] = field(default_factory=list)

    def step(self, what: str) -> None:
        self.writes.append(what)
        if len(self.writes) - 1 == self.cut:
            raise self.error or PowerCut


@dataclass(slots=True)
class World:
    """variables is a directory as efivarfs shows it; hangs are images that never get to an agent,
    fails those whose agent neither attests nor starts a payload.
    """

    variables: Path
    power: Power = field(default_factory=Power)
    hangs: tuple[bytes, ...] = ()
    fails: tuple[bytes, ...] = ()
    esp: EspDisk = field(init=False)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.esp = EspDisk(lambda what: self.power.step(what))
        self.esp.add(DEBIAN, OTHER_SYSTEM)
        path = DevicePath((DRIVE, file_node("\\" + DEBIAN.replace("/", "\\"))))
        self.set("Boot0003", bytes(LoadOption(1, "debian", path)))
        self.set("BootOrder", struct.pack("<H", 3))

    @property
    def machine(self) -> Machine:
        """As `pykexec install` sees it."""
        nvram = Nvram(self.variables, self._write, self._delete)
        return Machine(self.esp, nvram, DRIVE, PARTITION, self.said.append)

    def set(self, name: str, data: bytes) -> None:
        self._replace(global_name(name), Variable(7, data), self.variables)

    def get(self, name: str) -> bytes:
        try:
            return read_variable(global_name(name), self.variables).data
        except FileNotFoundError:
            return b""

    @property
    def order(self) -> list[int]:
        data = self.get("BootOrder")
        return list(struct.unpack(f"<{len(data) // 2}H", data))

    def run(self, change: Callable[[Machine], None]) -> None:
        """What an operator or an agent does, as long as there is power."""
        try:
            change(self.machine)
        except PowerCut:
            pass

    def disks(self) -> Iterator[dict[str, bytes]]:
        """What may be on the disk now."""
        return self.esp.after_power_cuts()

    def start(self, files: dict[str, bytes]) -> str:
        """Power on with such a disk: which image ends up in charge, after as many resets by a
        patient person as it takes; "" where the machine shows its firmware's menu.
        """
        self.power = Power()
        self.esp = EspDisk(self.power.step)
        for path, data in files.items():
            self.esp.add(path, data)
        for _ in range(5):
            booted = self._boot_manager(fat_image(files))
            if booted is None:
                return ""
            path, data = booted
            if data not in self.hangs and self._agent(path, data):
                return NAMES[data]
        raise AssertionError("it hangs for ever")

    def _boot_manager(self, volume: bytes) -> tuple[str, bytes] | None:
        """The first option that can be loaded. BootNext is gone before it is tried (3.1.2)."""
        order = self.order
        if data := self.get("BootNext"):
            delete_variable(global_name("BootNext"), self.variables)
            order = [*struct.unpack("<H", data), *order]
        paths = [path for number in order if (path := self._path(number))]
        for path in [*paths, "\\" + FALLBACK.replace("/", "\\")]:
            found = FatVolume(lambda at, size: volume[at : at + size], "ESP")
            image = found.read_file(path, 1 << 24)
            if image is not None and self._loads(image):
                return path, image
        return None

    def _path(self, number: int) -> str:
        data = self.get(f"Boot{number:04X}")
        option = parse_load_option(data) if data else None
        if option is None or not option.attributes & 1:
            return ""
        return option.path.file_path if option.path.partition_guid == PARTITION else ""

    def _loads(self, data: bytes) -> bool:
        """As Secure Boot would have it: what nobody has signed, a torn one too, is not loaded."""
        try:
            pe.check_application(data, "image")
        except FormatError:
            return False
        return data in NAMES

    def _agent(self, path: str, data: bytes) -> bool:
        """Does it get to its payload? Other systems do."""
        nvram = self.machine.nvram
        slots = read_slots(nvram)
        if data == OTHER_SYSTEM or slots is None:
            return True
        here = slot_of(path)
        slots = trial.begin(nvram, slots, here)
        if data in self.fails:
            return False
        trial.succeed(nvram, slots, here)
        return True

    def _write(self, name: VariableName, variable: Variable, root: StrPath) -> None:
        self.power.step(f"variable {name.name}")
        self._replace(name, variable, root)

    @staticmethod
    def _replace(name: VariableName, variable: Variable, root: StrPath) -> None:
        """efivarfs takes what is written for all of it; a directory keeps what is longer."""
        (Path(root) / str(name)).unlink(missing_ok=True)
        write_variable(name, variable, root)

    def _delete(self, name: VariableName, root: StrPath) -> None:
        if (Path(root) / str(name)).exists():
            self.power.step(f"delete {name.name}")
        delete_variable(name, root)


def identity(data: bytes) -> Identity:
    return identify(data, "image")
