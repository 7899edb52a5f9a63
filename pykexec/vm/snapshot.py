# SPDX-License-Identifier: Apache-2.0
"""A machine that was frozen while it ran, and from which any number of others go on.

What QEMU's savevm refuses because of raw flash is done by its migration: the devices' state (with
that of the TPM, which QEMU gets from swtpm and gives to the next one) goes into a file, RAM stays
in the file that it has been in. The next machine maps that privately, so it is there at once, and
what it writes is its own; of disks and variables it has copies.
"""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.vm.machine import Files, Machine
from pykexec.vm.qmp import Qmp

_WITHIN_S = 60.0
_POLL_S = 0.01
_UNLIMITED = 1 << 40
_NO_RAM = [{"capability": "x-ignore-shared", "state": True}]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen machine's files, all in one directory."""

    directory: Path

    @property
    def memory(self) -> Path:
        """RAM, with holes where nobody has written."""
        return self.directory / "memory"

    @property
    def variables(self) -> Path:
        """The variable store."""
        return self.directory / "variables.fd"

    @property
    def console(self) -> Path:
        """What the machine had said."""
        return self.directory / "console.txt"

    @property
    def _state(self) -> Path:
        return self.directory / "state"

    def _disk(self, number: int) -> Path:
        return self.directory / f"disk{number}.img"

    def take(self, machine: Machine, files: Files, qmp: Qmp, said: str) -> None:
        """Freeze the machine behind qmp for good; it must have a memory_file.

        Its disks are machine.disks: others are not kept.
        """
        self.directory.mkdir(parents=True)
        qmp.execute("stop")
        qmp.execute("migrate-set-capabilities", {"capabilities": _NO_RAM})
        qmp.execute("migrate-set-parameters", {"max-bandwidth": _UNLIMITED})
        qmp.execute("migrate", {"uri": f"exec:cat >{shlex.quote(str(self._state))}"})
        _wait(qmp, "query-migrate", done=("completed",), under_way=("setup", "active", "device"))
        # QEMU has let go of its files, so they are complete.
        _copy(files.memory, self.memory)
        shutil.copyfile(files.variables, self.variables)
        for number, disk in enumerate(machine.disks):
            _copy(disk.path, self._disk(number))
        self.console.write_text(said, encoding="utf-8")

    def furnish(self, machine: Machine, files: Files, directory: Path) -> tuple[Machine, Files]:
        """The same machine with files of its own in directory, for one that is to go on."""
        shutil.copyfile(self.variables, files.variables)
        disks = []
        for number, disk in enumerate(machine.disks):
            disks.append(replace(disk, path=directory / f"disk{number}.img"))
            _copy(self._disk(number), disks[-1].path)
        if machine.memory_file:  # It is to be seen from outside, what is written as well.
            _copy(self.memory, files.memory)
        else:
            files = replace(files, memory=self.memory)
        return replace(machine, disks=tuple(disks)), files

    def go_on(self, qmp: Qmp) -> None:
        """Let a QEMU that waits for a machine have this one, and let it run."""
        qmp.execute("migrate-set-capabilities", {"capabilities": _NO_RAM})
        qmp.execute("migrate-incoming", {"uri": f"exec:cat {shlex.quote(str(self._state))}"})
        _wait(qmp, "query-status", done=("paused",), under_way=("inmigrate",))
        qmp.execute("cont")


def _wait(qmp: Qmp, query: str, done: tuple[str, ...], under_way: tuple[str, ...]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while True:
        answer = qmp.execute(query)
        status = answer.get("status") if isinstance(answer, dict) else None
        if status in done:
            return
        # Before it has begun there is no status.
        if (status is not None and status not in under_way) or time.monotonic() > deadline:
            raise ToolError(f"QMP {query}: {answer}")
        time.sleep(_POLL_S)


def _copy(source: Path, target: Path) -> None:
    """Holes stay holes."""
    run(["cp", "--sparse=always", source, target], timeout_s=_WITHIN_S)
