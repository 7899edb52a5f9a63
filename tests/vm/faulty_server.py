# SPDX-License-Identifier: Apache-2.0
"""A web server whose files are never what they should be; the path says what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Faulty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """/silent never answers, /truncated breaks off, /oversize promises 2 GB; else 404."""
        sizes = {"/truncated.efi": 100_000, "/oversize.efi": 2_000_000_000}
        if self.path == "/silent.efi":
            self.connection.settimeout(60)
            self.rfile.read(1)
        elif self.path in sizes:
            self.send_response(200)
            self.send_header("Content-Length", str(sizes[self.path]))
            self.end_headers()
            self.wfile.write(bytes(50_000))
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def faulty_server() -> Iterator[int]:
    """The port of such a server, which lives as long as the `with` block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Faulty) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
