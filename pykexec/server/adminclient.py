# SPDX-License-Identifier: Apache-2.0
"""A client of the admin API, for the command line: HTTPS, one request a connection."""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from pykexec.errors import DeniedError, FormatError, NetworkError, UsageError
from pykexec.log import printable
from pykexec.server.web.admin.operations import PREFIX

_TIMEOUT_S = 60
_REPLY_MAX = 64 << 20
_PROBLEM_MAX = 1 << 16
_WORDS_MAX = 2048  # characters of an error


@dataclass(frozen=True, slots=True, repr=False)
class AdminClient:
    """Where the server is and by which right it is asked; ca is PEM, None for the system's."""

    url: str
    token: str
    ca: Path | None = None

    def get(self, *path: str, **query: object) -> dict[str, object]:
        """Ask for something; parts of a path are quoted."""
        return self._json("GET", path, None, query)

    def send(self, method: str, *path: str, body: object = None) -> dict[str, object]:
        """Change something; {} where the server has nothing to say."""
        return self._json(method, path, body, {})

    def lines(self, *path: str, method: str = "GET", body: object = None) -> Iterator[str]:
        """An answer line by line."""
        with closing(self._connect()) as connection:
            response = self._ask(connection, method, path, body, {})
            with self._reading():
                for line in response:
                    yield line.decode().rstrip("\n")

    def _json(
        self, method: str, path: tuple[str, ...], body: object, query: Mapping[str, object]
    ) -> dict[str, object]:
        with closing(self._connect()) as connection:
            response = self._ask(connection, method, path, body, query)
            with self._reading():
                data = response.read(_REPLY_MAX)
        if not data:
            return {}
        found = _object(data)
        if found is None:
            raise FormatError(f"{self.url}: the answer is no object")
        return found

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What goes wrong with an answer that has begun, in words."""
        try:
            yield
        except UnicodeDecodeError:
            raise FormatError(f"{self.url}: the answer is not UTF-8") from None
        except (OverflowError, ValueError):  # http.client takes chunks of any size, and below 0.
            raise FormatError(f"{self.url}: the answer is not HTTP") from None
        except (OSError, http.client.HTTPException) as error:
            raise NetworkError(f"{self.url}: {printable(str(error), _WORDS_MAX)}") from None

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: tuple[str, ...],
        body: object,
        query: Mapping[str, object],
    ) -> http.client.HTTPResponse:
        words = {k: _word(v) for k, v in query.items() if v is not None}
        target = PREFIX + "".join(f"/{quote(part, safe='')}" for part in path)
        target += f"?{urlencode(words)}" if words else ""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise NetworkError(f"{self.url}: {printable(str(error), _WORDS_MAX)}") from None
        if response.status >= 300:
            with self._reading():
                data = response.read(_PROBLEM_MAX)
            raise _error(response.status, data, self.url)
        return response

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if not parts.hostname or parts.path.strip("/") or parts.query:
            raise UsageError(f"{self.url}: not https://HOST:PORT")
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca)
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_TIMEOUT_S, context=context
            )
        if parts.scheme != "http" or not _is_loopback(parts.hostname):
            raise UsageError(f"{self.url}: a token goes by https only, or to this machine")
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_S)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _object(data: bytes) -> dict[str, object] | None:
    """A JSON object; None for what is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(status: int, data: bytes, url: str) -> Exception:
    found = (_object(data) or {}).get("detail")
    detail = printable(str(found), _WORDS_MAX) if found else f"HTTP status {status}"
    if status in (401, 403):
        return DeniedError(detail)
    if status in (400, 404, 409, 422):
        return UsageError(detail)
    return NetworkError(f"{url}: {detail}")
