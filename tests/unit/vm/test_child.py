# SPDX-License-Identifier: Apache-2.0
"""Children that listen at a socket: none is taken for ready before it does."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.vm.child import start, stop

SERVER = """\
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
time.sleep(0.5)
server.listen()
time.sleep(60)
"""


def test_a_child_is_ready_when_it_can_be_connected_to(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    child = start([sys.executable, "-c", SERVER, path], tmp_path / "log", listens_at=path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    stop(child)


def test_a_child_that_ends_instead_is_told_with_its_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no reason')"]
    with pytest.raises(ToolError, match="did not start: no reason"):
        start(command, tmp_path / "log", listens_at=tmp_path / "socket")
