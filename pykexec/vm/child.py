# SPDX-License-Identifier: Apache-2.0
"""Long-running child processes that cannot outlive us."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from pykexec.errors import ToolError

log = logging.getLogger(__name__)

_SO_ACCEPTCON = 1 << 16  # <linux/net.h>, not in its UAPI


def start(
    command: Sequence[str | os.PathLike[str]], log_file: Path, *, listens_at: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start command with its output in log_file; return once it listens at that socket.

    The kernel kills it when the calling thread ends.
    """
    words = [os.fspath(word) for word in command]
    log.debug("start: %s", shlex.join(words))
    with open(log_file, "wb") as output:
        try:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except FileNotFoundError as error:
            raise ToolError(f"{error.filename}: not installed") from error
    deadline = time.monotonic() + 20
    while listens_at and not _listens(process.pid, listens_at):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            words_of_end = log_file.read_text(errors="replace")[-2000:].strip()
            raise ToolError(f"{shlex.join(words)}: did not start: {words_of_end}")
        time.sleep(0.02)
    return process


def _listens(pid: int, socket: Path) -> bool:
    """Whether socket is more than a name: it has that before anybody can connect (unix(7)).

    pid may be in a network of its own.
    """
    try:
        sockets = Path(f"/proc/{pid}/net/unix").read_text().splitlines()
    except OSError:
        return False  # It has ended.
    listening = (line.split() for line in sockets if line.endswith(f" {socket}"))
    return any(int(fields[3], 16) & _SO_ACCEPTCON for fields in listening)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End process: politely, then by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
