# SPDX-License-Identifier: Apache-2.0
"""Files from servers, by HTTP, HTTPS or TFTP, into a file of ours."""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import dataclass

from pykexec.config.url import Url
from pykexec.errors import NetworkError, NotOnServerError
from pykexec.net.transfer import Deadline, Limits, Sink, Transient

log = logging.getLogger(__name__)

_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: from where, after all redirects; how many bytes; their digest in hex."""

    url: Url
    size: int
    sha256: str


def fetch(url: Url, fd: int, limits: Limits, sha256: str = "") -> Fetched:
    """Make what url names the contents of the file fd, an empty sha256 being any.

    NetworkError names the address and the fault, NotOnServerError if it is not there; then fd holds
    nothing, so that nobody can take it for the file.
    """
    deadline = Deadline(limits)
    try:
        fetched = _attempts(url, fd, limits, deadline)
        if sha256 and not hmac.compare_digest(fetched.sha256, sha256.lower()):
            raise NetworkError(f"{url}: its SHA-256 is {fetched.sha256}, not {sha256.lower()}")
    except BaseException:
        Sink(fd, url, 0)
        raise
    log.info("%s: %d bytes, SHA-256 %s", fetched.url, fetched.size, fetched.sha256)
    return fetched


def fetch_bytes(url: Url, limits: Limits) -> bytes:
    """A small file as bytes; errors as fetch() has them."""
    import os

    fd = os.memfd_create("fetched", os.MFD_CLOEXEC)
    try:
        return os.pread(fd, fetch(url, fd, limits).size, 0)
    finally:
        os.close(fd)


def _attempts(url: Url, fd: int, limits: Limits, deadline: Deadline) -> Fetched:
    for attempt in range(1, limits.attempts + 1):
        try:
            return _once(url, fd, limits, deadline)
        except NotOnServerError:
            raise
        except Transient as error:
            if attempt == limits.attempts or not deadline.left_s:
                raise
            log.info("%s; once more", error)
            time.sleep(min(_PAUSE_S * attempt, deadline.left_s))
    raise NetworkError(f"{url}: no attempt was allowed")


def _once(url: Url, fd: int, limits: Limits, deadline: Deadline) -> Fetched:
    sink = Sink(fd, url, limits.size)
    came_from = url
    if url.scheme == "tftp":
        from pykexec.net import tftp

        tftp.read(url, sink, limits, deadline)
    else:
        from pykexec.net import http

        came_from = http.get(url, sink, limits, deadline)
    return Fetched(came_from, sink.size, sink.sha256)
