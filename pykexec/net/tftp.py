# SPDX-License-Identifier: Apache-2.0
"""TFTP: one read, octet mode (RFC 1350), with the options of RFC 2347-2349 and 7440.

Servers are older than the options, or have ideas of their own: one that refuses them by whatever
code, does not answer, or numbers windows in its own way is asked once more without any.
"""

from __future__ import annotations

import socket
import struct
import time

from pykexec.config.url import Url
from pykexec.errors import NetworkError, NotOnServerError
from pykexec.log import printable
from pykexec.net.transfer import Deadline, Limits, Sink, resolve

BLOCK_SIZE = 1428  # fits an Ethernet frame behind IPv6's header, and UDP's and TFTP's
DEFAULT_BLOCK_SIZE = 512
WINDOW_SIZE = 16
_FIRST_WAIT_S = 1.0
_NAME_MAX = 1024
_LAST_NUMBER = 0xFFFF

_RRQ, _DATA, _ACK, _ERROR, _OACK = 1, 3, 4, 5, 6
_NOT_DEFINED, _NOT_FOUND, _DENIED, _DISK_FULL, _UNKNOWN_PORT, _BAD_OPTION = 0, 1, 2, 3, 5, 8
_WORDS_MAX = 256
_FAULTS = {
    1: "no such file",
    2: "access denied",
    3: "disk full",
    4: "not TFTP as it knows it",
    8: "does not take our options",
}
_Address = tuple[object, ...]


class _WithoutOptionsError(Exception):
    """The server does not negotiate, or not in a way that we understand."""


def read(url: Url, sink: Sink, limits: Limits, deadline: Deadline) -> None:
    """Write what url names to sink; NotOnServerError or NetworkError say what went wrong."""
    name = url.file_name
    if not name or "\0" in name or len(name) > _NAME_MAX:
        raise NetworkError(f"{url}: no name that TFTP can ask for")
    family, address = resolve(url, socket.SOCK_DGRAM)[0]
    try:
        for options in (_wanted_options(), {}):
            with socket.socket(family, socket.SOCK_DGRAM) as udp:
                try:
                    _Transfer(udp, address, url, sink, limits, deadline).run(options)
                    return
                except _WithoutOptionsError:
                    sink.restart()
    except OSError as error:
        raise NetworkError(f"{url}: {error.strerror or error}") from None


def _wanted_options() -> dict[str, int]:
    return {"blksize": BLOCK_SIZE, "tsize": 0, "windowsize": WINDOW_SIZE}


def request(name: str, options: dict[str, int]) -> bytes:
    """The packet that asks for a file, with options."""
    words = [name, "octet", *(word for key, value in options.items() for word in (key, str(value)))]
    return struct.pack(">H", _RRQ) + b"".join(word.encode() + b"\0" for word in words)


def parse_options(body: bytes) -> dict[str, int]:
    """What an OACK carries; ValueError if it is malformed. Names are not case-sensitive."""
    words = body.split(b"\0")
    if words.pop() or len(words) % 2:
        raise ValueError("not pairs of terminated strings")
    return {words[i].decode().lower(): int(words[i + 1]) for i in range(0, len(words), 2)}


