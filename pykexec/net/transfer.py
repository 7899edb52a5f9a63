# SPDX-License-Identifier: Apache-2.0
"""What the clients of all protocols share: limits, the clock, and where the bytes go."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from dataclasses import dataclass
from typing import Protocol

from pykexec.config.url import Url
from pykexec.errors import NetworkError

MAX_SIZE = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What a download may take at most.

    size is bytes; timeout_s is how long a server may be silent, total_s how long everything may
    last, attempts included. authorities is PEM: who may vouch for an HTTPS server; without it HTTPS
    is refused, for nobody else is trusted here.
    """

    size: int = MAX_SIZE
    timeout_s: float = 10.0
    total_s: float = 600.0
    attempts: int = 3
    authorities: str = ""


class Transient(NetworkError):
    """What may be gone at the next attempt; the server wants none before retry_after_s seconds."""

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Deadline:
    """The end of all patience, fixed when it is made."""

    def __init__(self, limits: Limits) -> None:
        self._end = time.monotonic() + limits.total_s
        self._timeout_s = limits.timeout_s

    @property
    def left_s(self) -> float:
        """Seconds to it, 0 if it has passed."""
        return max(0.0, self._end - time.monotonic())

    def silence_s(self, url: Url) -> float:
        """How long to wait for the next bytes; NetworkError once there is no time left."""
        if not self.left_s:
            raise NetworkError(f"{url}: took too long, given up")
        return min(self._timeout_s, self.left_s)


class Taken(Protocol):
    """Whoever takes bytes: so many have come."""

    size: int


class Sink:
    """Writes what comes to a file descriptor, from its start, and digests it."""

    def __init__(self, fd: int, url: Url, limit: int) -> None:
        self._fd, self._url, self._limit = fd, url, limit
        self.restart()

    def restart(self) -> None:
        """Forget what came: it comes once more."""
        self.size = 0
        self._digest = hashlib.sha256()
        os.ftruncate(self._fd, 0)

    def expect(self, size: int) -> None:
        """Refuse with NetworkError, before they come, more bytes than may come."""
        if size > self._limit:
            raise NetworkError(f"{self._url}: {size} bytes, more than the {self._limit} that fit")

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if len(data) > self._limit - self.size:
            raise NetworkError(f"{self._url}: more than the {self._limit} bytes that fit")
        self._digest.update(data)
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, self.size)
            self.size += written
            view = view[written:]

    @property
    def sha256(self) -> str:
        """Of all that came so far, in hex."""
        return self._digest.hexdigest()


def resolve(url: Url, kind: socket.SocketKind) -> list[tuple[int, tuple[object, ...]]]:
    """Families and addresses of the server; NetworkError if its name is not known, Transient if
    nobody says whether it is.
    """
    host = f"{url.host}%{url.scope}" if url.scope else url.host
    try:
        # As bytes: text goes through the idna codec, which the initramfs does not have.
        found = socket.getaddrinfo(host.encode(), url.port, type=kind)
    except socket.gaierror as error:
        error_type = Transient if error.errno == socket.EAI_AGAIN else NetworkError
        raise error_type(f"{url}: {url.host}: {error.strerror}") from None
    return [(family, address) for family, _, _, _, address in found]
