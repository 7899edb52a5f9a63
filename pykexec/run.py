# SPDX-License-Identifier: Apache-2.0
"""The one place where child processes are started."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pykexec.errors import ToolError

log = logging.getLogger(__name__)


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout_s: float | None = None,
    success: Collection[int] = (0,),
) -> bytes:
    """Run command and return its standard output; ToolError if it fails, is missing or too slow.

    success are the exit statuses that are no failure. env is added to the environment. The command
    line is logged so that it can be pasted into a shell.
    """
    words = [os.fspath(word) for word in command]
    line = shlex.join(words)
    log.debug("run: %s", line)
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolError(f"{words[0]}: not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{line}: no end after {timeout_s} s") from error
    if done.returncode not in success:
        words_of_end = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ToolError(f"{line}: exit status {done.returncode}: {words_of_end[-2000:]}")
    return done.stdout
