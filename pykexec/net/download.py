# SPDX-License-Identifier: Apache-2.0
"""Large files from HTTP servers, whose bytes are taken as they come and kept nowhere.

What breaks off is gone on with where it ended, if it is still the same file: by a range where the
server has ranges (RFC 9110, 14), else by reading over what has come already.
"""

from __future__ import annotations

import http.client
import logging
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pykexec.config.url import Url
from pykexec.errors import NetworkError
from pykexec.net.http import CHUNK_SIZE, cut_off, open_body
from pykexec.net.transfer import Deadline, Limits, Transient

log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19})", re.ASCII)


class Download:
    """A file of total bytes, of which size have come; source is its address after all redirects.
    pieces() gives it once.
    """

    def __init__(self, url: Url, limits: Limits, stack: ExitStack) -> None:
        self.size = 0
        self.total = 0
        self.source = url
        self._url, self._limits, self._stack = url, limits, stack
        self._deadline = Deadline(limits)
        self._version: tuple[str, str] | None = None
        self._failures = 0  # in a row
        self._over = 0  # bytes that come once more
        self._response = self._retried()

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in order; NetworkError where no more can be had."""
        while self.size < self.total:
            try:
                yield from self._rest()
            except Transient as error:
                self._pause(error)
                self._response = self._retried()

    def _rest(self) -> Iterator[bytes]:
        # What goes wrong with reading is put into words by what the stack holds.
        with self._stack:
            while self.size < self.total and (data := self._response.read1(CHUNK_SIZE)):
                self._deadline.silence_s(self.source)
                data, self._over = data[self._over :], max(0, self._over - len(data))
                if data := data[: self.total - self.size]:
                    self.size += len(data)
                    self._failures = 0
                    yield data
        if self.size != self.total:
            raise Transient(f"{cut_off(self.source, self.size)} of {self.total}")

    def _retried(self) -> http.client.HTTPResponse:
        while True:
            try:
                return self._opened()
            except Transient as error:
                self._pause(error)

    def _pause(self, error: Transient) -> None:
        """Wait a little, or raise error where it has failed too often in a row."""
        self._failures += 1
        if self._failures >= self._limits.attempts or not self._deadline.left_s:
            raise error
        log.info("%s; once more", error)
        time.sleep(min(_PAUSE_S * self._failures, self._deadline.left_s))

    def _opened(self) -> http.client.HTTPResponse:
        headers = {"Range": f"bytes={self.size}-"} if self.size else {}
        body = open_body(self._url, headers, self, self._limits, self._deadline)
        self.source, response = self._stack.enter_context(body)
        start, total = _extent(self.source, response)
        if self._version is None:
            if total > self._limits.size:
                fault = f"{total} bytes, more than the {self._limits.size} that fit"
                raise NetworkError(f"{self.source}: {fault}")
            self.total = total
            self._version = _version(response)
        elif (total, _version(response)) != (self.total, self._version):
            raise NetworkError(f"{self.source}: changed after {self.size} bytes had come")
        if start > self.size:
            raise NetworkError(f"{self.source}: goes on at {start}, and was to at {self.size}")
        self._over = self.size - start
        return response


@contextmanager
def open_download(url: Url, limits: Limits) -> Iterator[Download]:
    """The file that url names, whose size is known before its bytes come.

    NotOnServerError or NetworkError say what went wrong, a server that does not say the size
    among it.
    """
    with ExitStack() as stack:
        yield Download(url, limits, stack)


def _extent(url: Url, response: http.client.HTTPResponse) -> tuple[int, int]:
    """Where the body begins in the file, and how large that is."""
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not match:
            raise NetworkError(f"{url}: sends a part, and does not say which")
        return int(match[1]), int(match[2])
    if response.length is None:
        raise NetworkError(f"{url}: the server does not say how large it is (Content-Length)")
    return 0, response.length


def _version(response: http.client.HTTPResponse) -> tuple[str, str]:
    """What tells one version of a file from another (RFC 9110, 8.8)."""
    return response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
