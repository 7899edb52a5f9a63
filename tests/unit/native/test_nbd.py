# SPDX-License-Identifier: Apache-2.0
"""The loop behind /dev/nbdN, for a disk in memory; the test is the kernel."""

from __future__ import annotations

import socket
import struct
import subprocess
from pathlib import Path

import pytest

from pykexec.run import run

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("csrc/native/nbd.c", "csrc/native/block.c", "tests/unit/native/memory_disk.c")
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-g", "-fsanitize=address,undefined")
READ, WRITE, DISCONNECT = 0, 1, 2
REQUEST, REPLY = struct.Struct(">II8sQI"), struct.Struct(">II8s")
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loop as a program, under the sanitizers."""
    program = tmp_path_factory.mktemp("nbd") / "server"
    include = (f"-I{ROOT}/csrc/include", f"-I{ROOT}/csrc")
    run(["cc", *FLAGS, *include, *(ROOT / name for name in SOURCES), "-o", program])
    return program


def request(command: int, cookie: bytes, start: int = 0, size: int = 0) -> bytes:
    """As the kernel sends it (NBD protocol, "Request message")."""
    return REQUEST.pack(REQUEST_MAGIC, command, cookie.ljust(8), start, size)


def test_what_came_before_a_disconnection_is_served(server: Path) -> None:
    ours, theirs = socket.socketpair()
    content = bytes(range(256)) * 16
    said = request(WRITE, b"write", 8192, len(content)) + content
    said += request(READ, b"read", 8192, len(content)) + request(DISCONNECT, b"end")
    # All of it is there at once, before the server looks.
    ours.sendall(said)
    with subprocess.Popen([str(server)], stdin=theirs.fileno()) as serving:
        theirs.close()
        assert serving.wait(30) == 0
    answer = b"".join(iter(lambda: ours.recv(65536), b""))
    assert answer == (
        REPLY.pack(REPLY_MAGIC, 0, b"write".ljust(8))
        + REPLY.pack(REPLY_MAGIC, 0, b"read".ljust(8))
        + content
    )
