# SPDX-License-Identifier: Apache-2.0
"""`pykexec serve` as a child process over a store that knows the benchmark's machines."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.server.keys.masterkey import create_master_key, open_master_key
from pykexec.server.store.records import Settings
from pykexec.server.store.store import Store
from tests.bench.attest_load import machine_name
from tests.support import attest_ca
from tests.support.attest_machine import Machine
from tests.support.store_samples import verified

POLICY = 'version = 1\nname = "bench"\nallow_any_image = true\n'
_ACTOR = "bench"
_START_S = 60


@dataclass(frozen=True, slots=True)
class Running:
    """A server; pids are its workers'."""

    port: int
    pids: tuple[int, ...]
    log: Path

    def cpu_s(self) -> float:
        """What the workers have used up to now."""
        return sum(_cpu_s(pid) for pid in self.pids)


def prepare(url: str, key: Path, count: int) -> None:
    """A store with count machines, enrolled by certificate, each with a secret."""
    if not key.exists():
        create_master_key(key)
    with Store.open(url, open_master_key(f"file:{key}"), migrate=True) as store:
        store.put_policy("bench", POLICY, _ACTOR)
        root = attest_ca.root().certificate.public_bytes(Encoding.DER)
        store.add_ek_root(root, _ACTOR)
        store.set_settings(Settings(default_policy="bench"), _ACTOR)
        for number in range(count):
            machine = Machine(machine_name(number))
            enrolled = store.enrol(verified(machine))
            value = secrets.token_bytes(64)
            parameters = {"file": "root.key"}
            store.put_secret(enrolled.id, "root", "luks-key", parameters, value, _ACTOR)


@contextmanager
def running(url: str, key: Path, workers: int, log: Path) -> Generator[Running, None, None]:
    """Start it and wait until it is ready; ends gracefully, and must."""
    port = _free_port()
    command = [
        sys.executable, "-m", "pykexec", "serve", "--database", url, "--master-key", f"file:{key}",
        "--listen", f"127.0.0.1:{port}", "--workers", str(workers), "--no-access-log",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(port, process, log)
        yield Running(port, _workers(process.pid, workers), log)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    if code:
        raise RuntimeError(f"the server ended with {code}: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    # Each worker has a socket of its own: all must have answered.
    answers = 0
    while answers < 16:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                answers += 1
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not start: {log.read_text()}") from None
            time.sleep(0.1)


def _workers(pid: int, count: int) -> tuple[int, ...]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return tuple(map(int, children)) if count > 1 else (pid,)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
