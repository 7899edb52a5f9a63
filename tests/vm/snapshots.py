# SPDX-License-Identifier: Apache-2.0
"""Machines whose agent is ready: booted once a run, frozen, and gone on from by each test."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pykexec.vm.bootvars import add_variables
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.ovmf import Firmware
from pykexec.vm.snapshot import Snapshot
from pykexec.vm.vm import Vm
from tests.vm.equipment import (
    HARDWARE,
    HIDDEN,
    NEXT_OPTIONS,
    NON_VOLATILE_BOOT_ONLY,
    USUAL,
    VENDOR,
    Contents,
)
from tests.vm.guest import Guest, machine_with
from tests.vm.images import KEPT_S, ROOT

_BUILD = ROOT / "build"
_PREFIX = "snapshots-"
# What is QEMU's alone, and another one from the moment on in which a machine goes on.
_NOT_KEPT = ("reboot", "memory_file")


class AgentReady(Protocol):
    """Gives a machine on which the agent of image is ready; settings are what it has of its own.

    It is another one each time: what is done to it nobody else sees. It is quick (guest.py) unless
    it is for one test that asks for little.
    """

    def __call__(
        self,
        image: Path,
        firmware: Firmware,
        *,
        limit_s: float = 300.0,
        quick: bool = True,
        **settings: Any,
    ) -> Guest: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """What a machine is made of: two that are equal have one snapshot."""

    image: Path
    firmware: Firmware
    settings: Mapping[str, Any] = field(default_factory=lambda: HARDWARE)
    is_quick: bool = True
    disk: Contents = USUAL

    @property
    def key(self) -> str:
        """A digest of all of it, by contents."""
        digest = hashlib.sha256(f"{self.firmware}\0{NEXT_OPTIONS}\0{self.is_quick}\0".encode())
        for name in sorted(set(self.settings) - set(_NOT_KEPT)):
            digest.update(f"{name}={self.settings[name]!r}\0".encode())
        digest.update(f"{self.disk.partitions!r}\0".encode())
        for name, content in sorted({"": self.image, **self.disk.files(self.firmware)}.items()):
            digest.update(f"{name}\0{_digest(content)}\0".encode())
        return digest.hexdigest()[:16]

    def machine(self) -> Machine:
        """The machine that goes on: its disk and its variables are the snapshot's."""
        return Machine(self.firmware, disks=(Disk(Path()),), **self.settings)

    def freeze(self, target: Path, log_directory: Path) -> None:
        """Boot it, wait for the agent, and make the snapshot."""
        with tempfile.TemporaryDirectory(dir=target.parent) as directory:
            machine = machine_with(
                Path(directory),
                self.firmware,
                self.image,
                files=self.disk.files(self.firmware),
                partitions=self.disk.partitions,
                next_options=NEXT_OPTIONS,
                **self.settings,
            )
            _hide_a_variable(machine)
            with Vm(replace(machine, memory_file=True), log_directory) as vm:
                guest = Guest(vm).ready()
                if self.is_quick:
                    guest.quick()
                vm.freeze(target)


@cache
def _digest(content: bytes | Path) -> str:
    """Of what is in a file; those that images.kept() made never change."""
    data = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.sha256(data).hexdigest()


def _hide_a_variable(machine: Machine) -> None:
    """One of boot services alone, which is not Linux' business."""
    assert machine.variables
    store = machine.variables.read_bytes()
    hidden = add_variables(store, HIDDEN, vendor=VENDOR, attributes=NON_VOLATILE_BOOT_ONLY)
    machine.variables.write_bytes(hidden)


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Those of a run, in a directory that its processes share."""

    directory: Path

    def of(self, kind: Kind, log_directory: Path) -> Snapshot:
        """The snapshot of kind, which whoever comes first makes while others wait."""
        path = self.directory / kind.key
        with open(path.with_suffix(".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                partial = path.with_suffix(f".{os.getpid()}")
                shutil.rmtree(partial, ignore_errors=True)
                kind.freeze(partial, log_directory)
                partial.rename(path)
        return Snapshot(path)


def make_directory() -> Path:
    """For a run that begins; what a killed one has left goes after a day."""
    _BUILD.mkdir(exist_ok=True)
    for old in _BUILD.glob(f"{_PREFIX}*"):
        if old.stat().st_mtime < time.time() - KEPT_S:
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_BUILD))
