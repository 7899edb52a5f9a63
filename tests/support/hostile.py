# SPDX-License-Identifier: Apache-2.0
"""The attestations that cost a verifier most: as large as may be, of whatever is parsed piece by
piece. Their quotes and registers fit, so nothing spares the verifier any of it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from itertools import count

from pykexec.attest.protocol import (
    CERTIFICATE_MAX,
    CERTIFICATES_MAX,
    EVENT_LOG_MAX,
    MESSAGE_MAX,
    AttestRequest,
)
from pykexec.efi.guid import named_guids
from pykexec.verify.log import EVENTS_MAX
from pykexec.verify.signatures import DATABASE_MAX
from tests.support import attest_log as log
from tests.support.attest_machine import Machine, Measured

_BANKS = ("sha256",)
_DATABASES = ("PK", "KEK", "db", "dbx", "dbt", "dbr")
_GLOBAL = named_guids()["global_variable"]
_ROOM = 20_000  # bytes of a log for what is not to be many
_LIST_HEAD, _OWNER = 28, 16


def _attestation(machine: Machine) -> bytes:
    return AttestRequest("t" * 100, bytes(32), machine.evidence()).encode()


def _booted(*events: Measured) -> bytes:
    machine = Machine()
    machine.rewrite(events)
    assert len(machine.event_log) <= EVENT_LOG_MAX
    return _attestation(machine)


def _many(make: Callable[[int], Measured]) -> Iterator[Measured]:
    """As many events as there may be, in as many bytes."""
    size = 0
    for number in range(EVENTS_MAX - 100):
        event = make(number)
        size += len(event.encode(_BANKS))
        if size > EVENT_LOG_MAX - _ROOM:
            return
        yield event


def _databases(list_of: Callable[[int], bytes]) -> bytes:
    """Secure Boot's variables, each as large as is read, again and again by other names."""
    events = [Measured(7, log.VARIABLE_DRIVER_CONFIG, log.variable("SecureBoot", _GLOBAL, b"\1"))]
    for name in _DATABASES:
        vendor = log.SECURITY_DATABASE if name.startswith("d") else _GLOBAL
        data = log.variable(name, vendor, list_of(DATABASE_MAX))
        events.append(Measured(7, log.VARIABLE_DRIVER_CONFIG, data))
    return _booted(*events, Measured(7, log.SEPARATOR, bytes(4)))


def _certificates_of(one: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        return log.signature_list(
            log.X509_LIST, [one] * ((size - _LIST_HEAD) // (_OWNER + len(one)))
        )

    return make


def _numbered_certificates(size: int) -> bytes:
    """Good ones, no two alike: the first bytes of the serial number count."""
    one = log.certificate("Test UEFI CA")
    at = one.index(b"\x02", one.index(b"\xa0\x03\x02\x01\x02") + 5) + 3
    number = count(1)
    few = (size - _LIST_HEAD) // (_OWNER + len(one))
    made = [one[:at] + struct.pack(">H", next(number)) + one[at + 2 :] for _ in range(few)]
    return log.signature_list(log.X509_LIST, made)


def _hashes(size: int) -> bytes:
    few = (size - _LIST_HEAD) // (_OWNER + 32)
    return log.signature_list(
        log.SHA256_LIST, [hashlib.sha256(b"%d" % n).digest() for n in range(few)]
    )


def _empty_lists(size: int) -> bytes:
    return (log.SHA256_LIST.data + struct.pack("<III", _LIST_HEAD, 0, _OWNER + 1)) * (
        size // _LIST_HEAD
    )


_PATH = b"\x02\x01\x04\x00" * 230 + b"\x7f\xff\x04\x00"


def _option(number: int) -> Measured:
    data = struct.pack("<IH", 1, len(_PATH)) + "x\0".encode("utf-16-le") + _PATH
    return Measured(1, log.VARIABLE_BOOT, log.variable(f"Boot{number:04X}", _GLOBAL, data), data)


def _application(number: int) -> Measured:
    data = struct.pack("<QQQQ", 0, 0, 0, len(_PATH)) + _PATH
    return Measured(4, log.APPLICATION, data, b"%d" % number)


def _text(number: int) -> Measured:
    return Measured(8, log.IPL, b"kernel_cmdline: " + b"x" * 900, b"%d" % number)


def _presented(certificate: bytes) -> bytes:
    """As many as may be beside the EK, behind its own or in place of it."""
    machine = Machine()
    machine.certificates = (*machine.certificates[:1], *[certificate] * (CERTIFICATES_MAX - 1))
    return _attestation(machine)


def _nested(size: int) -> bytes:
    """DER in DER, as deep as fits."""
    data = b""
    while len(data) < size - 8:
        length = len(data)
        head = bytes([length]) if length < 0x80 else b"\x82" + length.to_bytes(2, "big")
        data = b"\x30" + head + data
    return data


def _message(filler: bytes) -> bytes:
    """JSON of the largest size, which is no attestation."""
    head, end = b'{"version":1,"token":"t","x":[', b"0]}"
    return head + filler * ((MESSAGE_MAX - len(head) - len(end)) // len(filler)) + end


ATTESTATIONS: dict[str, Callable[[], bytes]] = {
    "texts": lambda: _booted(*_many(_text)),
    "options": lambda: _booted(*_many(_option), Measured(1, log.SEPARATOR, bytes(4))),
    "applications": lambda: _booted(*_many(_application)),
    "hashes": lambda: _databases(_hashes),
    "bytes": lambda: _databases(_certificates_of(b"\x30")),
    "junk": lambda: _databases(_certificates_of(b"\x30\x16" + b"\x05\x00" * 11)),
    "certificates": lambda: _databases(_numbered_certificates),
    "empty lists": lambda: _databases(_empty_lists),
    "EK certificates of sets": lambda: _presented(
        b"\x30\x82"
        + (CERTIFICATE_MAX - 4).to_bytes(2, "big")
        + b"\x31\x00" * (CERTIFICATE_MAX // 2 - 2)
    ),
    "nested EK certificates": lambda: _presented(_nested(CERTIFICATE_MAX)),
    "values": lambda: _message(b"[" + b" " * 83 + b"],"),
    "zeros": lambda: _message(b"0" + b" " * 41 + b","),
    "escapes": lambda: _message(b'"' + b"\\u0041" * 9999 + b'",'),
}
"""Bodies of POST /v1/attestations, by what they are full of."""
