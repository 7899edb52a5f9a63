# SPDX-License-Identifier: Apache-2.0
"""The TFTP client against servers that behave, lose packets, lie, or die."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pykexec.config.url import parse_url
from pykexec.errors import NetworkError, NotOnServerError
from pykexec.net.fetch import fetch_bytes
from pykexec.net.tftp import parse_options
from pykexec.net.transfer import Limits

QUICK = Limits(size=100_000, timeout_s=1.5, total_s=8)
DATA, ACK, ERROR, OACK = 3, 4, 5, 6

Script = Callable[[socket.socket, tuple[str, int], bytes], None]
Served = Callable[[Script], str]


@pytest.fixture
def served() -> Iterator[Served]:
    """The address of a file on a server whose every request script answers, from a new port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)

        def start(script: Script) -> str:
            threading.Thread(target=_serve, args=(listener, script), daemon=True).start()
            return f"tftp://127.0.0.1:{listener.getsockname()[1]}/dir/a.efi"

        yield start


def _serve(listener: socket.socket, script: Script) -> None:
    while True:
        try:
            request, client = listener.recvfrom(2048)
        except OSError:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            udp.settimeout(5)
            try:
                script(udp, client, request)
            except OSError:
                continue


def block(number: int, data: bytes) -> bytes:
    """A data packet."""
    return struct.pack(">HH", DATA, number & 0xFFFF) + data


def error(code: int, text: str) -> bytes:
    """An error packet."""
    return struct.pack(">HH", ERROR, code) + text.encode() + b"\0"


def options(**values: int) -> bytes:
    """A packet that grants options."""
    words = "".join(f"{name}\0{value}\0" for name, value in values.items())
    return struct.pack(">H", OACK) + words.encode()


def acked(udp: socket.socket) -> int:
    """The number of the block that the client acknowledges next."""
    packet = udp.recv(2048)
    assert packet[:2] == b"\0\4"
    return int.from_bytes(packet[2:4], "big")


def send(udp: socket.socket, client: tuple[str, int], data: bytes, size: int, window: int) -> None:
    """A correct server from block 1 on."""
    count = len(data) // size + 1
    done = 0
    while done < count:
        for number in range(done + 1, min(done + window, count) + 1):
            udp.sendto(block(number, data[(number - 1) * size : number * size]), client)
        done += (acked(udp) - done) & 0xFFFF


FILE = bytes(range(251)) * 200


