# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the fuzzers: libFuzzer's drivers in C, and the table of targets in Python."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.run import run
from tests.fuzz.corpus import seeds
from tests.fuzz.processor import IDLE_S, Limits, Ran, run_by_processor
from tests.fuzz.stub import STUB_DRIVER, stub_objects
from tests.fuzz.targets import seeds_of, target_of
from tests.support.mutations import spoilt

PLANTED = "planted"
HANGING = "hanging"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DRIVERS = sorted(path.stem for path in HERE.glob("*.c") if path.stem not in (PLANTED, HANGING))

_FLAGS = (
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-omit-frame-pointer",
    "-fsanitize=fuzzer,address,undefined",
    "-fno-sanitize-recover=all",
    f"-I{ROOT / 'csrc'}",
    f"-I{ROOT / 'csrc/include'}",
)
INPUT_S = 10
"""Seconds of the processor that one input may take."""
_END_S = 60
# libFuzzer's own: it ended for an input that took longer than that by the clock.
_TIMEOUT = 70
_BEGINS = "\tINITED"
_ONE_BEGINS = "Running: "
_EXECUTIONS = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)
# Of inputs that are made; those to start from may be larger, and are then the measure.
_SIZE_MAX = 8192


def build_common(work: Path) -> Path:
    """Compile what is pure once, instrumented; the archive that build() links."""
    sources = [*sorted((ROOT / "csrc/common").glob("*.c")), ROOT / "csrc/native/segment.c"]
    run(["clang", *_FLAGS, "-c", *sources], cwd=work)
    archive = work / "common.a"
    run(["ar", "crs", archive, *(work / f"{source.stem}.o" for source in sources)])
    return archive


def build(name: str, archive: Path, defines: Sequence[str] = ()) -> Path:
    """Compile the driver called name beside archive; defines are of csrc/stub/lib/test.h."""
    work = archive.parent / "-".join([name, *defines])
    work.mkdir(exist_ok=True)
    objects = []
    if name == STUB_DRIVER:
        objects = stub_objects(_FLAGS, archive.parent / "stub", work, defines)
    program = work / name
    command: list[str | Path] = ["clang", *_FLAGS, HERE / f"{name}.c", *objects, archive]
    run([*command, "-o", program])
    return program


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What a run came to: seconds of the processor, and inputs tried.

    slow are those that took long by the clock alone, as the machine was busy.
    """

    cpu_s: float = 0.0
    executions: int = 0
    slow: int = 0

    def __add__(self, other: Fuzzed) -> Fuzzed:
        return Fuzzed(
            self.cpu_s + other.cpu_s,
            self.executions + other.executions,
            self.slow + other.slow,
        )


def fuzz(program: Path, seconds: float, corpus: Path, input_s: int = INPUT_S) -> Fuzzed:
    """Run a driver for seconds of the processor on top of its seeds; ToolError with its last words
    for a fault, or for an input that takes longer than input_s.

    corpus keeps what was found interesting; faulty inputs lie beside it, crash-... and timeout-...
    """
    return _run([program], program.name, seeds(program.name), seconds, corpus, input_s)


def fuzz_python(name: str, seconds: float, corpus: Path) -> Fuzzed:
    """The same for one target of the table, whose coverage atheris watches.

    What a faulty input raises is raised here, too; ToolError for one that takes too long.
    """
    driver = [sys.executable, "-m", "tests.fuzz.python_driver", name]
    try:
        return _run(driver, name, seeds_of(name), seconds, corpus, INPUT_S)
    except ToolError:
        for found in sorted(corpus.parent.glob(f"{name}-crash-*")):
            _give(name, found.read_bytes())
        raise


def _give(name: str, data: bytes) -> None:
    try:
        target_of(name)(data)
    except Exception as error:
        error.add_note(f"{name}: {data.hex()}")
        raise


def _run(
    driver: Sequence[str | Path],
    name: str,
    inputs: Sequence[bytes],
    seconds: float,
    corpus: Path,
    input_s: int,
) -> Fuzzed:
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(inputs):
        (corpus / f"seed-{index}").write_bytes(seed)
    log = corpus.parent / f"{name}.log"
    options = [
        f"-max_len={max(_SIZE_MAX, *map(len, inputs), 0)}",
        "-seed=1",
        "-print_final_stats=1",
        f"-artifact_prefix={corpus.parent}/{name}-",
    ]
    done, patience_s = Fuzzed(), input_s
    while (left_s := seconds - done.cpu_s) > 0:
        command = [*driver, *options, f"-timeout={patience_s}", corpus]
        limits = Limits(left_s + _END_S, left_s, _BEGINS, idle_s=2 * patience_s + IDLE_S)
        ran = run_by_processor(command, limits, cwd=ROOT, output=log)
        slow = sorted(corpus.parent.glob(f"{name}-timeout-*")) if ran.status == _TIMEOUT else []
        if ran.status and not slow:
            raise _fault(ran, name)
        for path in slow:
            _judge(driver, path, log, input_s)
            path.unlink()
        # Nothing was wrong with it: this machine is busy, and the next may be as long again.
        patience_s *= 2 if slow else 1
        found = _EXECUTIONS.search(ran.said)
        done += Fuzzed(ran.cpu_s, int(found[1]) if found else 0, len(slow))
    return done


def _judge(driver: Sequence[str | Path], path: Path, log: Path, input_s: int) -> None:
    """ToolError for an input that needs the processor, or waits, for too long.

    libFuzzer, which found it, goes by the clock.
    """
    limits = Limits(input_s, begins=_ONE_BEGINS, idle_s=3 * input_s)
    ran = run_by_processor([*driver, "-timeout=0", path], limits, cwd=ROOT, output=log)
    if ran.status:
        raise _fault(ran, path.name)


def _fault(ran: Ran, name: str) -> ToolError:
    return ToolError(f"{name}: exit status {ran.status}: {ran.said.strip()[-4000:]}")


def replay(program: Path, data: bytes) -> None:
    """Run a driver on one input; ToolError with its last words for a fault."""
    path = program.parent / "input"
    path.write_bytes(data)
    # A broken promise ends it at once: what it says is not followed by pages of the fuzzer's.
    limits = Limits(INPUT_S, begins=_ONE_BEGINS)
    command: list[str | Path] = [program, "-handle_ill=0", "-timeout=0", path]
    ran = run_by_processor(command, limits, cwd=ROOT, output=program.parent / "log")
    if ran.status:
        raise _fault(ran, program.name)


def try_python(name: str, seconds: float) -> Fuzzed:
    """Spoil a target's inputs for seconds of the processor, blindly but always alike.

    What is needed for it is there on every machine, which atheris is not.
    """
    inputs = seeds_of(name)
    begin = time.process_time()
    for data in inputs:
        _give(name, data)
    chance = random.Random(1)
    tried = len(inputs)
    while (used_s := time.process_time() - begin) < seconds:
        data = chance.choice(inputs)
        for _ in range(chance.randint(1, 4)):
            data = spoilt(chance, data or b"\0")
        _give(name, data)
        tried += 1
    return Fuzzed(used_s, tried)
