# SPDX-License-Identifier: Apache-2.0
"""A machine that boots our image, and its rescue shell, driven over the serial console."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pykexec.vm.bootvars import BootEntry, boot_entry, write_boot_entries
from pykexec.vm.disk import DiskLayout, Esp, Partition, make_disk
from pykexec.vm.disk import Files as DiskFiles
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.ovmf import Firmware
from pykexec.vm.vm import Vm
from tests.vm.images import hello

IMAGE_PATH = r"\EFI\pykexec\pykexec.efi"
HELLO_PATH = r"\EFI\hello\hello.efi"
PROMPT = "pykexec# "
BOOT_WITHIN_S = 120
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_ASK = "/inside/ask"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in the guest wrote, standard error included, and its exit status."""

    status: int
    output: str


@dataclass(slots=True)
class Guest:
    """The shell of a machine whose agent is ready; quick as quick() leaves it."""

    vm: Vm
    is_quick: bool = False
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def ready(self, within: float = BOOT_WITHIN_S) -> Guest:
        """Wait until the agent is up and the shell asks for a command."""
        self.vm.expect_stage("agent", "ready", within=within)
        return self.prompt()

    def quick(self) -> Guest:
        """From now on, until Linux ends, `pykexec` and scripts are forks of one process.

        It takes a second or two, and so does each of them without it.
        """
        self.ok("/inside/standby")
        self.ok(f'pykexec() {{ {_ASK} pykexec "$@"; }}')
        self.is_quick = True
        return self

    def prompt(self, within: float = 30) -> Guest:
        """Wait until the shell asks for a command."""
        self.vm.expect(PROMPT, within=within)
        return self

    def send(self, command: str) -> None:
        """Type a command that does not come back."""
        self.vm.send(f"{command}\r")

    def run(self, command: str, within: float = 60) -> Result:
        """Run a shell command; its whole output and its exit status."""
        number = next(self._numbers)
        # The quotes keep the echo of what is typed from being taken for the answer.
        self.send(f"echo :'<'{number}; {{ {command}; }} 2>&1; echo :'>'{number}:$?")
        match = self.vm.expect(rf"^:<{number}$((?s:.*?)):>{number}:(\d+)\n", within)
        self.prompt()
        return Result(int(match[2]), match[1].strip("\n"))

    def ok(self, command: str, within: float = 60) -> str:
        """Run a shell command that must succeed; its output."""
        result = self.run(command, within)
        assert result.status == 0, f"{command}: {result}"
        return result.output

    def packed(self, command: str, within: float = 60) -> str:
        """ok() for a command that prints much: the line has 4 KB a second, and nobody reads it."""
        file = "/tmp/.packed"
        send, fail = f"gzip -c {file} | base64", f"s=$?; cat {file}; (exit $s)"
        output = self.ok(f"if {{ {command}; }} >{file} 2>&1; then {send}; else {fail}; fi", within)
        # The kernel may have something to say in between.
        lines = [line for line in output.splitlines() if _BASE64.fullmatch(line)]
        return gzip.decompress(base64.b64decode("".join(lines))).decode()

    def json(self, command: str, within: float = 60) -> Any:
        """Run a command that must succeed and prints JSON; the value."""
        return json.loads(self.packed(command, within))

    def firmware_is_the_same(self) -> bool:
        """Does everything in the firmware that Linux might change have the value it had?"""
        return "the firmware is the same" in self.packed("pykexec verify-firmware")

    def script(self, name: str, *words: object, within: float = 60) -> Any:
        """Run tests/vm/inside/<name>.py in the guest; the JSON value that its last line is."""
        program = f"{_ASK} {name}" if self.is_quick else f"/inside/{name}"
        output = self.packed(" ".join([program, *map(str, words)]), within)
        return json.loads(output.splitlines()[-1])

    def payload_ran(self, options: str = "", within: float = 60) -> None:
        """Wait until hello.efi has started with options, read its volume and seen timers tick."""
        self.vm.expect_stage("payload", "started", within=within)
        self.vm.expect(rf"PK:payload:options:{re.escape(options)}\n", within=10)
        self.vm.expect(r"PK:payload:volume:0x0\n", within=10)
        self.vm.expect(r"PK:payload:boot_signature:0x55aa\n", within=10)
        ticks = int(self.vm.expect(r"PK:payload:ticks:(0x[0-9a-f]+)\n", within=30)[1], 16)
        assert 0 < ticks <= 11, ticks  # a busy host loses some


def disk_with(
    directory: Path,
    image: Path,
    files: DiskFiles | None = None,
    size_mib: int = 0,
    partitions: Sequence[Partition] = (),
) -> DiskLayout:
    """A disk whose ESP holds image, hello.efi and files; more partitions come behind it."""
    everything: dict[str, bytes | Path] = {
        IMAGE_PATH[1:].replace("\\", "/"): image,
        HELLO_PATH[1:].replace("\\", "/"): hello(),
        **(files or {}),
    }
    return make_disk(directory / "disk.img", [Esp(everything, size_mib), *partitions])


def machine_with(
    directory: Path,
    firmware: Firmware,
    image: Path,
    *,
    files: DiskFiles | None = None,
    options: str = "",
    next_options: str | None = None,
    partitions: Sequence[Partition] = (),
    **settings: Any,
) -> Machine:
    """A machine whose first boot entry is image, with options; next_options adds hello.efi as the
    second.
    """
    disk = disk_with(directory, image, files, partitions=partitions)
    entries: list[BootEntry] = [boot_entry(disk, IMAGE_PATH, options, title="pykexec")]
    if next_options is not None:
        entries.append(boot_entry(disk, HELLO_PATH, next_options, title="hello"))
    return with_entries(Machine(firmware, **settings), directory, disk, entries)


def with_entries(
    machine: Machine, directory: Path, disk: DiskLayout, entries: Sequence[BootEntry]
) -> Machine:
    """machine with disk and these boot entries."""
    variables = directory / "variables.fd"
    write_boot_entries(machine.firmware.variables, variables, entries)
    return replace(machine, variables=variables, disks=(Disk(disk.path), *machine.disks))
