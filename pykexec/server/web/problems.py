# SPDX-License-Identifier: Apache-2.0
"""Refusals as the API words them: application/problem+json (RFC 9457)."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping

from starlette.responses import Response

from pykexec.server.web.shapes import Integer, Record, Text

CONTENT_TYPE = "application/problem+json"

PROBLEM = Record(
    {"title": Text(128), "status": Integer(400, 599), "detail": Text(8192)},
    {"request": Text(32)},
)
"""request names the request in the server's log; a fault of the server has it."""


class Problem(Exception):
    """The request is refused with this status; detail is for its sender."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self, request: str = "") -> Response:
        """The answer."""
        body = {
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if request:
            body["request"] = request
        return Response(
            json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            self.status,
            self.headers,
            CONTENT_TYPE,
        )


def too_many(wait_s: float) -> Problem:
    """Come back later (RFC 6585, 4)."""
    seconds = max(1, int(wait_s + 0.999))
    return Problem(429, f"too many requests; again in {seconds} s", {"Retry-After": str(seconds)})
