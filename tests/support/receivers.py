# SPDX-License-Identifier: Apache-2.0
"""A receiver of webhooks, which checks signatures as Standard Webhooks says and not as we do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Message:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    @property
    def number(self) -> str:
        """By which a receiver knows it again."""
        return self.headers["webhook-id"]

    def is_signed(self, secret: str) -> bool:
        """By whoever has the secret (whsec_...)."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        time = self.headers["webhook-timestamp"]
        mac = hmac.new(key, digestmod=hashlib.sha256)
        mac.update(b".".join([self.number.encode(), time.encode(), self.body]))
        expected = "v1," + base64.b64encode(mac.digest()).decode()
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """answer gives the status, by the number of the request from 0 on."""

    address: str = ""
    messages: list[Message] = field(default_factory=list)
    answer: Callable[[int], int] = lambda _number: 204
    peers: set[tuple[str, int]] = field(default_factory=set)

    @property
    def seqs(self) -> list[int]:
        """Entries of the trail of which it was told, in that order."""
        return [message.json["data"]["seq"] for message in self.messages]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """By plain HTTP on the loopback."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = found.answer(len(found.messages))
            found.messages.append(Message(self.path, headers, body))
            found.peers.add(self.client_address)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{found.address}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
