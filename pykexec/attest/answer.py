# SPDX-License-Identifier: Apache-2.0
"""The answer to an offer: one secret, sealed to its ephemeral key, short enough to be typed.

    size (1)   of the ciphertext
    x (32)     of the server's ephemeral key: ECDH needs no more of a point
    ciphertext AES-256-GCM by the Concat KDF (RFC 7518, 4.6) of both keys, for this statement
    tag (8)    it is typed a few times, by who gains nothing by another secret

A key is used once, so the IV is zero. The plaintext is the secret's kind, which parameters there
are, these (a GUID in its 16 bytes), and the secret. It is the secret itself and no key to something
kept on the machine, which would be as old as the machine's last network, and gone with its disk.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pykexec.attest.fields import ProtocolError
from pykexec.attest.groups import GROUP, first_byte, from_groups, is_group, letters_of, nr_groups
from pykexec.attest.jwe import derivation_info
from pykexec.attest.opened import OpenedSecret
from pykexec.attest.p256 import SIZE, decompress
from pykexec.attest.protocol import SECRET_KINDS, qualifying_data
from pykexec.disk import bek
from pykexec.efi.guid import GUID_SIZE, Guid
from pykexec.errors import FormatError
from pykexec.secret import Secret

if TYPE_CHECKING:
    from pykexec.crypto import EcdhKey

GROUPS_MAX = 16
"""160 characters: what can be read out and typed."""
TAG_SIZE = 8
IV = bytes(12)
SECRET_NAME = "break-glass"
_HEAD = 1 + SIZE
PLAIN_MAX = GROUPS_MAX * (GROUP - 1) * 5 // 8 - _HEAD - TAG_SIZE
"""Bytes of kind, parameters and secret."""
_KINDS = tuple(SECRET_KINDS)
_KIND_BITS = 3
_VOLUME_IS_GUID = 0x80
_PARTY = b"pykexec break-glass 1"
_STARTUP_KEY, _PASSWORD = "bitlocker-external-key", "bitlocker-recovery-password"
_GUIDS = (_STARTUP_KEY, _PASSWORD)


def answer_info(statement: bytes) -> bytes:
    """What the key is derived for: who asks, and what was quoted."""
    return derivation_info(_PARTY, qualifying_data(statement))


def encode_plain(kind: str, parameters: Mapping[str, str], value: memoryview) -> bytearray:
    """What is sealed; the caller wipes it. FormatError for what no answer has room for."""
    found = dict(parameters)
    if kind == _STARTUP_KEY and len(value) != bek.KEY_SIZE:
        whole = bek.read(value, "secret")
        found = {"identifier": str(whole.identifier)}
        value = value[whole.key_offset : whole.key_offset + bek.KEY_SIZE]
    names = SECRET_KINDS[kind]
    flags = sum(1 << index for index, name in enumerate(names) if name in found) << _KIND_BITS
    if kind not in _GUIDS and _is_guid(found.get("volume", "")):
        flags |= _VOLUME_IS_GUID
    guids = _guids(kind, flags)
    head = bytes([_KINDS.index(kind) | flags])
    head += b"".join(_encode_parameter(found[n], n in guids) for n in names if n in found)
    short = bek.recovery_key(value, "secret") if kind == _PASSWORD else None
    body = value if short is None else short.view
    try:
        size = len(head) + len(body)
        if size > PLAIN_MAX:
            fault = f"takes {size} bytes with its parameters, an answer has room for {PLAIN_MAX}"
            raise FormatError(f"a secret of kind {kind} {fault}")
        plain = bytearray(size)
        plain[: len(head)], plain[len(head) :] = head, body
    finally:
        if short is not None:
            short.wipe()
    return plain


def open_answer(data: bytes, key: EcdhKey, statement: bytes) -> OpenedSecret:
    """The secret; ProtocolError or FormatError where it is not for this key and statement."""
    from pykexec.crypto import GCM_SHORT_TAG_SIZE, aes_gcm_open, concat_kdf

    x, sealed, tag = data[1:_HEAD], data[_HEAD:-TAG_SIZE], data[-TAG_SIZE:]
    point = decompress(b"\x02" + x)  # Both points with this X share the same one with our key.
    info = answer_info(statement)
    with Secret(len(sealed)) as plain:
        with key.derive(*point) as shared, concat_kdf(shared.view, info) as content_key:
            aes_gcm_open(content_key.view, IV, b"", sealed, tag, plain.view, GCM_SHORT_TAG_SIZE)
        return _decode_plain(plain.view)


class Typed:
    """What was typed of an answer; size is known as soon as the first group is right."""

    def __init__(self) -> None:
        self._groups: list[str] = []
        self._count = 0

    @property
    def number(self) -> int:
        """Of the group that comes next, from 1."""
        return len(self._groups) + 1

    @property
    def count(self) -> int:
        """Of all groups; 0 as long as nobody knows."""
        return self._count

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return bool(self._count) and len(self._groups) == self._count

    def take(self, line: str) -> str:
        """One or more groups; what is wrong, "" for nothing. Those before it stay."""
        letters = letters_of(line)
        for start in range(0, len(letters), GROUP):
            if self.is_whole:
                return "there is more than the answer has: was it another one?"
            group = letters[start : start + GROUP]
            if len(group) < GROUP:
                return f"group {self.number} has {len(group)} characters, not {GROUP}"
            if not is_group(group, self.number - 1):
                return f"group {self.number} is mistyped, or it is another one: {group}"
            if fault := self._add(group):
                return fault
        return ""

    def data(self) -> bytes:
        """All of it; ProtocolError where it has another length than it says."""
        return from_groups(self._groups, _HEAD + first_byte(self._groups[0]) + TAG_SIZE)

    def _add(self, group: str) -> str:
        if not self._groups:
            size = first_byte(group)
            if not 0 < size <= PLAIN_MAX:
                return "group 1 is not the first one of an answer"
            self._count = nr_groups(_HEAD + size + TAG_SIZE)
        self._groups.append(group)
        return ""


def _guids(kind: str, head: int) -> tuple[str, ...]:
    """The parameters that are GUIDs, by what the first byte says."""
    if kind in _GUIDS:
        return SECRET_KINDS[kind]
    return ("volume",) if head & _VOLUME_IS_GUID else ()


def _is_guid(text: str) -> bool:
    """As it comes back: in small letters."""
    try:
        return str(Guid.parse(text)) == text
    except FormatError:
        return False


def _encode_parameter(text: str, is_guid: bool) -> bytes:
    if is_guid:
        return Guid.parse(text).data
    data = text.encode()
    return bytes([min(len(data), 0xFF)]) + data


def _decode_plain(plain: memoryview) -> OpenedSecret:
    try:
        kind = _KINDS[plain[0] & (1 << _KIND_BITS) - 1]
        flags, offset = (plain[0] & ~_VOLUME_IS_GUID) >> _KIND_BITS, 1
        guids = _guids(kind, plain[0])
        parameters = {}
        for index, name in enumerate(SECRET_KINDS[kind]):
            if flags >> index & 1:
                parameters[name], offset = _decode_parameter(plain, offset, name in guids)
    except (IndexError, UnicodeDecodeError, FormatError):
        raise _unknown() from None
    if plain[0] & _VOLUME_IS_GUID and (kind in _GUIDS or "volume" not in parameters):
        raise _unknown()
    if flags >> len(SECRET_KINDS[kind]) or offset >= len(plain):
        raise _unknown()
    body = plain[offset:]
    if kind == _PASSWORD:
        return OpenedSecret(SECRET_NAME, kind, parameters, _recovery_password(body))
    value = Secret(len(body))
    value.view[:] = body
    return OpenedSecret(SECRET_NAME, kind, parameters, value)


def _unknown() -> ProtocolError:
    return ProtocolError("answer: of a kind that is not known here")


def _decode_parameter(plain: memoryview, offset: int, is_guid: bool) -> tuple[str, int]:
    if is_guid:
        end = offset + GUID_SIZE
        return str(Guid(bytes(plain[offset:end]))), end
    end = offset + 1 + plain[offset]
    return bytes(plain[offset + 1 : end]).decode(), end


def _recovery_password(body: memoryview) -> Secret:
    """As it is written: 8 groups of 6 digits."""
    if len(body) != 2 * bek.RECOVERY_GROUPS:
        raise ProtocolError("answer: no recovery password")
    password = Secret(7 * bek.RECOVERY_GROUPS - 1)
    password.view[:] = b"-" * len(password)
    for number in range(bek.RECOVERY_GROUPS):
        (value,) = struct.unpack_from("<H", body, 2 * number)
        value *= 11
        for index in range(5, -1, -1):
            value, digit = divmod(value, 10)
            password.view[7 * number + index] = 0x30 + digit
    return password
