# SPDX-License-Identifier: Apache-2.0
"""`pykexec serve` as a process of its own, and peers that hold what they can of it."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from tests.support.samples_tls import Certified, certified

START_S = 60


@dataclass(frozen=True)
class Running:
    """A server and how to reach it; log is what it writes."""

    port: int
    tls: Certified
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """As agents are told."""
        return f"https://localhost:{self.port}"

    def workers(self) -> list[int]:
        """Their process ids."""
        pid = self.process.pid
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def context(self) -> ssl.SSLContext:
        """Trusts the server's authority alone."""
        return ssl.create_default_context(cafile=self.tls.authority)

    def plain(self, source: str = "127.0.0.1", buffer: int = 0) -> socket.socket:
        """Only TCP, from an address of one's own, with a small receive buffer if it is told."""
        peer = socket.socket()
        if buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        peer.bind((source, 0))
        peer.settimeout(30)
        peer.connect(("127.0.0.1", self.port))
        return peer

    def secure(self, source: str = "127.0.0.1", buffer: int = 0) -> ssl.SSLSocket:
        """TLS, too."""
        plain = self.plain(source, buffer)
        return self.context().wrap_socket(plain, server_hostname="localhost")

    def get(self, path: str) -> int:
        """The status of a request; 0 where there is no answer."""
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=20, context=self.context()
        )
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return 0


def wait(condition: Callable[[], bool], what: str = "", within: float = START_S) -> None:
    """Until it is so, for so many seconds at most."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextlib.contextmanager
def serving(directory: Path, url: str, key: str, *options: str) -> Generator[Running, None, None]:
    """Start it over a store, wait until it is ready, end it."""
    tls = certified(directory)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "pykexec", "serve", "--database", url, "--master-key", key,
        "--listen", f"127.0.0.1:{port}", "--tls-cert", str(tls.certificate),
        "--tls-key", str(tls.key), *options,
    ]  # fmt: skip
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    running = Running(port, tls, process, log)
    try:
        wait(lambda: running.get("/readyz") == 200 or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
