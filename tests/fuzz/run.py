# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the fuzzers: libFuzzer's drivers in C, and the table of targets in Python."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.run import run
from tests.fuzz.corpus import seeds
from tests.fuzz.stub import STUB_DRIVER, stub_objects
from tests.fuzz.targets import seeds_of, target_of
from tests.support.mutations import spoilt

PLANTED = "planted"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DRIVERS = sorted(path.stem for path in HERE.glob("*.c") if path.stem != PLANTED)

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
# The build, and a driver that is just starting, on a machine with other work.
_SLACK_S = 180
# Of inputs that are made; those to start from may be larger, and are then the measure.
_SIZE_MAX = 8192


def build_common(work: Path) -> Path:
    """Compile what is pure once, instrumented; the archive that build() links."""
    sources = [*sorted((ROOT / "csrc/common").glob("*.c")), ROOT / "csrc/native/segment.c"]
    run(["clang", *_FLAGS, "-c", *sources], cwd=work, timeout_s=_SLACK_S)
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
    run([*command, "-o", program], timeout_s=_SLACK_S)
    return program


def fuzz(program: Path, seconds: float, corpus: Path) -> None:
    """Run a driver for seconds on top of its seeds; ToolError with its last words for a fault.

    corpus keeps what was found interesting; faulty inputs lie beside it as crash-...
    """
    _run([program], program.name, seeds(program.name), seconds, corpus)


def fuzz_python(name: str, seconds: float, corpus: Path) -> None:
    """The same for one target of the table, whose coverage atheris watches.

    What a faulty input raises is raised here, too; ToolError for one that takes too long.
    """
    driver = [sys.executable, "-m", "tests.fuzz.python_driver", name]
    try:
        _run(driver, name, seeds_of(name), seconds, corpus)
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
    driver: Sequence[str | Path], name: str, inputs: Sequence[bytes], seconds: float, corpus: Path
) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(inputs):
        (corpus / f"seed-{index}").write_bytes(seed)
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={max(_SIZE_MAX, *map(len, inputs), 0)}",
        "-seed=1",
        "-timeout=10",
        f"-artifact_prefix={corpus.parent}/{name}-",
    ]
    run([*driver, *options, corpus], cwd=ROOT, timeout_s=seconds + _SLACK_S)


def replay(program: Path, data: bytes) -> None:
    """Run a driver on one input; ToolError with its last words for a fault."""
    path = program.parent / "input"
    path.write_bytes(data)
    # A broken promise ends it at once: what it says is not followed by pages of the fuzzer's.
    run([program, "-handle_ill=0", path], timeout_s=_SLACK_S)


def try_python(name: str, seconds: float) -> int:
    """Spoil a target's inputs for seconds, blindly but always alike; how many were tried.

    What is needed for it is there on every machine, which atheris is not.
    """
    inputs = seeds_of(name)
    for data in inputs:
        _give(name, data)
    chance = random.Random(1)
    end = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < end:
        data = chance.choice(inputs)
        for _ in range(chance.randint(1, 4)):
            data = spoilt(chance, data or b"\0")
        _give(name, data)
        tried += 1
    return tried
