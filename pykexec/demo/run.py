# SPDX-License-Identifier: Apache-2.0
"""What all demos share: who watches them, how one run of a machine is followed, what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import UsageError
from pykexec.image import Built
from pykexec.vm import packages
from pykexec.vm.kernels import Kernel
from pykexec.vm.machine import Machine
from pykexec.vm.stages import MissedStage, Progress, Reached, Stage
from pykexec.vm.vm import Vm

LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Observer:
    """Who is told what happens while it happens.

    on_run gets the title of what follows; on_step what was done on this machine and the seconds
    that it took; on_line a line of the console, its time, and whether the reader should see it even
    without asking for all of them.
    """

    on_run: Callable[[str], None] = lambda title: None
    on_step: Callable[[str, float], None] = lambda text, seconds: None
    on_stage: Callable[[Reached], None] = lambda reached: None
    on_line: Callable[[float, str, bool], None] = lambda seconds, text, shown: None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a machine that went well: every stage came, in order."""

    stages: tuple[Reached, ...]
    seconds: float
    """From switching the machine on to its end."""
    cpu_seconds: float
    """Of QEMU, up to the last stage."""
    log: Path
    pictures: tuple[Path, ...]
    seen: tuple[str, ...] = ()
    """What it has shown outside of the machine, a sentence each."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A demo that went well."""

    runs: tuple[Run, ...]
    kernel: str
    image_size: int
    overhead_size: int
    """Bytes of the image that are not the kernel."""

    @property
    def stages(self) -> tuple[Reached, ...]:
        """Those of all runs."""
        return tuple(reached for run in self.runs for reached in run.stages)

    @property
    def seconds(self) -> float:
        """That machines were switched on."""
        return sum(run.seconds for run in self.runs)

    def proven(self) -> list[str]:
        """One sentence for each thing that was shown, with what was seen."""
        proven = []
        for run in self.runs:
            proven += [reached.proof for reached in run.stages if reached.proof]
            proven += run.seen
        return proven

    def group_seconds(self) -> dict[str, float]:
        """Seconds by Stage.group, in order."""
        groups: dict[str, float] = {}
        for reached in self.stages:
            groups[reached.stage.group] = groups.get(reached.stage.group, 0.0) + reached.took
        return groups


def result(runs: Sequence[Run], kernel: Kernel, built: Built) -> DemoResult:
    """What runs of machines that started the image built came to."""
    return DemoResult(tuple(runs), kernel.release, len(built.data), built.overhead_size)


def run_machine(
    machine: Machine,
    directory: Path,
    stages: Sequence[Stage],
    observer: Observer,
    *,
    end: str | None = "guest-shutdown",
) -> Run:
    """Switch machine on, wait for all stages and then for its end; MissedStage if one fails.

    end is the reason that it must end by; None does not wait. console.log and pictures come to lie
    in directory.
    """
    progress = Progress(stages, observer.on_stage, observer.on_line)
    with Vm(machine, directory, limit_s=LIMIT_S, on_line=progress.line) as vm:
        pictures = []
        for number, stage in enumerate(progress.stages):
            progress.wait(vm, number)
            if stage.picture:
                pictures.append(directory / f"{stage.picture}.png")
                vm.screenshot(pictures[-1])
        cpu_seconds = vm.cpu_seconds() if vm.running else 0.0
        if end:
            _expect_end(vm, end)
        return Run(
            stages=tuple(progress.reached),
            seconds=vm.seconds,
            cpu_seconds=cpu_seconds,
            log=directory / "console.log",
            pictures=tuple(pictures),
        )


def _expect_end(vm: Vm, expected: str) -> None:
    reason = vm.wait_exit(30)
    if reason != expected:
        raise MissedStage(f"the machine ended by {reason}, not by {expected}", vm.console.tail())


class Steps:
    """Times what is done on this machine, outside of the virtual one."""

    def __init__(self, observer: Observer) -> None:
        self._observer, self._since = observer, time.monotonic()

    def start(self) -> None:
        """What was going on until now is nobody's time."""
        self._since = time.monotonic()

    def done(self, text: str) -> None:
        """Tell of a step that has just ended."""
        now = time.monotonic()
        self._observer.on_step(text, now - self._since)
        self._since = now


def check_kernel(name: str) -> None:
    """Refuse with UsageError a kernel that there is not."""
    if name not in packages.KERNELS:
        known = ", ".join(packages.KERNELS)
        raise UsageError(f"no kernel {name!r}: there are {known}")


def mib(size: int) -> str:
    """A size for people."""
    return f"{size / (1 << 20):.1f} MiB"
