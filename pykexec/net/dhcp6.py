# SPDX-License-Identifier: Apache-2.0
"""A DHCPv6 client (RFC 8415): an address where routers say so, else name servers and the like."""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pykexec.errors import FormatError, NetworkError
from pykexec.linux.interface import Interface
from pykexec.log import describe, printable
from pykexec.net.dhcp6_message import (
    Message,
    Option,
    Packet,
    build_packet,
    lease_from,
    pack_options,
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
_DUID_MAX = 130  # RFC 8415, 11.1
_WORDS_MAX = 256

_WANTED = struct.pack("!2H", Option.NAME_SERVERS, Option.DOMAINS)


def acquire(interface: Interface, timeout_s: float, managed: bool) -> Lease:
    """Ask for an address (managed) or for information alone.

    NetworkError, and no other, when nobody has answered in time by something that can be used.
    """
    end = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode())
            _wait_for_link_local(interface, end)
            sock.bind(("::", CLIENT_PORT))
            client = _Client(sock, interface, interface.mac, interface.index, end)
            return client.addressed() if managed else client.informed()
    except OSError as error:
        raise NetworkError(f"{interface.name}: DHCPv6: {describe(error)}") from None


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
    mac: bytes
    index: int
    end: float
    fault: str = ""  # of what came last and was of no use

    @property
    def identity(self) -> bytes:
        return struct.pack("!HH", _DUID_LINK_LAYER, _ETHERNET) + self.mac

    def informed(self) -> Lease:
        """Name servers and the like (RFC 8415, 18.2.6)."""
        reply = self._exchange(Message.INFORMATION_REQUEST, (), partial(_is_reply, b""))
        return lease_from(reply, "DHCPv6")

    def addressed(self) -> Lease:
        """An address, of the first server that offers one (18.2.1, 18.2.2)."""
        association = self.mac[-4:] + bytes(8)
        nothing = ((Option.IA_NA, association),)
        offer = self._exchange(Message.SOLICIT, nothing, _is_offer)
        # What is said of it is made anew: only the server's name for itself is given back.
        address = lease_from(offer, "").addresses[0].ip.packed
        server = offer.option(Option.SERVER_ID)
        chosen = (
            (Option.SERVER_ID, server),
            (Option.IA_NA, association + pack_options([(Option.IA_ADDRESS, address + bytes(8))])),
        )
        return lease_from(
            self._exchange(Message.REQUEST, chosen, partial(_gives_address, server)), "DHCPv6"
        )

    def _exchange(
        self,
        message: Message,
        options: tuple[tuple[int, bytes], ...],
        is_meant: Callable[[Packet], bool],
    ) -> Packet:
        """Send until what is meant comes, more and more seldom."""
        transaction = int.from_bytes(os.urandom(3))
        start = time.monotonic()
        wait_s = _FIRST_WAIT_S
        target = (ALL_SERVERS, SERVER_PORT, 0, self.index)
        while (now := time.monotonic()) < self.end:
            elapsed = struct.pack("!H", min(int((now - start) * 100), 0xFFFF))
            ours = (
                (Option.CLIENT_ID, self.identity),
                (Option.ELAPSED_TIME, elapsed),
                (Option.WANTED, _WANTED),
            )
            packet = Packet(message, transaction, (*ours, *options))
            self.sock.sendto(build_packet(packet), target)
            until = min(now + wait_s, self.end)
            while (left := until - time.monotonic()) > 0:
                if found := self._receive(transaction, left, is_meant):
                    return found
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        word = message.name.lower().replace("_", "-")
        fault = f"; {self.fault}" if self.fault else ""
        raise NetworkError(f"{self.interface.name}: no DHCPv6 server answered ({word}){fault}")

    def _receive(
        self, transaction: int, left_s: float, is_meant: Callable[[Packet], bool]
    ) -> Packet | None:
        self.sock.settimeout(left_s)
        try:
            packet = parse_packet(self.sock.recv(65536))
            ours = packet.transaction == transaction
            ours = ours and packet.option(Option.CLIENT_ID) in (b"", self.identity)
            return packet if ours and is_meant(packet) else None
        except TimeoutError:
            return None
        except FormatError as error:
            self.fault = printable(str(error), _WORDS_MAX)
            log.info("%s: DHCPv6: %s", self.interface.name, self.fault)
            return None


def _check(packet: Packet) -> Lease:
    """The lease in it; FormatError for a refusal and for what makes no sense."""
    code, words = status_of(packet)
    if code:
        raise FormatError(f"the server refused: {code} {words}".rstrip())
    return lease_from(packet, "")


def _is_offer(packet: Packet) -> bool:
    if packet.message != Message.ADVERTISE:
        return False
    if not 0 < len(packet.option(Option.SERVER_ID)) <= _DUID_MAX:
        raise FormatError("DHCPv6 message: an offer that does not say whose")
    return bool(_check(packet).addresses)


def _is_reply(server: bytes, packet: Packet) -> bool:
    if packet.message != Message.REPLY or (server and packet.option(Option.SERVER_ID) != server):
        return False
    _check(packet)
    return True


def _gives_address(server: bytes, packet: Packet) -> bool:
    return _is_reply(server, packet) and bool(_check(packet).addresses)
