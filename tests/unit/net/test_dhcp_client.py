# SPDX-License-Identifier: Apache-2.0
"""The DHCP clients among servers that lie, refuse or babble: a usable lease, or NetworkError."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from pykexec.errors import NetworkError
from pykexec.linux.interface import Interface
from pykexec.net import dhcp, dhcp6, dhcp6_message, dhcp_packet
from pykexec.net.dhcp6_message import pack_options
from pykexec.net.dhcp_packet import Message, Option
from pykexec.net.lease import Lease

MAC = bytes.fromhex("525400123456")
GOOD, OTHER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
ADDRESS = bytes([10, 0, 0, 5])
HOSTILE = b"\x1b[2J\x1b]0;x\x07\xc2\x9b31m\xe2\x80\xae" + b"A" * 200
HEADER = struct.Struct("!4xI8x4s8s6s10x64s128s")


@dataclass
class Ether:
    """A socket whose clock stands still but for waiting, and the servers behind it."""

    answer: Callable[[bytes], Sequence[bytes]]
    now: float = field(default_factory=time.monotonic)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)
    wait_s: float = 0.0
    fault: OSError | None = None

    def __enter__(self) -> Ether:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def setsockopt(self, *option: object) -> None:
        pass

    def bind(self, address: object) -> None:
        if self.fault:
            raise self.fault

    def settimeout(self, seconds: float) -> None:
        self.wait_s = seconds

    def sendto(self, data: bytes, target: object) -> None:
        self.sent.append((self.now, data))
        self.waiting += self.answer(data)

    def recv(self, size: int) -> bytes:
        if self.waiting:
            return self.waiting.pop(0)
        self.now += self.wait_s
        raise TimeoutError

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Ether], None]:
    """Put both clients on an ether."""

    def put(ether: Ether) -> None:
        for client in (dhcp, dhcp6):
            names = {
                name: getattr(socket, name) for name in dir(socket) if not name.startswith("_")
            }
            names["socket"] = lambda *kind: ether
            monkeypatch.setattr(client, "socket", SimpleNamespace(**names))
            monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=ether.monotonic))
        monkeypatch.setattr(dhcp6, "_wait_for_link_local", lambda interface, end: None)
        monkeypatch.setattr(Interface, "mac", MAC)
        monkeypatch.setattr(Interface, "index", 7)

    return put


Options = Sequence[tuple[int, bytes]]


def says(
    request: bytes,
    kind: Message,
    server: bytes = GOOD,
    *options: tuple[int, bytes],
    yours: bytes = ADDRESS,
) -> bytes:
    """An answer of that server."""
    transaction = int.from_bytes(request[4:8])
    head = b"\2\1\6\0" + struct.pack("!IHH", transaction, 0, 0)
    head += bytes(4) + yours + bytes(8) + MAC + bytes(10 + 64 + 128) + b"\x63\x82\x53\x63"
    all_options = [(Option.MESSAGE_TYPE, bytes([kind])), (Option.SERVER_ID, server), *options]
    return head + b"".join(bytes([n, len(v)]) + v for n, v in all_options if v) + b"\xff"


def kind_of(request: bytes) -> int:
    """Discover or request."""
    return dhcp_packet.parse_packet(request).message


def fair(request: bytes) -> bytes:
    """What a server says that keeps its word."""
    return says(request, Message.OFFER if kind_of(request) == Message.DISCOVER else Message.ACK)


def acquire(timeout_s: float = 30) -> Lease:
    return dhcp.acquire(Interface("efi0"), timeout_s)


MASK, LONG = (Option.SUBNET_MASK, bytes([1, 2, 3, 4])), b"A" * 200
UNUSABLE = {
    "server twice": lambda r: says(r, Message.OFFER, LONG, (Option.SERVER_ID, LONG)),
    "no server": lambda r: says(r, Message.OFFER, b""),
    "bad mask": lambda r: says(r, Message.OFFER, OTHER, MASK),
    "mask of all": lambda r: says(r, Message.OFFER, OTHER, (Option.SUBNET_MASK, bytes(4))),
    "short mask": lambda r: says(r, Message.OFFER, OTHER, (Option.SUBNET_MASK, bytes(3))),
    "no address": lambda r: says(r, Message.OFFER, OTHER, yours=bytes(4)),
    "loopback": lambda r: says(r, Message.OFFER, OTHER, yours=bytes([127, 0, 0, 1])),
    "broadcast": lambda r: says(r, Message.OFFER, OTHER, yours=b"\xff" * 4),
    "cut off": lambda r: says(r, Message.OFFER, OTHER)[:241],
    "long overload": lambda r: says(r, Message.OFFER, OTHER, (Option.OVERLOAD, b"\1\1")),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_cannot_be_used_is_no_offer(what: str, on: Callable[[Ether], None]) -> None:
    on(Ether(lambda request: [UNUSABLE[what](request), fair(request)]))
    assert acquire().addresses == (ipaddress.ip_interface("10.0.0.5/8"),)


@pytest.mark.parametrize("what", UNUSABLE)
def test_nothing_but_what_cannot_be_used_is_a_network_error(
    what: str, on: Callable[[Ether], None]
) -> None:
    on(Ether(lambda request: [UNUSABLE[what](request)]))
    with pytest.raises(NetworkError, match="efi0: no DHCP server gave a lease; DHCP packet: "):
        acquire()


def test_an_ack_that_cannot_be_used_leads_on_to_another_server(on: Callable[[Ether], None]) -> None:
    def answer(request: bytes) -> list[bytes]:
        if kind_of(request) == Message.DISCOVER:
            return [says(request, Message.OFFER, OTHER), says(request, Message.OFFER)]
        return [says(request, Message.ACK, OTHER, MASK), says(request, Message.ACK)]

    on(Ether(answer))
    assert acquire().source == "DHCP from 10.0.0.1"


def test_options_that_nobody_needs_are_left_out_where_they_make_no_sense(
    on: Callable[[Ether], None],
) -> None:
    odd = [
        (Option.LEASE_TIME, LONG),
        (Option.LEASE_TIME, LONG),
        (Option.MTU, LONG),
        (Option.ROUTER, bytes(5)),
        (Option.NAME_SERVER, bytes(7)),
        (Option.CLASSLESS_ROUTES, bytes([33, 0])),
        (Option.DOMAIN, b"good.example a\x1b[2J -x " + b"y" * 70),
    ]

    def answer(request: bytes) -> list[bytes]:
        discover = kind_of(request) == Message.DISCOVER
        return [says(request, Message.OFFER if discover else Message.ACK, GOOD, *odd)]

    on(Ether(answer))
    assert acquire() == Lease(
        "DHCP from 10.0.0.1", (ipaddress.ip_interface("10.0.0.5/8"),), domains=("good.example",)
    )


def test_who_was_not_chosen_cannot_refuse(on: Callable[[Ether], None]) -> None:
    ether = Ether(
        lambda request: [
            says(request, Message.NAK, OTHER),
            says(request, Message.NAK, b""),
            fair(request),
        ]
    )
    on(ether)
    assert acquire().source == "DHCP from 10.0.0.1"
    assert len(ether.sent) == 2


def test_a_server_that_always_refuses_is_asked_more_and_more_seldom(
    on: Callable[[Ether], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def answer(request: bytes) -> list[bytes]:
        if kind_of(request) == Message.DISCOVER:
            return [says(request, Message.OFFER)]
        return [says(request, Message.NAK, GOOD, (Option.MESSAGE, HOSTILE))]

    ether = Ether(answer)
    on(ether)
    with pytest.raises(NetworkError, match=r"10\.0\.0\.1 refused: \?\[2J") as caught:
        acquire(60)
    asked = [moment for moment, data in ether.sent if kind_of(data) == Message.DISCOVER]
    assert len(asked) < 20
    assert str(caught.value).isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_a_server_that_refuses_makes_way_for_another(on: Callable[[Ether], None]) -> None:
    def answer(request: bytes) -> list[bytes]:
        if kind_of(request) == Message.DISCOVER:
            return [says(request, Message.OFFER, OTHER), says(request, Message.OFFER)]
        return [says(request, Message.NAK, OTHER), says(request, Message.ACK)]

    ether = Ether(answer)
    on(ether)
    assert acquire().source == "DHCP from 10.0.0.1"
    assert len(ether.sent) == 4


@pytest.mark.parametrize("client", ["DHCP", "DHCPv6"])
def test_what_linux_says_is_a_network_error(client: str, on: Callable[[Ether], None]) -> None:
    on(Ether(lambda request: [], fault=OSError(errno.EADDRINUSE, "Address already in use")))
    with pytest.raises(NetworkError, match=f"efi0: {client}: Address already in use"):
        acquire() if client == "DHCP" else dhcp6.acquire(Interface("efi0"), 5, managed=True)


# DHCPv6: the same among its servers.

SIX = dhcp6_message.Option
ADDRESS6 = ipaddress.ip_address("2001:db8::5")
SERVER6, OTHER6 = b"good", b"other"


def says6(request: bytes, kind: int, *options: tuple[int, bytes]) -> bytes:
    return bytes([kind]) + request[1:4] + pack_options(options)


def association(address: bytes = ADDRESS6.packed) -> tuple[int, bytes]:
    """An address for a while."""
    inner = pack_options([(SIX.IA_ADDRESS, address + bytes([0, 0, 0, 9] * 2))])
    return (SIX.IA_NA, MAC[-4:] + bytes(8) + inner)


def answer_of(request: bytes) -> int:
    """The kind that the request wants."""
    solicit = request[0] == dhcp6_message.Message.SOLICIT
    return dhcp6_message.Message.ADVERTISE if solicit else dhcp6_message.Message.REPLY


def fair6(request: bytes) -> bytes:
    return says6(request, answer_of(request), (SIX.SERVER_ID, SERVER6), association())


STATUS = (SIX.STATUS, b"\0\2" + HOSTILE)
UNUSABLE6: dict[str, tuple[tuple[int, bytes], ...]] = {
    "refusal": ((SIX.SERVER_ID, OTHER6), STATUS),
    "refusal inside": ((SIX.SERVER_ID, OTHER6), (SIX.IA_NA, bytes(12) + pack_options([STATUS]))),
    "no address": ((SIX.SERVER_ID, OTHER6),),
    "no server": (association(),),
    "long server": ((SIX.SERVER_ID, bytes(60_000)), association()),
    "multicast": ((SIX.SERVER_ID, OTHER6), association(b"\xff" * 16)),
    "cut off": ((SIX.SERVER_ID, OTHER6), (SIX.IA_NA, bytes(12) + b"\0\5\0\x18")),
}


@pytest.mark.parametrize("what", UNUSABLE6)
def test_what_cannot_be_used_is_no_offer_of_dhcpv6(
    what: str, on: Callable[[Ether], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    on(
        Ether(
            lambda request: [
                says6(request, answer_of(request), *UNUSABLE6[what]),
                fair6(request),
            ]
        )
    )
    lease = dhcp6.acquire(Interface("efi0"), 30, managed=True)
    assert lease.addresses == (ipaddress.ip_interface("2001:db8::5/128"),)
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize("what", UNUSABLE6)
def test_nothing_but_what_cannot_be_used_of_dhcpv6_is_a_network_error(
    what: str, on: Callable[[Ether], None]
) -> None:
    on(Ether(lambda request: [says6(request, answer_of(request), *UNUSABLE6[what])]))
    with pytest.raises(NetworkError, match="no DHCPv6 server answered") as caught:
        dhcp6.acquire(Interface("efi0"), 30, managed=True)
    assert str(caught.value).isprintable()


def test_information_is_taken_as_far_as_it_makes_sense(on: Callable[[Ether], None]) -> None:
    names = b"\x04good\x07example\0" + b"\x1ea\nnameserver 6.6.6.6\noptions x\0" + b"\x09short"
    options = ((SIX.NAME_SERVERS, bytes(17)), (SIX.DOMAINS, names))
    on(Ether(lambda request: [says6(request, answer_of(request), *options)]))
    lease = dhcp6.acquire(Interface("efi0"), 30, managed=False)
    assert lease == Lease("DHCPv6", domains=("good.example",))
