# SPDX-License-Identifier: Apache-2.0
"""Asking a supervisor that may be ending just now."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread

import pytest

from pykexec.bridge import supervisor
from pykexec.errors import FirmwareError


def serve(listener: socket.socket, *answers: bytes) -> None:
    """Answer a client each; nothing: hang up."""
    for answer in answers:
        connection, _ = listener.accept()
        with connection:
            if answer:
                connection.recv(4096)
                connection.sendall(answer)


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Where clients come."""
    path = str(tmp_path / "socket")
    monkeypatch.setattr(supervisor, "SOCKET", path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(2)
    return listener


def test_who_came_when_it_was_ending_asks_again(listener: socket.socket) -> None:
    with listener:
        serving = Thread(target=serve, args=(listener, b"", b"[]\n"))
        serving.start()
        assert supervisor.status() == []
        serving.join()


@pytest.mark.parametrize("answers", [(b"", b""), (b"[\n",), (b"cut", b"cut")])
def test_a_supervisor_that_does_not_answer_is_named(
    answers: tuple[bytes, ...], listener: socket.socket
) -> None:
    with listener:
        serving = Thread(target=serve, args=(listener, *answers))
        serving.start()
        with pytest.raises(FirmwareError, match="supervisor of the bridges does not answer"):
            supervisor.status()
        serving.join()


def test_without_a_supervisor_nothing_is_bridged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SOCKET", str(tmp_path / "none"))
    assert supervisor.status() == []
