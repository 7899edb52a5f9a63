# SPDX-License-Identifier: Apache-2.0
"""What belongs to the project: the files that git knows, or is about to."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pykexec.run import run

ROOT = Path(__file__).resolve().parents[2]
C_SUFFIXES = (".c", ".h", ".S", ".lds", ".def")


@cache
def tracked(*suffixes: str) -> tuple[Path, ...]:
    """Files below ROOT that git tracks or would add; all of them, or those with these suffixes.

    Outside of a git checkout (a source distribution) every file counts.
    """
    if (ROOT / ".git").exists():
        output = run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT
        )
        paths = [ROOT / name for name in output.decode().split("\0") if name]
    else:
        paths = list(ROOT.rglob("*"))
    return tuple(
        sorted(path for path in paths if path.is_file() and path.name.endswith(suffixes or ("",)))
    )


def relative(path: Path) -> str:
    """For a test's message."""
    return str(path.relative_to(ROOT))
