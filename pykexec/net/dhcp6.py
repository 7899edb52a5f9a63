# SPDX-License-Identifier: Apache-2.0
"""A DHCPv6 client (RFC 8415): an address where routers say so, else name servers and the like."""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from dataclasses import dataclass

from pykexec.errors import FormatError, NetworkError
from pykexec.linux.interface import Interface
from pykexec.net.dhcp6_message import (
    Message,
    Option,
    Packet,
    build_packet,
    lease_from,
    parse_packet,
    status_of,
)
from pykexec.net.lease import Lease

log = logging.getLogger(__name__)

SERVER_PORT = 547
CLIENT_PORT = 546
ALL_SERVERS = "ff02::1:2"

_DUID_LINK_LAYER = 3
_ETHERNET = 1
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 8.0
_PAUSE_S = 0.05

_WANTED = struct.pack("!2H", Option.NAME_SERVERS, Option.DOMAINS)


def acquire(interface: Interface, timeout_s: float, managed: bool) -> Lease:
    """Ask for an address (managed) or for information alone; NetworkError when nobody answers."""
    end = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode())
        _wait_for_link_local(interface, end)
        sock.bind(("::", CLIENT_PORT))
        client = _Client(sock, interface, end)
        if not managed:
            reply = client.exchange(Message.INFORMATION_REQUEST, (), Message.REPLY)
            return lease_from(reply, "DHCPv6")
        nothing = (Option.IA_NA, client.association + bytes(8))
        offer = client.exchange(Message.SOLICIT, (nothing,), Message.ADVERTISE)
        chosen = tuple(
            (number, value)
            for number, value in offer.options
            if number in (Option.SERVER_ID, Option.IA_NA)
        )
        return lease_from(client.exchange(Message.REQUEST, chosen, Message.REPLY), "DHCPv6")


def _wait_for_link_local(interface: Interface, end: float) -> None:
    """Linux looks for duplicates of it for a second or two."""
    while not any(a.link_local and not a.tentative for a in interface.addresses()):
        if time.monotonic() > end:
            raise NetworkError(f"{interface.name}: no link-local IPv6 address")
        time.sleep(_PAUSE_S)


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    interface: Interface
    end: float

    @property
    def identity(self) -> bytes:
        return struct.pack("!HH", _DUID_LINK_LAYER, _ETHERNET) + self.interface.mac

    @property
    def association(self) -> bytes:
        return self.interface.mac[-4:]

    def exchange(
        self, message: Message, options: tuple[tuple[int, bytes], ...], answer: Message
    ) -> Packet:
        """Send until the answer comes, more and more seldom."""
        transaction = int.from_bytes(os.urandom(3))
        start = time.monotonic()
        wait_s = _FIRST_WAIT_S
        target = (ALL_SERVERS, SERVER_PORT, 0, self.interface.index)
        while (now := time.monotonic()) < self.end:
            elapsed = struct.pack("!H", min(int((now - start) * 100), 0xFFFF))
            ours = (
                (Option.CLIENT_ID, self.identity),
                (Option.ELAPSED_TIME, elapsed),
                (Option.WANTED, _WANTED),
            )
            try:
                packet = Packet(message, transaction, (*ours, *options))
                self.sock.sendto(build_packet(packet), target)
            except OSError as error:
                fault = f"{self.interface.name}: DHCPv6: {error.strerror}"
                raise NetworkError(fault) from None
            until = min(now + wait_s, self.end)
            while (left := until - time.monotonic()) > 0:
                if found := self._receive(transaction, left, answer):
                    return found
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        word = message.name.lower().replace("_", "-")
        raise NetworkError(f"{self.interface.name}: no DHCPv6 server answered ({word})")

    def _receive(self, transaction: int, left_s: float, answer: Message) -> Packet | None:
        self.sock.settimeout(left_s)
        try:
            packet = parse_packet(self.sock.recv(65536))
            code, words = status_of(packet)
        except TimeoutError:
            return None
        except FormatError as error:
            log.debug("%s: %s", self.interface.name, error)
            return None
        if (packet.message, packet.transaction) != (answer, transaction):
            return None
        if packet.option(Option.CLIENT_ID) not in (b"", self.identity):
            return None
        if code:
            log.info("%s: DHCPv6 server refused: %d %s", self.interface.name, code, words)
            return None
        return packet
