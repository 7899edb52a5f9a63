# SPDX-License-Identifier: Apache-2.0
"""Connections to HTTP servers: TCP, TLS, their end, and one that is kept for the next request."""

from __future__ import annotations

import http.client
import select
import socket
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from pykexec.config.url import Url
from pykexec.errors import NetworkError
from pykexec.net.transfer import Deadline, Limits, Transient, resolve

if TYPE_CHECKING:
    import ssl

# verify_code of SSLCertVerificationError, X509_V_ERR_* of openssl: the clock decides about these.
_BY_THE_CLOCK = (9, 10)


class Connection:
    """One that does not outlive the deadline, whatever it is doing then; http is http.client's.

    Transient or NetworkError say why there is none.
    """

    def __init__(self, url: Url, limits: Limits, deadline: Deadline) -> None:
        self.http = http.client.HTTPConnection("")
        self._plain = _connect(url, deadline)
        # The time limit of a socket is for one call; a server that sends byte by byte has many.
        self._watch = threading.Timer(deadline.left_s, _cut, (self._plain,))
        self._watch.daemon = True
        self._watch.start()
        try:
            secure = url.scheme == "https"
            self.http.sock = _tls(url, self._plain, limits, deadline) if secure else self._plain
        except BaseException:
            self.close()
            raise

    def is_usable(self) -> bool:
        """Has neither side ended it? An answer must have been read whole: what there is to be
        read between two requests is the server's goodbye.
        """
        waiting = select.poll()
        waiting.register(self._plain, select.POLLIN)
        return self.http.sock is not None and not waiting.poll(0)

    def close(self) -> None:
        """End it."""
        self._watch.cancel()
        self._watch.join()
        self.http.close()
        self._plain.close()


class Kept:
    """At most one connection, for the next request to its server as long as both sides keep it; a
    context manager, at whose end it is closed.
    """

    def __init__(self) -> None:
        self._server: tuple[str, str, str, int] | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def take(self, url: Url, deadline: Deadline) -> Connection | None:
        """The one to url's server, which is then the caller's; None where there is none."""
        found, self._connection = self._connection, None
        if found is None:
            return None
        if self._server != _server(url) or not found.is_usable():
            found.close()
            return None
        assert found.http.sock is not None
        found.http.sock.settimeout(deadline.silence_s(url))
        return found

    def give(self, url: Url, connection: Connection) -> None:
        """Keep it, unless it has ended; what came by it has been read whole."""
        self.close()
        if connection.http.sock is None:
            connection.close()
        else:
            self._server, self._connection = _server(url), connection

    def close(self) -> None:
        """End it, if there is one."""
        found, self._connection = self._connection, None
        if found is not None:
            found.close()


def _server(url: Url) -> tuple[str, str, str, int]:
    return url.scheme, url.host, url.scope, url.port


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It has ended by itself.


def _connect(url: Url, deadline: Deadline) -> socket.socket:
    fault = ""
    for family, address in resolve(url, socket.SOCK_STREAM):
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # A kernel without IPv6, whatever the name's addresses are.
            fault = error.strerror or str(error)
            continue
        try:
            connection.settimeout(deadline.silence_s(url))
            connection.connect(address)
            return connection
        except TimeoutError:
            fault = "no answer"
        except OSError as error:
            fault = error.strerror or str(error)
        connection.close()
    raise Transient(f"{url}: cannot connect: {fault}")


def _tls(url: Url, plain: socket.socket, limits: Limits, deadline: Deadline) -> socket.socket:
    """plain with TLS on it, once the server has proven its name to the authorities."""
    import ssl

    if not limits.authorities:
        raise NetworkError(f"{url}: no certificate authority is configured, nobody is trusted")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=limits.authorities)
    except (ssl.SSLError, ValueError) as error:
        raise NetworkError(f"{url}: the configured certificate authority: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Who is named as an authority is trusted, be it an intermediate one or the server itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # An end that TLS does not know of is no end of a body: this, and below, Python would take it.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    plain.settimeout(deadline.silence_s(url))
    try:
        # Its detach would take plain from the watch: a copy of the descriptor goes to TLS.
        return context.wrap_socket(
            plain.dup(), server_hostname=url.host.encode(), suppress_ragged_eofs=False
        )
    except ssl.SSLCertVerificationError as error:
        raise NetworkError(f"{url}: certificate refused: {_why_refused(error)}") from None
    except TimeoutError:
        raise Transient(f"{url}: no TLS within {limits.timeout_s:g} s") from None
    except ssl.SSLError as error:
        raise NetworkError(f"{url}: no TLS: {error.reason or error}") from None
    except OSError as error:
        deadline.silence_s(url)
        raise Transient(f"{url}: no TLS: {error.strerror or error}") from None


def _why_refused(error: ssl.SSLCertVerificationError) -> str:
    """A clock that runs from its battery's end makes every certificate one of the future."""
    words: str = error.verify_message
    if error.verify_code in _BY_THE_CLOCK:
        words += (
            f"; the clock of this machine says {time.strftime('%Y-%m-%d %H:%M', time.gmtime())}"
        )
    return words
