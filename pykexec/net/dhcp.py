# SPDX-License-Identifier: Apache-2.0
"""A DHCPv4 client (RFC 2131) that needs no raw socket: answers come as broadcasts."""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pykexec.errors import FormatError, NetworkError
from pykexec.linux.interface import Interface
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
    """Get a lease on an interface that is up; NetworkError when no server gives one in time."""
    end = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode())
        sock.bind(("", CLIENT_PORT))
        client = _Client(sock, interface, end, host_name)
        while True:
            offer = client.exchange(Message.DISCOVER, {}, (Message.OFFER,))
            wanted: dict[int, bytes] = {
                Option.REQUESTED_ADDRESS: offer.your_address,
                Option.SERVER_ID: offer.options.get(Option.SERVER_ID, offer.server_address),
            }
            answer = client.exchange(Message.REQUEST, wanted, (Message.ACK, Message.NAK))
            if answer.message == Message.ACK:
                server = socket.inet_ntoa(wanted[Option.SERVER_ID][:4].rjust(4, b"\0"))
                return lease_from(answer, f"DHCP from {server}")
            log.info("%s: DHCP server refused: %s", interface.name, _refusal(answer))


def _refusal(answer: Packet) -> str:
    return text(answer.options.get(Option.MESSAGE, b"")) or "no reason given"


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    interface: Interface
    end: float
    host_name: str
    start: float = field(default_factory=time.monotonic)

    def exchange(
        self, message: Message, wanted: Mapping[int, bytes], answers: tuple[Message, ...]
    ) -> Packet:
        """Send until an answer comes, more and more seldom."""
        request = self._request(message, wanted)
        wait_s = _FIRST_WAIT_S
        while time.monotonic() < self.end:
            try:
                self.sock.sendto(build_packet(request), ("255.255.255.255", SERVER_PORT))
            except OSError as error:
                fault = f"{self.interface.name}: DHCP: {error.strerror}"
                raise NetworkError(fault) from None
            until = min(time.monotonic() + wait_s, self.end)
            while (left := until - time.monotonic()) > 0:
                if answer := self._receive(request.transaction, left, answers):
                    return answer
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        word = message.name.lower()
        raise NetworkError(f"{self.interface.name}: no DHCP server answered ({word})")

    def _request(self, message: Message, wanted: Mapping[int, bytes]) -> Packet:
        mac = self.interface.mac
        options: dict[int, bytes] = {
            Option.MESSAGE_TYPE: bytes([message]),
            Option.CLIENT_ID: bytes([ETHERNET]) + mac,
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
            hardware=mac,
            server_name="",
            boot_file="",
            seconds=min(int(time.monotonic() - self.start), 0xFFFF),
            options=options,
        )

    def _receive(
        self, transaction: int, left_s: float, answers: tuple[Message, ...]
    ) -> Packet | None:
        self.sock.settimeout(left_s)
        try:
            packet = parse_packet(self.sock.recv(65536))
        except TimeoutError:
            return None
        except FormatError as error:
            log.debug("%s: %s", self.interface.name, error)
            return None
        if packet.is_request or packet.transaction != transaction:
            return None
        if packet.hardware != self.interface.mac or packet.message not in answers:
            return None
        return packet
