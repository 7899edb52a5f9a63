# SPDX-License-Identifier: Apache-2.0
"""Runs a fuzzer for as long as it has the processor: how busy the machine is changes nothing.

It has two limits: what it uses, and for how long it neither runs nor waits to run, which is how one
looks that waits for what does not come.
"""

from __future__ import annotations

import logging
import math
import os
import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError

log = logging.getLogger(__name__)

IDLE_S = 20.0
"""A fuzzer has all that it needs: but for a fault, or a slow disk, nothing keeps it waiting."""
START_S = 180.0
"""Python's imports under atheris are a tenth of that."""
_LOOK_S = 0.25
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_NS = 1e9


@dataclass(frozen=True, slots=True)
class Ran:
    """Exit status (below zero: by which signal), seconds of the processor, and all that it said."""

    status: int
    cpu_s: float
    said: str


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds of the processor: max_s is a fault, after enough_s it is asked to end.

    Both count from when it says begins; until then start_s is a fault. idle_s are the clock's.
    """

    max_s: float
    enough_s: float = math.inf
    begins: str = ""
    start_s: float = START_S
    idle_s: float = IDLE_S


def run_by_processor(
    command: Sequence[str | os.PathLike[str]], limits: Limits, *, cwd: Path, output: Path
) -> Ran:
    """Run command, what it says in output, until it ends; ToolError at a limit.

    It is asked to end by SIGUSR1, as libFuzzer has it.
    """
    words = [os.fspath(word) for word in command]
    line = shlex.join(words)
    log.debug("run: %s", line)
    before_s = _children_s()
    with output.open("wb") as file:
        process = subprocess.Popen(
            words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        fault = _watch(process, limits, output)
    finally:
        process.kill()
        status = process.wait()
    if fault:
        raise ToolError(f"{line}: {fault}")
    return Ran(status, _children_s() - before_s, output.read_text(errors="replace"))


def _watch(process: subprocess.Popen[bytes], limits: Limits, output: Path) -> str:
    """Until it has ended; what was wrong, "" for nothing."""
    begun_s = None if limits.begins else 0.0
    asked = False
    idle_s, last, last_active_s = 0.0, time.monotonic(), 0.0
    while True:
        try:
            process.wait(_LOOK_S)
            return ""
        except subprocess.TimeoutExpired:
            used_s, (runnable, active_s) = _used_s(process.pid), _activity(process.pid)
        if begun_s is None and limits.begins.encode() in output.read_bytes():
            begun_s = used_s
        since_s = used_s - (begun_s or 0.0)
        if since_s > (limits.start_s if begun_s is None else limits.max_s):
            return f"no end after {since_s:.0f} s of the processor"
        if begun_s is not None and since_s > limits.enough_s and not asked:
            process.send_signal(signal.SIGUSR1)
            asked = True
        now = time.monotonic()
        passed_s, was_active_s = now - last, active_s - last_active_s
        last, last_active_s = now, active_s
        if runnable or was_active_s > passed_s / 2:
            idle_s = 0.0
        else:
            idle_s += passed_s - was_active_s
        if idle_s > limits.idle_s:
            return f"waits for {idle_s:.0f} s, and not for the processor"


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _used_s(pid: int) -> float:
    """Seconds of the processor up to now, those of children that ended too."""
    return sum(map(int, _stat(Path(f"/proc/{pid}"))[11:15])) * _TICK_S


def _activity(pid: int) -> tuple[bool, float]:
    """Whether a thread of it runs or waits to run, and for how long they have by now.

    What one waits is added when its turn comes: one that gets none is seen by its state.
    """
    runnable, active_ns = False, 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            ran, waited, _turns = (task / "schedstat").read_text().split()
            runnable |= _stat(task)[0] == "R"
        except OSError:  # It has ended since.
            continue
        active_ns += int(ran) + int(waited)
    return runnable, active_ns / _NS


def _stat(process: Path) -> list[str]:
    """proc_pid_stat(5) from its third field on."""
    return (process / "stat").read_text().rpartition(")")[2].split()
