# SPDX-License-Identifier: Apache-2.0
"""A DHCPv4 client (RFC 2131) that needs no raw socket: answers come as broadcasts."""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from pykexec.errors import FormatError, NetworkError
from pykexec.linux.interface import Interface
from pykexec.log import describe, printable
from pykexec.net.dhcp_packet import (
    ETHERNET,
    PACKET_MAX,
    Message,
    Option,
    Packet,
    build_packet,
    lease_from,
    parse_packet,
    text,
)
from pykexec.net.lease import Lease

log = logging.getLogger(__name__)

SERVER_PORT = 67
CLIENT_PORT = 68
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 8.0
_REQUESTS = 3
_WORDS_MAX = 256

_WANTED = bytes(
    [
        Option.SUBNET_MASK,
        Option.ROUTER,
        Option.NAME_SERVER,
        Option.DOMAIN,
        Option.MTU,
        Option.LEASE_TIME,
        Option.SERVER_ID,
        Option.CLASSLESS_ROUTES,
    ]
)


def acquire(interface: Interface, timeout_s: float, host_name: str = "") -> Lease:
    """Get a lease on an interface that is up; NetworkError, and no other, if there is none in time.

    What cannot be used is no offer: a better one is waited for as long as there is time.
    """
    end = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode())
            sock.bind(("", CLIENT_PORT))
            return _Client(sock, interface.name, interface.mac, end, host_name).lease()
    except OSError as error:
        raise NetworkError(f"{interface.name}: DHCP: {describe(error)}") from None


def _waits() -> Iterator[float]:
    """How long to wait for answers before it is said again, each time."""
    wait_s = _FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    interface: str
    mac: bytes
    end: float
    host_name: str
    start: float = field(default_factory=time.monotonic)
    waits: Iterator[float] = field(default_factory=_waits)
    refused_by: set[bytes] = field(default_factory=set)  # within this wait
    fault: str = ""  # of what came last and was of no use

    def lease(self) -> Lease:
        """Ask around until a server gives what it offers."""
        while offer := self._exchange(Message.DISCOVER, {}, self._is_offer, self.waits):
            server = offer.options[Option.SERVER_ID]
            wanted: dict[int, bytes] = {
                Option.REQUESTED_ADDRESS: offer.your_address,
                Option.SERVER_ID: server,
            }
            waits = islice(_waits(), _REQUESTS)
            answer = self._exchange(Message.REQUEST, wanted, partial(_is_answer, server), waits)
            if answer and (lease := self._granted(answer, socket.inet_ntoa(server))):
                return lease
            self.refused_by.add(server)
        fault = f"; {self.fault}" if self.fault else ""
        raise NetworkError(f"{self.interface}: no DHCP server gave a lease{fault}")

    def _is_offer(self, packet: Packet) -> bool:
        """Of a server that has not just refused; FormatError for what would be none as a lease."""
        if packet.message != Message.OFFER:
            return False
        server = packet.options.get(Option.SERVER_ID)
        if server is None:  # RFC 2131, table 3
            raise FormatError("DHCP packet: an offer that does not say whose")
        lease_from(packet, "")
        return server not in self.refused_by

    def _granted(self, answer: Packet, server: str) -> Lease | None:
        if answer.message == Message.ACK:
            try:
                return lease_from(answer, f"DHCP from {server}")
            except FormatError as error:
                self._of_no_use(str(error))
                return None
        words = text(answer.options.get(Option.MESSAGE, b"")) or "no reason given"
        self._of_no_use(f"{server} refused: {words}")
        return None

    def _of_no_use(self, fault: str) -> None:
        self.fault = printable(fault, _WORDS_MAX)
        log.info("%s: DHCP: %s", self.interface, self.fault)

    def _exchange(
        self,
        message: Message,
        wanted: Mapping[int, bytes],
        is_meant: Callable[[Packet], bool],
        waits: Iterator[float],
    ) -> Packet | None:
        """Say it once a wait until what is meant comes; None when waits or time have run out."""
        request = self._request(message, wanted)
        while time.monotonic() < self.end and (wait_s := next(waits, None)):
            self.sock.sendto(build_packet(request), ("255.255.255.255", SERVER_PORT))
            until = min(time.monotonic() + wait_s, self.end)
            while (left := until - time.monotonic()) > 0:
                if answer := self._receive(request.transaction, left, is_meant):
                    return answer
            self.refused_by.clear()
        return None

    def _request(self, message: Message, wanted: Mapping[int, bytes]) -> Packet:
        options: dict[int, bytes] = {
            Option.MESSAGE_TYPE: bytes([message]),
            Option.CLIENT_ID: bytes([ETHERNET]) + self.mac,
            **wanted,
            Option.MAX_SIZE: struct.pack("!H", PACKET_MAX),
            Option.PARAMETERS: _WANTED,
        }
        if self.host_name:
            options[Option.HOST_NAME] = self.host_name.encode()
        return Packet(
            transaction=int.from_bytes(os.urandom(4)),
            client_address=bytes(4),
            your_address=bytes(4),
            server_address=bytes(4),
            hardware=self.mac,
            server_name="",
            boot_file="",
            seconds=min(int(time.monotonic() - self.start), 0xFFFF),
            options=options,
        )

    def _receive(
        self, transaction: int, left_s: float, is_meant: Callable[[Packet], bool]
    ) -> Packet | None:
        self.sock.settimeout(left_s)
        try:
            packet = parse_packet(self.sock.recv(65536))
            ours = packet.transaction == transaction and packet.hardware == self.mac
            return packet if ours and not packet.is_request and is_meant(packet) else None
        except TimeoutError:
            return None
        except FormatError as error:
            self._of_no_use(str(error))
            return None


def _is_answer(server: bytes, packet: Packet) -> bool:
    """Of the server that was chosen: others may not know its addresses, and refuse them."""
    if packet.message not in (Message.ACK, Message.NAK):
        return False
    return packet.options.get(Option.SERVER_ID) == server
