# SPDX-License-Identifier: Apache-2.0
"""The loop behind /dev/nbdN, for a disk in memory; the test is the kernel."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.run import run

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("csrc/native/nbd.c", "csrc/native/block.c", "tests/unit/native/memory_disk.c")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
SANITIZERS = ("-g", "-fsanitize=address,undefined")
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", *WARNINGS, *SANITIZERS, "-Wl,--wrap=sendmsg")
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
DISK_SIZE, SECTOR = 1 << 20, 512
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


def answered(cookie: bytes) -> bytes:
    """As the kernel expects it; what was read follows."""
    return REPLY.pack(REPLY_MAGIC, 0, cookie.ljust(8))


def talk(server: Path, said: bytes, sizes: Iterator[int] | None = None) -> tuple[bytes, str]:
    """What is answered to what is said, and what the program prints.

    It is said in pieces of these sizes; without them all of it is there before anybody looks.
    """
    ours, theirs = socket.socketpair()
    first = said if sizes is None else b""
    ours.sendall(first)

    def go_on() -> None:
        done = len(first)
        for size in sizes or ():
            ours.sendall(said[done : done + size])
            done += size
            if done >= len(said):
                break

    with (
        ours,
        subprocess.Popen(
            [str(server)], stdin=theirs.fileno(), stdout=subprocess.PIPE, text=True
        ) as program,
    ):
        theirs.close()
        speaker = threading.Thread(target=go_on)
        speaker.start()
        answer = b"".join(iter(lambda: ours.recv(1 << 20), b""))
        speaker.join()
        printed = program.communicate(timeout=30)[0]
    assert program.returncode == 0
    return answer, printed


def test_what_came_before_a_disconnection_is_served(server: Path) -> None:
    content = bytes(range(256)) * 16
    said = request(WRITE, b"write", 8192, len(content)) + content
    said += request(READ, b"read", 8192, len(content)) + request(DISCONNECT, b"end")
    answer, _ = talk(server, said)
    assert answer == answered(b"write") + answered(b"read") + content


def test_what_waits_is_served_by_one_bell_and_answered_at_once(server: Path) -> None:
    places = range(0, DISK_SIZE, DISK_SIZE // 32)
    said = b"".join(request(READ, b"%d" % place, place, 4096) for place in places)
    answer, printed = talk(server, said + request(DISCONNECT, b"end"))
    assert answer == b"".join(answered(b"%d" % place) + bytes(4096) for place in places)
    assert printed == "bells:1 sent:1\n"


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_in_any_pieces_is_the_same_requests(server: Path, seed: int) -> None:
    chance = random.Random(seed)
    disk = bytearray(DISK_SIZE)
    said, expected = b"", b""
    for number in range(200):
        cookie = b"%d" % number
        command = chance.choice((READ, WRITE, FLUSH))
        size = 0 if command == FLUSH else chance.choice((1, 3, 8, 64, 700)) * SECTOR
        start = chance.randrange((DISK_SIZE - size) // SECTOR) * SECTOR
        content = chance.randbytes(size) if command == WRITE else b""
        said += request(command, cookie, start, size) + content
        disk[start : start + len(content)] = content
        expected += answered(cookie) + (disk[start : start + size] if command == READ else b"")
    sizes = iter(lambda: chance.choice((1, 5, 27, 28, 29, 1000, 100000)), None)
    assert talk(server, said + request(DISCONNECT, b"end"), sizes)[0] == expected
