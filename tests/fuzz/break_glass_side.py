# SPDX-License-Identifier: Apache-2.0
"""What persons carry between a machine without a network and the server."""

from __future__ import annotations

from functools import cache

from pykexec.attest.answer import TAG_SIZE, Typed, _decode_plain, encode_plain
from pykexec.attest.break_glass import (
    join_signature,
    parse_offer,
    split_signature,
    statement_for,
)
from pykexec.attest.groups import to_groups
from pykexec.attest.p256 import SIZE
from tests.support.attest_machine import Machine
from tests.support.offers import offer as offer_of

_GUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
_PASSWORD = b"000011-000022-000033-720885-000055-000066-000077-000088"


def offer(data: bytes) -> None:
    """There is one text for what was read."""
    found = parse_offer(data.decode("utf-8", "replace"))
    assert parse_offer(found.encode()) == found
    assert split_signature(join_signature(found.signature)) == found.signature
    assert statement_for(found.key, {}, {}) and len(found.code) == 9


@cache
def offers() -> list[bytes]:
    """As a QR code has it, and alone."""
    text = offer_of(Machine()).encode()
    return [text.encode(), f"https://keys.example/BREAK-GLASS/{text}".encode()]


def answer(data: bytes) -> None:
    """What an answer carries, once it was opened."""
    _decode_plain(memoryview(data)).value.wipe()


def answers() -> list[bytes]:
    """Of each kind."""
    secrets: list[tuple[str, dict[str, str], bytes]] = [
        ("luks-key", {"file": "k", "volume": "root"}, bytes(32)),
        ("luks-passphrase", {}, b"x"),
        ("bitlocker-external-key", {"identifier": _GUID}, bytes(32)),
        ("bitlocker-recovery-password", {"volume": _GUID}, _PASSWORD),
        ("file", {"file": "f"}, b"x"),
    ]
    return [bytes(encode_plain(k, p, memoryview(value))) for k, p, value in secrets]


def typed_answer(data: bytes) -> None:
    """Line by line; what is whole has the size that it says."""
    typed = Typed()
    for line in data.decode("utf-8", "replace").splitlines():
        typed.take(line)
    if typed.is_whole:
        whole = typed.data()
        assert len(whole) == 1 + SIZE + whole[0] + TAG_SIZE


def typed_answers() -> list[bytes]:
    """Group by group, and all at once."""
    groups = to_groups(bytes([4]) + bytes(range(SIZE + 4 + TAG_SIZE)))
    return ["\n".join(groups).encode(), " ".join(groups).lower().encode()]
