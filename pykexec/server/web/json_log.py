# SPDX-License-Identifier: Apache-2.0
"""The log as JSON: an object a line, whoever's words, and of which request."""

from __future__ import annotations

import json
import logging
import re
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

_MESSAGE_MAX = 16 << 10
_FINGERPRINT = re.compile("[0-9a-f]{64}")


@dataclass(slots=True)
class RequestNote:
    """What is known of the request that is being answered; machine is an EK's fingerprint."""

    number: str
    machine: str = ""


_current: ContextVar[RequestNote | None] = ContextVar("pykexec_request", default=None)


def begin_request(number: str) -> RequestNote:
    """What is logged in this context from now on is of that request."""
    note = RequestNote(number)
    _current.set(note)
    return note


def note_machine(fingerprint: str) -> None:
    """It is about that machine, as far as its sender says."""
    if (note := _current.get()) is not None and _FINGERPRINT.fullmatch(fingerprint):
        note.machine = fingerprint


class JsonLines(logging.Formatter):
    """time, level, logger, message; request and machine where there is one; fields of a record.

    Of an exception its type and the frames are said, not its text: that may hold what a request
    held.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, in ASCII."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        found: dict[str, object] = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_MESSAGE_MAX],
        }
        if (note := _current.get()) is not None:
            found["request"] = note.number
            if note.machine:
                found["machine"] = note.machine
        fields = getattr(record, "fields", {})
        assert isinstance(fields, dict)
        found.update(fields)
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, frames = record.exc_info
            found["exception"] = kind.__qualname__
            found["frames"] = "".join(traceback.format_tb(frames))
        return json.dumps(found)


def log_as_json(level: int) -> None:
    """Send records from level on, and Python's own warnings, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=level)
    logging.captureWarnings(True)
