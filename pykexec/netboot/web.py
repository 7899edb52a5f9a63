# SPDX-License-Identifier: Apache-2.0
"""The HTTP side: files of one directory, whole or in part, to anybody; nothing else.

Anybody is many, and some of them are slow on purpose: connections are bounded in number and time.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import stat
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO
from urllib.parse import unquote

from pykexec.errors import FormatError, UsageError
from pykexec.log import printable
from pykexec.netboot.settings import Tls

CONNECTIONS_MAX = 64
HEAD_S = 20.0  # for a request, TLS' handshake included
_SLOWEST = 16 << 10  # bytes a second: who takes them more slowly is cut off
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_IDLE_S = 60.0


class Web(ThreadingHTTPServer):
    """Serves what lies in directory, an open one; report gets a line a request.

    host is an address of this machine; "" stands for all of them, IPv4 and IPv6.
    """

    daemon_threads = True

    def __init__(
        self,
        directory: int,
        host: str,
        port: int,
        report: Callable[[str], None],
        tls: Tls | None = None,
    ) -> None:
        self.directory, self.report = directory, report
        self._tls = _context(tls) if tls else None
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._full_told = False
        self._ends: dict[socket.socket, float] = {}
        both = not host and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
        self._v6_only = int(not both)
        try:
            super().__init__((host or ("::" if both else "0.0.0.0"), port), _Handler)
        except OSError as error:
            raise UsageError(_why_not(host, port, error)) from None

    def server_bind(self) -> None:
        """Without IPV6_V6ONLY both families come, where there are both."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self._v6_only)
        super().server_bind()

    def process_request(self, request: object, client_address: object) -> None:
        """Serve one connection in a thread of its own, or refuse it where there are too many."""
        assert isinstance(request, socket.socket)
        if not self._slots.acquire(blocking=False):
            if not self._full_told:
                self.report(f"http: {CONNECTIONS_MAX} connections are open, others are refused")
            self._full_told = True
            self.shutdown_request(request)
            return
        self._full_told = False
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()  # There is no thread that could.
            raise

    def process_request_thread(self, request: object, client_address: object) -> None:
        """The life of that thread."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._slots.release()

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve one connection: a slow handshake is nobody else's."""
        assert isinstance(request, socket.socket)
        request.settimeout(_IDLE_S)
        with request.dup() as watched:  # TLS takes the descriptor for itself.
            try:
                self.allow(watched, HEAD_S)
                if self._tls:
                    request = self._tls.wrap_socket(request, server_side=True)
                _Handler(watched, request, client_address, self)
            finally:
                del self._ends[watched]

    def allow(self, connection: socket.socket, seconds: float) -> None:
        """What the connection does now may take so long, from now on."""
        self._ends[connection] = time.monotonic() + seconds

    def service_actions(self) -> None:
        """Several times a second: end who took too long."""
        now = time.monotonic()
        for connection, end in list(self._ends.items()):
            if end < now:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # It has ended by itself.

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no error; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return f"port {port}: needs root; choose another"
    if error.errno == errno.EADDRINUSE:
        return f"port {port}: somebody else listens there"
    return f"{host} port {port}: {error.strerror or error}"


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        fault = error.strerror or str(error)
        raise FormatError(f"{tls.certificate}, {tls.key}: {fault}") from None
    return context


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """Start and end of the bytes that a Range field asks for of size (RFC 9110, 14.1.2).

    None means all: other units, several ranges and nonsense are to be ignored. ValueError means
    that there are no such bytes.
    """
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if not match or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise ValueError(text)
    return start, end


def open_inside(directory: int, address: str) -> BinaryIO:
    """The file below directory that address, the path of a request, means.

    OSError where there is none, or where a link leads out. It is looked at before it is opened, by
    a descriptor that can do no more: to open a device is to do something to it already.
    """
    words = [word for word in unquote(address.partition("?")[0]).split("/") if word]
    if not words or any(word in (".", "..") or "\0" in word for word in words):
        raise FileNotFoundError(errno.ENOENT, "not a name")
    seen = os.open("/".join(words), os.O_PATH | os.O_CLOEXEC, dir_fd=directory)
    try:
        root, place = (os.readlink(f"/proc/self/fd/{fd}") for fd in (directory, seen))
        inside = place.startswith(f"{root.rstrip('/')}/")
        status = os.fstat(seen)
        if not inside or not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a file in there")
        # Root may read all: what others may not is not for anybody.
        if os.geteuid() == 0 and not status.st_mode & stat.S_IROTH:
            raise PermissionError(errno.EACCES, "not for everybody")
        return open(f"/proc/self/fd/{seen}", "rb")
    finally:
        os.close(seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pykexec"
    sys_version = ""
    server: Web

    def __init__(self, watched: socket.socket, *args: object) -> None:
        self._watched = watched
        super().__init__(*args)  # type: ignore[arg-type]

    def handle_one_request(self) -> None:
        """One of several that a connection may bring."""
        self.server.allow(self._watched, HEAD_S)
        super().handle_one_request()

    def do_GET(self) -> None:
        """A file, or the part that was asked for."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The same without its bytes: firmware asks for the size first."""
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        try:
            file = open_inside(self.server.directory, self.path)
        except PermissionError:
            self.send_error(HTTPStatus.FORBIDDEN)
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            with file:
                self._send(file, with_body)

    def _send(self, file: BinaryIO, with_body: bool) -> None:
        size = os.fstat(file.fileno()).st_size
        try:
            part = parse_range(self.headers.get("Range", ""), size)
        except ValueError:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, end = part or (0, size)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if with_body and start < end:
            self.server.allow(self._watched, HEAD_S + (end - start) / _SLOWEST)
            # As many as were promised, should the file grow; what is short must end the connection.
            if self.connection.sendfile(file, start, end - start) < end - start:
                self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """A line for the request; what a client sent is shown without control characters."""
        self.server.report(printable(f"http: {self.address_string()}: {format % args}"))
