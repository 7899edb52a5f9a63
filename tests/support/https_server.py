# SPDX-License-Identifier: Apache-2.0
"""An HTTPS server in this process, whose answers a test writes, or fails to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from tests.support.samples_tls import Certified


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body, further headers; cut sends so many bytes of the body alone, then hangs up. Who
    keeps waits for the next request.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    keeps: bool = False


HANG_UP = None
"""Instead of an answer."""
Reply: TypeAlias = Callable[[str, bytes], Answer | None]
"""Takes path and body of a request."""


@dataclass(slots=True)
class HttpsServer:
    """Where it listens, the requests that came, path and body, by how many connections, and the
    ends of connections.
    """

    address: str
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    nr_connections: int = 0
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@contextmanager
def https_server(certified: Certified, reply: Reply) -> Iterator[HttpsServer]:
    """A server that answers every POST by reply."""
    found = HttpsServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append((self.path, body))
            answer = reply(self.path, body)
            self.close_connection = answer is None or not answer.keeps
            if answer is None:
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: object, client_address: object) -> None:
            # Here, in the thread of the connection: a client that says nothing blocks itself only.
            try:
                secured = context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
            except OSError:
                return
            found.nr_connections += 1
            super().finish_request(secured, client_address)
            secured.close()
            found.ended.release()

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified.certificate, certified.key)
    with Server(("127.0.0.1", 0), Handler) as server:
        found.address = f"https://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join(10)