class _Transfer:
    """The conversation about one file; the server answers from a port of its own."""

    def __init__(
        self,
        udp: socket.socket,
        address: _Address,
        url: Url,
        sink: Sink,
        limits: Limits,
        deadline: Deadline,
    ) -> None:
        self._udp, self._server, self._url = udp, address, url
        self._sink, self._limits, self._deadline = sink, limits, deadline
        self._peer: _Address | None = None
        self._block_size, self._window = DEFAULT_BLOCK_SIZE, 1
        self._size: int | None = None
        self._last = 0  # number of the last block that came in order
        self._since_ack = 0
        self._nr_blocks = 0
        self._gap_told = False
        self._nr_rollovers = 0  # seen where a block seems to be missing
        self._last_packet = b""
        self._asked = False
        self._silent_since = time.monotonic()  # since when nothing has come that leads on

    def run(self, options: dict[str, int]) -> None:
        self._asked = bool(options)
        self._send(request(self._url.file_name, options))
        while True:
            packet = self._receive()
            kind = int.from_bytes(packet[:2], "big")
            if kind == _OACK and self._asked and not self._nr_blocks:
                self._negotiate(packet[2:], options)
                self._acknowledge()
            elif kind == _DATA and len(packet) >= 4:
                if self._data(int.from_bytes(packet[2:4], "big"), packet[4:]):
                    break
            elif kind == _ERROR:
                self._refused(packet)
        if self._size is not None and self._sink.size != self._size:
            raise self._fault(f"cut off after {self._sink.size} bytes of {self._size}")

    def _data(self, number: int, data: bytes) -> bool:
        """Take a block if it is the next one; was it the last?"""
        if number != (self._last + 1) & _LAST_NUMBER and not self._rolls_over_to_1(number):
            # A block was lost, or our answer. Once: the rest of the window is on its way already.
            if not self._gap_told:
                self._gap_told = True
                self._acknowledge()
            return False
        if len(data) > self._block_size:
            raise self._give_up(f"a block of {len(data)} bytes, {self._block_size} were agreed on")
        try:
            self._sink.write(data)
        except NetworkError:
            self._error(_DISK_FULL, "too large")
            raise
        self._last = number
        self._nr_blocks += 1
        self._silent_since = time.monotonic()
        self._since_ack += 1
        self._gap_told = False
        ended = len(data) < self._block_size
        if ended or self._since_ack >= self._window:
            self._acknowledge()
        return ended

    def _rolls_over_to_1(self, number: int) -> bool:
        """Is that what comes after the last number? Then 0 is none for this server.

        One block at a time there is no doubt, for 0 was not acknowledged. Of a window 0 may have
        been lost, but hardly twice.
        """
        if self._last != _LAST_NUMBER or number != 1:
            return False
        if self._window > 1:
            self._nr_rollovers += 1
            if self._nr_rollovers > 1:
                self._error(_NOT_DEFINED, "once more, without a window")
                raise _WithoutOptionsError
        return self._window == 1

    def _negotiate(self, body: bytes, wanted: dict[str, int]) -> None:
        try:
            granted = parse_options(body)
        except (ValueError, UnicodeDecodeError) as error:
            raise self._give_up(f"options that make no sense: {error}") from None
        if unknown := granted.keys() - wanted.keys():
            raise self._give_up(f"options that were not asked for: {', '.join(sorted(unknown))}")
        block_size = granted.get("blksize", DEFAULT_BLOCK_SIZE)
        window = granted.get("windowsize", 1)
        if not 8 <= block_size <= BLOCK_SIZE or not 1 <= window <= WINDOW_SIZE:
            raise self._give_up(f"blocks of {block_size} bytes, {window} at once")
        self._block_size, self._window = block_size, window
        self._size = granted.get("tsize")
        if self._size is not None:
            try:
                self._sink.expect(self._size)
            except NetworkError:
                self._error(_DISK_FULL, "too large")
                raise

    def _refused(self, packet: bytes) -> None:
        code = int.from_bytes(packet[2:4], "big")
        if self._asked and not self._nr_blocks and code != _NOT_FOUND:
            raise _WithoutOptionsError
        text = packet[4:].partition(b"\0")[0].decode("ascii", "replace")
        words = printable(text, _WORDS_MAX)
        # Some servers have no other number for a file that is not there.
        missing = code in (_NOT_FOUND, _NOT_DEFINED, _DENIED) and not self._nr_blocks
        kind = NotOnServerError if missing else NetworkError
        raise kind(f"{self._url}: the server says: {words or _FAULTS.get(code, f'error {code}')}")

    def _receive(self) -> bytes:
        """The next packet of our server; what we said last is said again while nothing comes."""
        wait = _FIRST_WAIT_S
        while True:
            # With options and without: half of the time that a first answer may take is for each.
            timeout_s = self._limits.timeout_s / (1 if self._peer else 2)
            patience = self._silent_since + timeout_s - time.monotonic()
            if patience <= 0:
                if self._asked and not self._peer:
                    raise _WithoutOptionsError
                raise self._fault(f"no answer within {self._limits.timeout_s:g} s")
            self._udp.settimeout(min(wait, patience, self._deadline.silence_s(self._url)))
            try:
                packet, sender = self._udp.recvfrom(65536)
            except TimeoutError:
                wait *= 2
                self._since_ack = 0
                self._transmit()
                continue
            # The first that answers is the server: one of several addresses may use another.
            if self._peer is None and _is_answer(packet):
                self._peer = sender
                self._silent_since = time.monotonic()
            if sender == self._peer:
                return packet
            self._udp.sendto(_error_packet(_UNKNOWN_PORT, "not for you"), sender)

    def _acknowledge(self) -> None:
        self._since_ack = 0
        self._send(struct.pack(">HH", _ACK, self._last))

    def _send(self, packet: bytes) -> None:
        self._last_packet = packet
        self._transmit()

    def _transmit(self) -> None:
        # After a pause within a window this is an older acknowledgement than could be given.
        packet = self._last_packet
        if packet[1] == _ACK:
            packet = struct.pack(">HH", _ACK, self._last)
        self._udp.sendto(packet, self._peer or self._server)

    def _error(self, code: int, text: str) -> None:
        self._udp.sendto(_error_packet(code, text), self._peer or self._server)

    def _give_up(self, fault: str) -> NetworkError:
        """Tell the server, too."""
        self._error(_BAD_OPTION, "refused")
        return self._fault(fault)

    def _fault(self, fault: str) -> NetworkError:
        return NetworkError(f"{self._url}: {printable(fault, _WORDS_MAX)}")


def _is_answer(packet: bytes) -> bool:
    """Could this be the first packet of a server?"""
    kind, number = int.from_bytes(packet[:2], "big"), int.from_bytes(packet[2:4], "big")
    return len(packet) >= 4 and (kind in (_OACK, _ERROR) or (kind, number) == (_DATA, 1))


def _error_packet(code: int, text: str) -> bytes:
    return struct.pack(">HH", _ERROR, code) + text.encode() + b"\0"
