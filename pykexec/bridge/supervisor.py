# SPDX-License-Identifier: Apache-2.0
"""Asking the supervisor of the bridges, which is started when there is none yet."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from pykexec.bridge import SOCKET
from pykexec.config.bridges import KINDS
from pykexec.errors import FirmwareError
from pykexec.steps import attempt

WAIT_S = 20.0
_START_S = 10.0
_SPAWN_S = 1.0
_ANSWER_S = 20.0  # Probing a driver of the kernel takes its time.
_ANSWER_MAX = 1 << 20


def ensure(*kinds: str, wait_s: float = WAIT_S) -> list[dict[str, Any]]:
    """Have the bridges of these kinds (all by default) running; what each of them is doing.

    Comes back when all are up or have failed, or after wait_s. A row has kind, name, handle, state
    (UP, STARTING, FAILED), fault, and what the bridge has published of itself (node ...).
    """
    return _ask({"do": "ensure", "kinds": kinds or KINDS, "wait_s": wait_s}, wait_s, start=True)


def begin(*kinds: str) -> None:
    """The same, without waiting for anything."""
    _detached(lambda: ensure(*kinds, wait_s=0))


def status() -> list[dict[str, Any]]:
    """What the bridges are doing; nothing where no supervisor runs."""
    return _ask({"do": "status"}, 0)


def stop(*kinds: str, wait_s: float = WAIT_S) -> list[dict[str, Any]]:
    """End the bridges of these kinds, or all and the supervisor with them; what is left over."""
    return _ask({"do": "stop", "kinds": kinds or KINDS}, wait_s)


def release(handle: int) -> None:
    """End the bridge of a device that is about to be taken away, if there is one."""
    _ask({"do": "release", "handle": handle}, 0)


def missing(rows: Iterable[dict[str, Any]], kinds: Iterable[str] = KINDS) -> list[str]:
    """A line for each kind of which this machine has no device."""
    words = {"block": "no disk", "net": "no network device", "tpm": "no TPM"}
    present = {row["kind"] for row in rows}
    return [words[kind] for kind in kinds if kind not in present]


def _ask(request: dict[str, Any], wait_s: float, start: bool = False) -> list[dict[str, Any]]:
    try:
        try:
            return _exchange(request, wait_s, start)
        except ConnectionError:  # It was just ending.
            return _exchange(request, wait_s, start)
    except FirmwareError:
        raise
    except (OSError, ValueError) as error:
        fault = f"the supervisor of the bridges does not answer: {error}"
        raise FirmwareError(errno.ETIMEDOUT, fault, SOCKET) from error


def _exchange(request: dict[str, Any], wait_s: float, start: bool) -> list[dict[str, Any]]:
    connection = _connect(start)
    if connection is None:
        return []
    with connection:
        connection.settimeout(wait_s + _ANSWER_S)
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < _ANSWER_MAX:
            part = connection.recv(65536)
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            answer += part
    rows: list[dict[str, Any]] = json.loads(answer)
    return rows


def _connect(start: bool) -> socket.socket | None:
    deadline = time.monotonic() + _START_S
    spawn_at = 0.0
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(SOCKET)
            return connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
        if not start:
            return None
        if time.monotonic() >= spawn_at:
            # Once more: bridges of one that was killed may still be ending, and it waits for none.
            _spawn()
            spawn_at = time.monotonic() + _SPAWN_S
        if time.monotonic() > deadline:
            raise FirmwareError(errno.ETIMEDOUT, "the supervisor does not start", SOCKET)
        time.sleep(0.02)


def _spawn() -> None:
    from pykexec.bridge.daemon import run

    _detached(lambda: run(SOCKET))


def _detached(do: Callable[[], object]) -> None:
    """Do it in a process that is nobody's child and outlives whoever asked."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if attempt("bridge", os.fork, -1) == 0:
            attempt("bridge", do, None)
    finally:
        os._exit(0)
