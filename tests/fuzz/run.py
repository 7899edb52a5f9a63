# SPDX-License-Identifier: Apache-2.0
"""Builds the libFuzzer drivers and runs them: python tests/fuzz/run.py --seconds 600."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from pykexec.errors import ToolError  # noqa: E402
from pykexec.run import run  # noqa: E402
from tests.fuzz.corpus import seeds  # noqa: E402

PLANTED = "planted"
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
# The build, and a driver that is just starting.
_SLACK_S = 60


def build_common(work: Path) -> Path:
    """Compile csrc/common once, instrumented; the archive that build() links."""
    sources = sorted((ROOT / "csrc/common").glob("*.c"))
    run(["clang", *_FLAGS, "-c", *sources], cwd=work, timeout_s=_SLACK_S)
    archive = work / "common.a"
    run(["ar", "crs", archive, *(work / f"{source.stem}.o" for source in sources)])
    return archive


def build(name: str, archive: Path) -> Path:
    """Compile the driver called name beside archive."""
    program = archive.parent / name
    command: list[str | Path] = ["clang", *_FLAGS, HERE / f"{name}.c", archive, "-o", program]
    run(command, timeout_s=_SLACK_S)
    return program


def fuzz(program: Path, seconds: float, corpus: Path) -> None:
    """Run a driver for seconds on top of its seeds; ToolError with its last words for a fault.

    corpus keeps what was found interesting; faulty inputs lie beside it as crash-...
    """
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds(program.name)):
        (corpus / f"seed-{index}").write_bytes(seed)
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        "-max_len=8192",
        "-seed=1",
        "-timeout=10",
        f"-artifact_prefix={corpus.parent}/{program.name}-",
    ]
    run([program, *options, corpus], timeout_s=seconds + _SLACK_S)


def main() -> int:
    """Run every driver for its share of the time; 1 if any found a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for all drivers together")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build/fuzz", help="corpora and crashes"
    )
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    archive = build_common(arguments.work)
    faults = 0
    for name in DRIVERS:
        program = build(name, archive)
        try:
            fuzz(program, arguments.seconds / len(DRIVERS), arguments.work / f"corpus-{name}")
            print(f"{name}: no fault found", flush=True)
        except ToolError as error:
            print(f"{name}: {error}", flush=True)
            faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
