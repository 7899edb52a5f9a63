# SPDX-License-Identifier: Apache-2.0
"""What PXE base code is told again, on the host: packets and address, and by DHCP its router."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

import pytest

from pykexec.run import run

CSRC = Path(__file__).parents[3] / "csrc"
SOURCES = ("stub/services/pxe.c", "common/device_path.c", "common/dhcp.c", "common/guids.c")
ROUTER, SERVER_ID = 3, 54
GATEWAY = "10.0.0.1"
PACKET_SIZE = 1472
RESTORED = "start packets station"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pxe") / "pxe"
    flags = ["-std=gnu11", "-fshort-wchar", "-g", "-fsanitize=address,undefined"]
    includes = [f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    own = str(Path(__file__).parent / "pxe.c")
    files = [str(CSRC / name) for name in SOURCES]
    run(["gcc", *flags, *includes, own, *files, "-o", str(path)], timeout_s=120)
    return path


def packet(siaddr: str = "0.0.0.0", *options: bytes) -> str:
    """A DHCP server's answer, in hexadecimal."""
    head = struct.pack(">BBBB", 2, 1, 6, 0) + bytes(16) + ipaddress.ip_address(siaddr).packed
    return (head.ljust(236, b"\0") + b"\x63\x82\x53\x63" + b"".join(options)).hex()


def option(code: int, *addresses: str) -> bytes:
    """An option that is a list of addresses."""
    data = b"".join(ipaddress.ip_address(address).packed for address in addresses)
    return bytes([code, len(data)]) + data


def restored(program: Path, ack: str, offer: str = "", dhcp: str = "same") -> list[str]:
    """What was called when the NIC came back, what at the end, and what base code has."""
    words = [str(program), ack, offer, "10.0.0.5", "255.255.255.0", dhcp]
    said = run(words, timeout_s=60, env={"ASAN_OPTIONS": "detect_leaks=0"}).decode()
    return [part.strip() for part in said.split("|")]


GATE = option(ROUTER, GATEWAY, "10.0.0.2")


@pytest.mark.parametrize(
    ("ack", "offer"),
    [
        (packet("10.0.0.9", GATE), ""),
        (packet("10.0.0.9"), ""),
        (packet("10.1.0.9"), ""),  # Behind a router of which nobody knows.
        (packet("10.1.0.9", bytes([ROUTER, 3, 10, 0, 0])), ""),
        (packet("10.1.0.9", bytes(PACKET_SIZE - 244), bytes([ROUTER, 4, 10, 0])), ""),  # Cut off.
        (packet("10.1.0.9", b"\xff", GATE), ""),
        (packet("0.0.0.0", GATE), ""),
        (packet("10.0.0.9", GATE), packet("10.0.0.10")),
    ],
)
def test_who_needs_no_router_is_told_all_and_asks_nobody(
    program: Path, ack: str, offer: str
) -> None:
    assert restored(program, ack, offer) == [RESTORED, "", "10.0.0.5 same"]


@pytest.mark.parametrize(
    ("ack", "offer"),
    [
        (packet("10.1.0.9", GATE), ""),
        (packet("10.1.0.9", b"\0\0\0", option(1, "255.255.255.0"), GATE), ""),
        (packet("0.0.0.0", option(SERVER_ID, "10.1.0.9"), GATE), ""),
        (packet("10.0.0.9", GATE), packet("10.1.0.9")),
        (packet("10.0.0.9", GATE), packet("0.0.0.0", option(SERVER_ID, "10.1.0.9"))),
    ],
)
def test_who_has_servers_behind_a_router_asks_for_it_and_keeps_what_it_was_told(
    program: Path, ack: str, offer: str
) -> None:
    assert restored(program, ack, offer) == [RESTORED, "dhcp packets station", "10.0.0.5 same"]


def test_another_address_is_gone_on_with(program: Path) -> None:
    found = restored(program, packet("10.1.0.9", GATE), dhcp="other")
    assert found == [RESTORED, "dhcp", "10.0.0.77 other"]


def test_where_nobody_answers_all_but_the_router_is_there(program: Path) -> None:
    said = "dhcp packets station pykexec: the firmware's PXE has no router (8000000000000006)"
    found = restored(program, packet("10.1.0.9", GATE), dhcp="fails")
    assert found == [RESTORED, said, "10.0.0.5 same"]
