# SPDX-License-Identifier: Apache-2.0
"""Where syslog messages go: standard output, a file, a collector by TCP or TLS.

send() comes back when they are as safe as the target can tell: on the disk, or acknowledged by the
collector's TCP, since RFC 6587 and RFC 5425 have no answer of their own.
"""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pykexec.errors import NetworkError, UsageError
from pykexec.server.trail.syslog import counted

_WAIT_S = 10.0
_LOOK_S = 0.005
_PORTS = {"tcp": 601, "tls": 6514}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files (PEM): who vouches for the collector, None for whom the system trusts; and what we show
    it, if it wants to know us.
    """

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Target(Protocol):
    """Takes messages."""

    def send(self, lines: Sequence[bytes]) -> None:
        """All of them, in order; OSError or NetworkError, and it may have taken some."""

    def close(self) -> None:
        """No more will come."""


def open_target(text: str, tls: Tls) -> Target:
    """ "stdout", file:PATH, tcp://HOST:PORT or tls://HOST:PORT; UsageError."""
    if text == "stdout":
        return _Stdout()
    if text.startswith("file:"):
        return _File(Path(text.removeprefix("file:")))
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or url.scheme not in _PORTS or url.path.strip("/") or url.query or url.username:
        raise UsageError("where to? stdout, file:PATH, tcp://HOST:PORT or tls://HOST:PORT")
    return _Stream(host, port or _PORTS[url.scheme], tls if url.scheme == "tls" else None)


class _Stdout:
    def send(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, lines: Sequence[bytes]) -> None:
        """Opened each time: who rotates logs moves it away."""
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        with open(fd, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            # Whoever wrote the last line did not come to its end: it is sent again.
            data = (b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines)
            while data:
                data = data[file.write(data) :]
            os.fsync(fd)

    def close(self) -> None:
        pass


class _Stream:
    def __init__(self, host: str, port: int, tls: Tls | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._socket: socket.socket | None = None

    def send(self, lines: Sequence[bytes]) -> None:
        try:
            connection = self._socket or self._connect()
            _check_alive(connection)
            for line in lines:
                connection.sendall(counted(line))
            _wait_until_heard(connection)
        except (OSError, ValueError) as error:
            self.close()
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NetworkError(f"{self._host}:{self._port}: {words}") from None

    def close(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), _WAIT_S)
        try:
            self._socket = plain if self._tls is None else _secured(plain, self._host, self._tls)
        except BaseException:
            plain.close()
            raise
        return self._socket


def _secured(plain: socket.socket, host: str, tls: Tls) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=tls.authorities)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context.wrap_socket(plain, server_hostname=host)


def _check_alive(connection: socket.socket) -> None:
    """A collector says nothing, but that it goes."""
    connection.settimeout(0)
    try:
        while connection.recv(4096):
            pass
        raise ConnectionResetError("the collector has ended the connection")
    except (BlockingIOError, ssl.SSLWantReadError):
        pass
    finally:
        connection.settimeout(_WAIT_S)


def _wait_until_heard(connection: socket.socket) -> None:
    """Until its TCP has acknowledged all of it (SIOCOUTQ, tcp(7))."""
    deadline = time.monotonic() + _WAIT_S
    while _unheard(connection):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the collector has not acknowledged it within {_WAIT_S:.0f} s")
        time.sleep(_LOOK_S)
    _check_alive(connection)


def _unheard(connection: socket.socket) -> int:
    """Bytes. SIOCOUTQ is TIOCOUTQ's number."""
    (found,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(found)
