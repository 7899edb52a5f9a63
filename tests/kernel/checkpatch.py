# SPDX-License-Identifier: Apache-2.0
"""The kernel's own critics of style: scripts/checkpatch.pl and scripts/kernel-doc."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pykexec.run import run

# Asks of each patch by itself what a test asks of all of them: is every new file in MAINTAINERS?
_ANSWERED = "FILE_PATH_CHANGES"
# It would ask the python3 that comes first in PATH, which may be one that has no codespell.
_SPELLING = "/usr/lib/python3/dist-packages/codespell_lib/data/dictionary.txt"


def complaints(source: Path, patch: Path) -> list[str]:
    """What checkpatch finds fault with in patch, spelling included."""
    options = ["--strict", "--codespell", "--show-types", "--terse", "--no-summary"]
    options += ["--codespellfile", _SPELLING, "--ignore", _ANSWERED, "--color=never"]
    command = ["scripts/checkpatch.pl", *options]
    # It ends with 1 when it has found something: what that is stands in its output.
    said = run(["/bin/sh", "-c", '"$@" 2>&1; [ $? -le 1 ]', "sh", *command, patch], cwd=source)
    return [line for line in said.decode(errors="replace").splitlines() if line]


def doc_complaints(tree: Path, names: Sequence[str]) -> set[str]:
    """What kernel-doc finds fault with in files below tree; without the lines' numbers."""
    if not names:
        return set()
    command = ["perl", "scripts/kernel-doc", "-none", "-Wall", *names]
    said = run(["/bin/sh", "-c", '"$@" 2>&1; true', "sh", *command], cwd=tree).decode()
    return {re.sub(r":\d+:", ":", line) for line in said.splitlines() if "warning:" in line}
