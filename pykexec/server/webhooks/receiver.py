# SPDX-License-Identifier: Apache-2.0
"""A connection to a receiver: to addresses that were looked at, and never for long."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping

from pykexec.about import version
from pykexec.errors import PykexecError
from pykexec.log import printable
from pykexec.server import quotas
from pykexec.server.webhooks.settings import Target, WebhookSettings, address_fault

_WORDS_MAX = 200
_TRIED_MAX = 3
_ENDED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Unreachable(PykexecError):
    """No answer came; str() says why, and has nothing of the address but what leads to it."""


class Receiver:
    """For messages one after the other; use it as a context."""

    def __init__(self, target: Target, settings: WebhookSettings) -> None:
        self._target = target
        self._settings = settings
        self._connection: http.client.HTTPConnection | None = None
        self._used = False

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def post(self, headers: Mapping[str, str], body: bytes) -> int:
        """The status of its answer; redirections are not followed. Unreachable."""
        try:
            try:
                return self._post(headers, body, self._connection or self._connect())
            except _ENDED:
                if self._connection is None or not self._used:
                    raise
            # It has ended the connection meanwhile, as it may; the message has its id.
            self._close()
            return self._post(headers, body, self._connect())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._close()
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(printable(str(words), _WORDS_MAX)) from None

    def _post(
        self, headers: Mapping[str, str], body: bytes, connection: http.client.HTTPConnection
    ) -> int:
        fixed = {
            "Host": self._target.netloc,
            "Content-Type": "application/json",
            "User-Agent": f"pykexec/{version()}",
        }
        with _limited(connection.sock):
            connection.request("POST", self._target.path, body, {**fixed, **headers})
            response = connection.getresponse()
        self._used = True
        if not _is_read(response, connection.sock):
            self._close()
        return response.status

    def _connect(self) -> http.client.HTTPConnection:
        target = self._target
        plain = _connected(self._resolve())
        try:
            if target.tls:
                context = ssl.create_default_context(cafile=self._settings.authorities)
                with _limited(plain):
                    plain = context.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.auto_open = 0  # It would connect to whatever the name is by then, without TLS.
        connection.sock = plain
        self._connection, self._used = connection, False
        return connection

    def _resolve(self) -> list[tuple[str, int]]:
        """Names may lead anywhere, and elsewhere each time: what is asked here is connected to."""
        target = self._target
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        places = [(str(each[4][0]), target.port) for each in found]
        for address, _ in places:
            fault = address_fault(ipaddress.ip_address(address.partition("%")[0]), self._settings)
            if fault:
                raise Unreachable(f"{address}: {fault}")
        return places

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connected(places: list[tuple[str, int]]) -> socket.socket:
    """To the first of some that answers: one of two kinds of addresses often does not."""
    *others, last = places[:_TRIED_MAX]
    for place in others:
        with contextlib.suppress(OSError):
            return socket.create_connection(place, quotas.WEBHOOK_CONNECT_S)
    return socket.create_connection(last, quotas.WEBHOOK_CONNECT_S)


def _is_read(response: http.client.HTTPResponse, connection: socket.socket) -> bool:
    """Whether all of a short answer is there, so that another request may follow: it is not looked
    at, and nobody waits for more of it.
    """
    if response.will_close or response.length is None:
        return False
    if response.length > quotas.WEBHOOK_ANSWER_MAX:
        return False
    try:
        with _limited(connection):
            response.read()
    except (OSError, http.client.HTTPException):
        return False
    return True


@contextlib.contextmanager
def _limited(connection: socket.socket) -> Iterator[None]:
    """TimeoutError for what takes too long, even if a byte comes now and then."""
    over = threading.Event()

    def shut() -> None:
        over.set()
        with contextlib.suppress(OSError):
            guard.shutdown(socket.SHUT_RDWR)

    # One of its own: the other may be wrapped or closed meanwhile.
    with socket.socket(fileno=os.dup(connection.fileno())) as guard:
        timer = threading.Timer(quotas.WEBHOOK_S, shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException):
            if not over.is_set():
                raise
        finally:
            timer.cancel()
            timer.join()
    if over.is_set():
        # What came until then may even look like an answer.
        raise TimeoutError(f"no answer within {quotas.WEBHOOK_S:g} s")