def plain(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """A server of RFC 1350, which knows no options."""
    send(udp, client, FILE, 512, 1)


def modern(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """One that grants all."""
    udp.sendto(options(blksize=1428, tsize=len(FILE), windowsize=8), client)
    assert acked(udp) == 0
    send(udp, client, FILE, 1428, 8)


def rollover(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """Tiny blocks: the numbers start again at 0."""
    udp.sendto(options(blksize=8, windowsize=16), client)
    assert acked(udp) == 0
    send(udp, client, bytes(8 * 66_000), 8, 16)


def without_options(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """One that refuses options, as RFC 2347 allows."""
    if b"blksize" in request:
        udp.sendto(error(8, "no"), client)
    else:
        send(udp, client, FILE, 512, 1)


def denies_options(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """One that has another number for options than RFC 2347."""
    if b"blksize" in request:
        udp.sendto(error(2, "Access violation"), client)
    else:
        send(udp, client, FILE, 512, 1)


def ignores_options(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """One that does not answer what it does not understand."""
    if b"blksize" not in request:
        send(udp, client, FILE, 512, 1)


def from_another_address(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """One that has several addresses, and answers from whichever it likes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", 0))
        other.settimeout(5)
        send(other, client, FILE, 512, 1)


def lossy(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """The first window loses its second block; the last acknowledgement must be asked for."""
    udp.sendto(options(blksize=1000, windowsize=4), client)
    assert acked(udp) == 0
    for number in (1, 3, 4):
        udp.sendto(block(number, bytes([number]) * 1000), client)
    assert acked(udp) == 1
    for number in (2, 2, 3, 4):
        udp.sendto(block(number, bytes([number]) * 1000), client)
    while acked(udp) != 4:
        pass
    udp.sendto(block(5, b"end"), client)
    while acked(udp) != 5:
        pass


def strangers(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
    """Somebody else sends a block in between, and is told that it is not for us."""
    udp.sendto(block(1, FILE[:512]), client)
    assert acked(udp) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(5)
        other.sendto(block(2, b"evil"), client)
        assert other.recv(100)[:4] == b"\0\5\0\5"
    udp.sendto(block(2, b"good"), client)
    assert acked(udp) == 2


@pytest.mark.parametrize(
    ("script", "data"),
    [
        (plain, FILE),
        (modern, FILE),
        (without_options, FILE),
        (denies_options, FILE),
        (ignores_options, FILE),
        (from_another_address, FILE),
        (lossy, b"".join(bytes([n]) * 1000 for n in range(1, 5)) + b"end"),
        (strangers, FILE[:512] + b"good"),
    ],
)
def test_the_file_comes_whole(script: Script, data: bytes, served: Served) -> None:
    assert fetch_bytes(parse_url(served(script)), QUICK) == data


def test_block_numbers_start_again_after_65535(served: Served) -> None:
    limits = Limits(size=1 << 20, timeout_s=3, total_s=60)
    assert fetch_bytes(parse_url(served(rollover)), limits) == bytes(8 * 66_000)


def number_to_1(block_number: int) -> int:
    """After 65535 comes 1."""
    return (block_number - 1) % 0xFFFF + 1


ROLLED = bytes(range(256)) * 2500


@pytest.mark.parametrize("window", [1, 16])
def test_block_numbers_may_start_again_at_1(window: int, served: Served) -> None:
    def rolls(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
        size, step = 512, 1
        if b"windowsize" in request:
            size, step = 8, window
            udp.sendto(options(blksize=size, windowsize=step), client)
            assert acked(udp) == 0
        done, count = 0, len(ROLLED) // size + 1
        while done < count:
            numbers = range(done + 1, min(done + step, count) + 1)
            for number in numbers:
                data = ROLLED[(number - 1) * size : number * size]
                udp.sendto(block(number_to_1(number), data), client)
            kind, reply = struct.unpack(">HH", udp.recv(2048)[:4])
            if kind == ERROR:
                return
            done = next((n for n in numbers if number_to_1(n) == reply), done)

    limits = Limits(size=1 << 20, timeout_s=3, total_s=60)
    assert fetch_bytes(parse_url(served(rolls)), limits) == ROLLED


def test_the_request_asks_for_the_name_and_the_options(served: Served) -> None:
    seen = []

    def script(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
        seen.append(request)
        plain(udp, client, request)

    fetch_bytes(parse_url(served(script)), QUICK)
    words = b"dir/a.efi\0octet\0blksize\x001428\0tsize\x000\0windowsize\x0016\0"
    assert seen == [b"\0\1" + words]


def answers(*packets: bytes) -> Script:
    """A server that sends these packets and no more; errors are not answered."""

    def script(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
        for packet in packets:
            udp.sendto(packet, client)
            if packet[:2] != b"\0\5":
                udp.recv(2048)

    return script


@pytest.mark.parametrize(
    ("packets", "fault"),
    [
        ([error(1, "File not found")], "the server says: File not found"),
        ([error(2, "")], "the server says: access denied"),
        ([error(99, "x\x1b[2J")], r"the server says: x\?\[2J"),
        ([options(tsize=100_001)], "100001 bytes, more than the 100000 that fit"),
        ([options(blksize=9000)], "blocks of 9000 bytes"),
        ([options(blksize=4)], "blocks of 4 bytes"),
        ([options(windowsize=65535)], "65535 at once"),
        ([options(timeout=9)], "options that were not asked for: timeout"),
        ([b"\0\6a\x1b[2J\0009\0"], r"options that were not asked for: a\?\[2j"),
        ([b"\0\6blksize\0many\0"], "options that make no sense"),
        ([block(1, bytes(513))], "a block of 513 bytes, 512 were agreed on"),
        ([options(tsize=9), block(1, b"short")], "cut off after 5 bytes of 9"),
        ([options(tsize=2), block(1, b"longer")], "cut off after 6 bytes of 2"),
        ([block(1, bytes(512)), error(0, "disk on fire")], "the server says: disk on fire"),
        ([block(1, bytes(512))], r"no answer within 1\.5 s"),
        ([b"\0"], r"no answer within 1\.5 s"),
        ([b"\0\7junk"], r"no answer within 1\.5 s"),
    ],
)
def test_what_went_wrong_is_said_in_bounded_time(
    packets: list[bytes], fault: str, served: Served
) -> None:
    started = time.monotonic()
    address = served(answers(*packets))
    with pytest.raises(NetworkError, match=fault) as caught:
        fetch_bytes(parse_url(address), QUICK)
    assert str(caught.value).startswith(f"{address}: ")
    assert time.monotonic() - started < QUICK.total_s


def test_more_than_may_come_ends_the_transfer(served: Served) -> None:
    ended = []

    def endless(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
        for number in range(1, 1000):
            udp.sendto(block(number, bytes(512)), client)
            reply = udp.recv(2048)
            if reply[:2] == b"\0\5":
                ended.append(number)
                return

    with pytest.raises(NetworkError, match="more than the 100000 bytes that fit"):
        fetch_bytes(parse_url(served(endless)), QUICK)
    time_limit = time.monotonic() + 5
    while not ended and time.monotonic() < time_limit:
        threading.Event().wait(0.01)
    assert ended == [196]


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_missing_file_is_missing_whatever_its_number(code: int, served: Served) -> None:
    with pytest.raises(NotOnServerError):
        fetch_bytes(parse_url(served(answers(error(code, "no")))), QUICK)


def test_a_file_that_breaks_off_is_not_missing(served: Served) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch_bytes(parse_url(served(answers(block(1, bytes(512)), error(0, "gone")))), QUICK)
    assert not isinstance(caught.value, NotOnServerError)


def test_what_leads_nowhere_does_not_hold_us_until_the_end(served: Served) -> None:
    def again(udp: socket.socket, client: tuple[str, int], request: bytes) -> None:
        for _ in range(200):
            udp.sendto(block(1, bytes(512)), client)
            time.sleep(0.02)

    with pytest.raises(NetworkError, match=r"no answer within 0\.5 s"):
        fetch_bytes(parse_url(served(again)), Limits(timeout_s=0.5, total_s=8))


def test_a_dead_server_costs_no_more_than_its_timeout() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        url = parse_url(f"tftp://127.0.0.1:{mute.getsockname()[1]}/a")
        started = time.monotonic()
        with pytest.raises(NetworkError, match=r"no answer within 1\.5 s"):
            fetch_bytes(url, Limits(timeout_s=1.5))
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "body", [b"a\0", b"a\0001", b"\xff\0001\0", b"a\0b\0", b"a\0" + b"9" * 5000 + b"\0"]
)
def test_malformed_options_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_options(body)
