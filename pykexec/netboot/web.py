# SPDX-License-Identifier: Apache-2.0
"""The HTTP side: files of one directory, whole or in part, to anybody; nothing else."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from pykexec.errors import FormatError, UsageError
from pykexec.netboot.settings import Tls

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_IDLE_S = 60.0


class Web(ThreadingHTTPServer):
    """Serves directory at every address, IPv4 and IPv6; report gets a line a request."""

    daemon_threads = True

    def __init__(
        self, directory: Path, port: int, report: Callable[[str], None], tls: Tls | None = None
    ) -> None:
        self._tls = _context(tls) if tls else None
        handler = partial(_Handler, directory, report)
        both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        try:
            super().__init__(("::" if both else "0.0.0.0", port), handler)
        except OSError as error:
            if error.errno == errno.EACCES:
                raise UsageError(f"port {port}: needs root; choose another") from None
            if error.errno == errno.EADDRINUSE:
                raise UsageError(f"port {port}: somebody else listens there") from None
            raise

    def server_bind(self) -> None:
        """Without IPV6_V6ONLY both families come, where there are both."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve one connection, in a thread of its own: a slow handshake is nobody else's."""
        assert isinstance(request, socket.socket)
        request.settimeout(_IDLE_S)
        if self._tls:
            request = self._tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no error; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pykexec"
    sys_version = ""

    def __init__(self, directory: Path, report: Callable[[str], None], *args: object) -> None:
        self._directory, self._report = directory, report
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """A file, or the part that was asked for."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The same without its bytes: firmware asks for the size first."""
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path = self._path()
        try:
            if path is None:
                raise FileNotFoundError
            with open(path, "rb") as file:
                self._send(file, with_body)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self.send_error(HTTPStatus.NOT_FOUND)
        except PermissionError:
            self.send_error(HTTPStatus.FORBIDDEN)

    def _path(self) -> Path | None:
        """The file that is meant; None for what is none of ours."""
        words = [word for word in unquote(self.path.partition("?")[0]).split("/") if word]
        if any(word in (".", "..") or "\0" in word for word in words):
            return None
        path = self._directory.joinpath(*words)
        return path if path.is_file() else None

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
        if not with_body:
            return
        if isinstance(self.connection, ssl.SSLSocket) or part:
            file.seek(start)
            self._copy(file, end - start)
        else:
            shutil.copyfileobj(file, self.wfile, 1 << 18)

    def _copy(self, file: BinaryIO, size: int) -> None:
        while size and (data := file.read(min(size, 1 << 18))):
            self.wfile.write(data)
            size -= len(data)

    def log_message(self, format: str, *args: object) -> None:
        """A line for the request; what a client sent is shown without control characters."""
        line = format % args
        shown = "".join(char if char.isprintable() else "?" for char in line)
        self._report(f"http: {self.address_string()}: {shown}")
