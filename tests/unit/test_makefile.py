# SPDX-License-Identifier: Apache-2.0
"""What the Makefile needs of its host: what is missing is told in a line, by its name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("sh", "env", "find", "id", "grep", "cat", "sudo")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The only directory that programs are found in."""
    for name in NEEDED:
        if found := shutil.which(name):
            (tmp_path / name).symlink_to(found)
    add(tmp_path, "dpkg-query", "echo not-installed")
    return tmp_path


def add(programs: Path, name: str, line: str) -> None:
    """Let a command do what line says."""
    (programs / name).write_text(f"#!/bin/sh\n{line}\n")
    (programs / name).chmod(0o755)


def install(programs: Path) -> str:
    """What `make apt` says in the end, which must fail."""
    make = shutil.which("make")
    assert make
    words = [make, "--silent", "apt", "APT_PACKAGES=gcc no-such-thing", f"PATH={programs}", "SUDO="]
    # Not as a part of the make that may have started these tests.
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    env = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    said, result = done.stderr.strip().rsplit("\n", 1)
    assert result.startswith("make: ***")
    return said


def test_a_host_without_apt_is_told_so(programs: Path) -> None:
    assert install(programs) == "apt-get: not installed: this is for Debian 12 and 13"


def test_packages_that_a_host_does_not_know_are_named(programs: Path) -> None:
    add(programs, "apt-get", "exit 0")
    add(programs, "apt-cache", '[ "$2" = no-such-thing ] || echo "$2"')
    assert install(programs) == "apt-get: no such package here: no-such-thing"
