# SPDX-License-Identifier: Apache-2.0
"""Request bodies, read within limits of size, time and memory before anything looks at them."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from pykexec.server.web.problems import Problem


class Bodies:
    """Reads bodies; all that are being read or worked on share one budget of memory."""

    def __init__(self, budget: int = 256 << 20, timeout_s: float = 20.0) -> None:
        self._left = budget
        self._timeout_s = timeout_s

    async def read(self, scope: Scope, receive: Receive, size_max: int) -> bytes:
        """The whole body; 408, 411, 413 or 503 as Problem. release() it when it is done with."""
        size = _content_length(scope)
        if size is None:
            raise Problem(411, "Content-Length is needed")
        if size > size_max:
            raise Problem(413, f"{size} bytes; at most {size_max} are taken", _CLOSE)
        if size > self._left:
            raise Problem(503, "busy; again later", {"Retry-After": "2", **_CLOSE})
        self._left -= size
        try:
            async with asyncio.timeout(self._timeout_s):
                return await _read(receive, size)
        except TimeoutError:
            self._left += size
            raise Problem(408, f"not whole after {self._timeout_s:g} s", _CLOSE) from None
        except BaseException:
            self._left += size
            raise

    def release(self, body: bytes) -> None:
        """Give its memory back to the budget."""
        self._left += len(body)


_CLOSE = {"Connection": "close"}


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 16 else None
        if name == b"transfer-encoding":
            return None
    return 0


async def _read(receive: Receive, size: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Problem(400, "the connection ended before the body did", _CLOSE)
        body += message.get("body", b"")
        if len(body) > size:
            raise Problem(400, "the body is longer than its Content-Length", _CLOSE)
        if not message.get("more_body", False):
            break
    if len(body) != size:
        raise Problem(400, "the body is shorter than its Content-Length", _CLOSE)
    return bytes(body)
