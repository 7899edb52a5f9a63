# SPDX-License-Identifier: Apache-2.0
"""The serial console of a virtual machine: captured in full, searched forward."""

from __future__ import annotations

import codecs
import os
import re
import threading
import time
from collections.abc import Callable
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path

# Terminal control that OVMF, GRUB and shells mix into their text (ECMA-48).
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[()][0-9A-B]|\x1b[=>78cDEHM]|[\r\0\x07]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07]{0,80}|[()])?\Z")

OnLine = Callable[[float, str], None]

_SETTLED_S = 0.25  # a line that goes on does so within this time
_GATHER_S = 0.01  # for which bytes gather: each alone would be a line's work
_PIPE_SIZE = 1 << 20  # all that a user may have by default (/proc/sys/fs/pipe-max-size)


def make_pipes(path: Path) -> None:
    """Make what QEMU's `-chardev pipe,path=` opens: path.in and path.out.

    QEMU writes byte by byte, and EDK II drops what a line cannot take in time. A pipe joins bytes
    into pages; a socket keeps a buffer for each, so that it was full after 278.
    """
    for end in ("in", "out"):
        os.mkfifo(f"{path}.{end}")


class Console:
    """Reads path.out of make_pipes(), which QEMU has open, in a thread until QEMU ends.

    log_file gets every line with the seconds since the start, without terminal control;
    raw_file the bytes as they came. on_line is called from the thread. said is what the machine had
    written before it was frozen.
    """

    def __init__(
        self,
        path: Path,
        log_file: Path,
        raw_file: Path,
        on_line: OnLine | None,
        said: str = "",
    ) -> None:
        self.started = time.monotonic()
        self._input = f"{path}.in"
        # Opening must not wait for a QEMU that has failed meanwhile; reading is to wait.
        self._output = os.open(f"{path}.out", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(self._output, True)
        fcntl(self._output, F_SETPIPE_SZ, _PIPE_SIZE)
        self._log_file, self._raw_file, self._on_line = log_file, raw_file, on_line
        self._text = said
        self._position = len(said)
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """Everything the guest has written so far, terminal control removed."""
        with self._changed:
            return self._text

    @property
    def closed(self) -> bool:
        """Whether QEMU has ended and all of its output been read."""
        with self._changed:
            return self._closed

    def search(
        self, pattern: re.Pattern[str], fatal: re.Pattern[str] | None, within: float
    ) -> re.Match[str] | None:
        """The first match after the previous one, waiting for up to within seconds.

        None when the time is up, the console has closed, or fatal matched first.
        """
        deadline = time.monotonic() + within
        with self._changed:
            while True:
                match = pattern.search(self._text, self._position)
                bad = fatal.search(self._text, self._position) if fatal else None
                if match and (not bad or match.start() <= bad.start()):
                    if self._may_grow(match):
                        continue
                    self._position = match.end()
                    return match
                remaining = deadline - time.monotonic()
                if bad or self._closed or remaining <= 0:
                    return None
                self._changed.wait(remaining)

    def _may_grow(self, match: re.Match[str]) -> bool:
        """Has more text come that a match at the end, half a number or line, may go on into?"""
        size = len(self._text)
        if match.end() < size or self._closed or match[0].endswith("\n"):
            return False
        if match[0] == match.re.pattern:  # A plain text is the same whatever follows.
            return False
        self._changed.wait(_SETTLED_S)
        return len(self._text) > size

    def send(self, text: str) -> None:
        """Type text into the guest's serial port."""
        # An error, instead of waiting, when QEMU has ended.
        descriptor = os.open(self._input, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(descriptor, True)
        with open(descriptor, "wb") as file:
            file.write(text.encode())

    def tail(self, nr_lines: int = 25) -> str:
        """The last lines that are not blank, for error messages."""
        lines = [line.rstrip() for line in self.text.splitlines() if line.strip()]
        return "\n".join(lines[-nr_lines:])

    def join(self, timeout_s: float = 5.0) -> None:
        """Wait until everything that QEMU wrote before it ended has been read."""
        self._thread.join(timeout_s)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        *before, line = self._text.split("\n")
        pending = ""
        with (
            open(self._output, "rb", buffering=0) as output,
            open(self._log_file, "w", encoding="utf-8") as log,
            open(self._raw_file, "wb") as raw,
        ):
            log.writelines(f"[  before] {whole}\n" for whole in before)
            while data := output.read(_PIPE_SIZE):
                time.sleep(_GATHER_S)
                raw.write(data)
                raw.flush()
                pending += decoder.decode(data)
                cut = _UNFINISHED.search(pending)
                end = cut.start() if cut else len(pending)
                clean, pending = _CONTROL.sub("", pending[:end]), pending[end:]
                now = time.monotonic() - self.started
                *lines, line = (line + clean).split("\n")
                log.writelines(f"[{now:8.3f}] {whole}\n" for whole in lines)
                log.flush()
                # First: who is told of a line may look at what stands around it.
                with self._changed:
                    self._text += clean
                    self._changed.notify_all()
                if self._on_line:
                    for whole in lines:
                        self._on_line(now, whole)
            log.write(f"[{time.monotonic() - self.started:8.3f}] {line}\n")
        with self._changed:
            self._closed = True
            self._changed.notify_all()
