# SPDX-License-Identifier: Apache-2.0
"""A client of the QEMU Machine Protocol, just large enough for what we ask."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path

from pykexec.errors import ToolError


class Qmp:
    """One connection; execute() answers in order, events collect in .events."""

    def __init__(self, path: Path, timeout_s: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self.events: list[dict[str, object]] = []
        self._read()
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> object:
        """Run a QMP command and return its result; ToolError when QEMU refuses or is gone."""
        request = {"execute": command, "arguments": dict(arguments or {})}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self._read()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise ToolError(f"QMP {command}: {answer['error']}")
        except OSError as error:
            raise ToolError(f"QMP {command}: {error}") from error

    def drain(self) -> None:
        """Collect the events that a QEMU which has ended left behind."""
        try:
            while self._read():
                pass
        except (OSError, ToolError):
            pass

    def close(self) -> None:
        """Drop the connection."""
        self._lines.close()
        self._socket.close()

    def _read(self) -> dict[str, object]:
        line = self._lines.readline()
        if not line:
            raise ToolError("QMP: QEMU is gone")
        message: dict[str, object] = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message
