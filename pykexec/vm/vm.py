# SPDX-License-Identifier: Apache-2.0
"""A running virtual machine: started, watched, driven and ended."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from pykexec.errors import ToolError
from pykexec.vm import child, machine, swtpm
from pykexec.vm.console import Console, OnLine, make_pipes
from pykexec.vm.machine import Files, Machine
from pykexec.vm.qmp import Qmp
from pykexec.vm.snapshot import Snapshot

# After these nothing that a test waits for can come any more.
FATAL = (
    r"Kernel panic - not syncing|!!!! X64 Exception Type|ASSERT .*\.c\(\d+\)|PANIC: double fault"
)


class LostVm(ToolError):
    """A virtual machine died, hung or ended without the verdict that was waited for."""


class Vm:
    """Runs machine while the `with` block lasts, for at most limit_s seconds.

    directory (made when missing) keeps console.log, console.raw, command and the guest's files;
    without one everything goes with the machine. on_line sees each console line as it comes.
    With a snapshot of the same machine it goes on from there; its disks are copies, which go with
    it, and its console begins with what was said before.
    """

    def __init__(
        self,
        machine: Machine,
        directory: Path | None = None,
        *,
        limit_s: float = 300.0,
        on_line: OnLine | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.machine = machine
        self._snapshot = snapshot
        self._wanted_directory, self._limit_s, self._on_line = directory, limit_s, on_line
        self._cleanup = ExitStack()
        self._over_limit = False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def _start(self, stack: ExitStack) -> None:
        # Socket names must be short (108 bytes), so they have their own directory.
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pykexec-vm-")))
        self.directory = self._wanted_directory or sockets
        self.directory.mkdir(parents=True, exist_ok=True)
        self.files = Files(
            variables=self.directory / "vars.fd",
            serial=sockets / "serial",
            qmp=sockets / "qmp",
            tpm=sockets / "tpm",
            memory=sockets / "memory",
        )
        said = ""
        if self._snapshot:
            self.machine, self.files = self._snapshot.furnish(self.machine, self.files, sockets)
            said = self._snapshot.console.read_text(encoding="utf-8")
        else:
            template = self.machine.variables or self.machine.firmware.variables
            if template.absolute() != self.files.variables.absolute():
                shutil.copyfile(template, self.files.variables)
        if self.machine.tpm:
            tpm = self.machine.tpm_directory or self.directory / "tpm"
            if self.machine.provisioned_tpm:
                swtpm.provision(tpm)
            stack.enter_context(swtpm.swtpm(tpm, self.files.tpm))
        make_pipes(self.files.serial)
        words = machine.command(self.machine, self.files, goes_on=bool(self._snapshot))
        (self.directory / "command").write_text(shlex.join(words) + "\n")
        qemu_log = self.directory / "qemu.log"
        self._process = child.start(words, qemu_log, listens_at=self.files.qmp)
        stack.callback(child.stop, self._process)
        log_file, raw_file = self.directory / "console.log", self.directory / "console.raw"
        self.console = Console(self.files.serial, log_file, raw_file, self._on_line, said)
        stack.callback(self.console.join)
        stack.callback(child.stop, self._process)
        self._qmp = Qmp(self.files.qmp)
        stack.callback(self._qmp.close)
        limit = threading.Timer(self._limit_s, self._end_by_limit)
        limit.daemon = True
        limit.start()
        stack.callback(limit.cancel)
        if self._snapshot:
            self._snapshot.go_on(self._qmp)

    def _end_by_limit(self) -> None:
        self._over_limit = True
        self._process.kill()

    @property
    def pid(self) -> int:
        """Process id of QEMU."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether QEMU has not ended yet."""
        return self._process.poll() is None

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the machine was switched on."""
        return time.monotonic() - self.console.started

    def expect(
        self, pattern: str, within: float = 60.0, fatal: str | None = FATAL
    ) -> re.Match[str]:
        """Wait for pattern on the console, after what was matched before; the match.

        LostVm when it does not come within so many seconds, when the machine ends, or when
        fatal matches first. Patterns see text without terminal control; ^ and $ match at lines.
        """
        match = self.console.search(
            re.compile(pattern, re.MULTILINE), re.compile(fatal) if fatal else None, within
        )
        if match is None:
            raise self._lost(f"no {pattern!r} within {within:g} s")
        return match

    def expect_stage(
        self, component: str, stage: str, status: int = 0, within: float = 60.0
    ) -> float:
        """Wait for the marker PK:component:stage:status; seconds since power-on when it was seen.

        LostVm at once when the stage ends with another status.
        """
        # What follows must have come too: a status is not over before its line is.
        match = self.expect(rf"PK:{component}:{stage}:(0x[0-9a-fA-F]+|\d+)(?=\W)", within)
        if int(match[1], 0) != status:
            raise self._lost(f"{match[0]} where status {status} was expected")
        return self.seconds

    def send(self, text: str) -> None:
        """Type text on the serial console; a line ends with "\\r"."""
        self.console.send(text)

    def qmp(self, command: str, **arguments: object) -> object:
        """Run a QMP command; underscores in argument names become dashes."""
        return self._qmp.execute(command, {k.replace("_", "-"): v for k, v in arguments.items()})

    def screenshot(self, path: Path) -> None:
        """Write what the guest's screen shows now, as PNG."""
        self.qmp("screendump", filename=str(path.absolute()), format="png")

    def stop(self) -> None:
        """Freeze the guest's processors."""
        self.qmp("stop")

    def cont(self) -> None:
        """Let a frozen guest go on."""
        self.qmp("cont")

    def reset(self) -> None:
        """Press the reset button; ends the machine unless it was made with reboot=True."""
        self.qmp("system_reset")

    def freeze(self, directory: Path) -> Snapshot:
        """Make a snapshot of the machine, which needs a memory_file and ends with this."""
        snapshot = Snapshot(directory)
        snapshot.take(self.machine, self.files, self._qmp, self.console.text)
        self.kill()
        return snapshot

    def kill(self) -> None:
        """End QEMU at once, as a crash would."""
        self._process.kill()
        self._process.wait()

    def read_memory(self, start: int, size: int) -> bytes:
        """Guest-physical memory [start, start + size), from outside; stop() the guest first."""
        if not self.machine.memory_file:
            raise ToolError("read_memory: this machine has no memory_file")
        low = machine.ram_below_4g(self.machine)
        offset = start if start < low else start - (4 << 30) + low
        with open(self.files.memory, "rb") as memory:
            memory.seek(offset)
            return memory.read(size)

    def cpu_seconds(self) -> float:
        """Processor time that QEMU has used so far: steadier than the clock on a busy host."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_exit(self, within: float = 60.0) -> str:
        """Wait until the machine has ended and say why: guest-shutdown, guest-reset ...

        LostVm when it still runs after so many seconds or was ended by its time limit.
        """
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise self._lost(f"still running after {within:g} s") from None
        if self._over_limit:
            raise self._lost("the machine did not end by itself")
        return self._exit_reason()

    def _exit_reason(self) -> str:
        self.console.join()
        self._qmp.drain()
        for event in reversed(self._qmp.events):
            if event["event"] == "SHUTDOWN" and isinstance(data := event.get("data"), dict):
                return str(data.get("reason"))
        return f"QEMU exit status {self._process.returncode}"

    def _lost(self, what: str) -> LostVm:
        if self._over_limit:
            state = f"ended by its limit of {self._limit_s:g} s"
        elif self._process.poll() is None and not self.console.closed:
            state = "still running"
        else:
            self._process.wait(10)
            state = f"ended: {self._exit_reason()}"
        qemu = (self.directory / "qemu.log").read_text(errors="replace").strip()
        parts = [f"{what} (machine {state}, {self.seconds:.0f} s)", self.console.tail()]
        return LostVm("\n".join([*parts, *([f"QEMU: {qemu[-1000:]}"] if qemu else [])]))
