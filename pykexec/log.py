# SPDX-License-Identifier: Apache-2.0
"""What is said on the console: markers, errors, and the standard logger's records."""

from __future__ import annotations

import os

CONSOLE = "/dev/console"


def printable(text: str, limit: int | None = None) -> str:
    """What others said, fit for a terminal: one line, of at most limit characters and an ellipsis.

    What a server, a file or a device could do to a terminal by control characters, those of
    direction and Unicode's second set too, becomes question marks.
    """
    shown = "".join(char if char.isprintable() else "?" for char in text[:limit])
    return shown if limit is None or len(text) <= limit else f"{shown}..."


def marker(component: str, stage: str, status: int | str = 0) -> str:
    """The line that tests and the demo wait for: PK:<component>:<stage>:<status>."""
    return f"PK:{component}:{stage}:{status}"


def print_marker(component: str, stage: str, status: int | str = 0) -> None:
    """Put a marker on the machine's console, if that can be written to."""
    _to_console(f"\n{marker(component, stage, status)}\n")


def drain_console() -> None:
    """Wait until everything that was written to the console has left Linux.

    What it still holds is lost when it ends, and mixed with what the firmware says before.
    """
    _to_console("")


def _to_console(text: str) -> None:
    import termios

    try:
        fd = os.open(CONSOLE, os.O_WRONLY | os.O_NOCTTY)
    except OSError:
        return
    try:
        os.write(fd, text.encode())
        termios.tcdrain(fd)
    except (OSError, termios.error):
        pass
    finally:
        os.close(fd)


def describe(error: Exception) -> str:
    """The error as people get to see it: one line, file first."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error)
    return printable(" ".join(text.split()))


def reason(error: Exception, what: str) -> str:
    """describe() where the reader knows of what: without that at its front."""
    return describe(error).removeprefix(f"{printable(' '.join(what.split()))}: ")


def configure(verbose: bool) -> None:
    """Send records to standard error; -v shows debug records, otherwise warnings only."""
    import logging

    log_to_stderr("%(name)s: %(message)s", logging.DEBUG if verbose else logging.WARNING)


def log_to_stderr(layout: str, level: int) -> None:
    """Send records from level on to standard error, a printable line each, whoever's words."""
    import logging

    class Printable(logging.Formatter):
        def formatMessage(self, record: logging.LogRecord) -> str:
            return printable(super().formatMessage(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Printable(layout))
    logging.basicConfig(handlers=[handler], level=level)
