# SPDX-License-Identifier: Apache-2.0
"""What goes from a machine without a network to persons, and what they type."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pykexec.attest import answer as answers
from pykexec.attest.answer import PLAIN_MAX, Typed, encode_plain, open_answer
from pykexec.attest.break_glass import (
    PATH,
    TEXT_MAX,
    join_signature,
    parse_offer,
    split_signature,
    statement_for,
)
from pykexec.attest.fields import ProtocolError
from pykexec.attest.groups import ALPHABET, GROUP, from_groups, is_group, to_groups
from pykexec.attest.p256 import compress, decompress
from pykexec.crypto import ecdh_generate
from pykexec.errors import FormatError
from pykexec.tpm.wire import WireError
from pykexec.verify.answer import seal_answer
from pykexec.verify.keys import point_of
from pykexec.verify.release import PlainSecret
from tests.support.attest_machine import Machine
from tests.support.offers import offer

IDENTIFIER = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
PASSWORD = b"000011-000022-000033-720885-000055-000066-000077-000088"
SECRETS: dict[str, tuple[str, dict[str, str], bytes]] = {
    "luks key": ("luks-key", {"file": "root.key"}, os.urandom(32)),
    "luks key of a volume": ("luks-key", {"volume": IDENTIFIER.lower()}, os.urandom(32)),
    "no canonical GUID": ("luks-key", {"volume": IDENTIFIER.upper()}, b"short"),
    "passphrase": ("luks-passphrase", {"volume": "root"}, "großes Geheimnis".encode()),
    "startup key": ("bitlocker-external-key", {"identifier": IDENTIFIER}, os.urandom(32)),
    "password": ("bitlocker-recovery-password", {"volume": IDENTIFIER}, PASSWORD),
    "file": ("file", {"file": "k"}, b"x"),
}
STATEMENT = b'{"version":1}'


@pytest.mark.parametrize("number", range(8))
def test_points_are_those_of_the_cryptography_package(number: int) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    x, y = point_of(public)
    assert decompress(compress(x, y)) == (x, y)


@pytest.mark.parametrize(
    ("kind", "x"), [(0, bytes(32)), (2, bytes(31)), (4, b"\x01" * 32), (2, b"\xff" * 32)]
)
def test_what_is_no_point_is_refused(kind: int, x: bytes) -> None:
    with pytest.raises(ProtocolError, match="point of P-256"):
        decompress(bytes([kind]) + x)


def test_a_number_for_which_there_is_no_point_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not a point of P-256"):
        decompress(b"\x02" + (7).to_bytes(32))


def test_an_offer_fits_into_a_qr_code_with_its_address() -> None:
    text = offer(Machine()).encode()
    assert text.isalnum() and text.isupper()
    assert len(f"HTTPS://{'K' * 100}:8443{PATH}{text}") <= TEXT_MAX
    assert len(text) < 450


def test_an_offer_may_be_broken_up_and_brought_as_an_address() -> None:
    shown = offer(Machine())
    text = f"https://keys.example{PATH}{shown.encode()}"
    lines = "\n".join(text[start : start + 70].lower() for start in range(0, len(text), 70))
    assert parse_offer(lines) == shown


@pytest.mark.parametrize(
    "what", ["short", "long", "letter", "umlaut", "version", "point", "huge", "empty"]
)
def test_what_is_no_offer_is_refused(what: str) -> None:
    text = offer(Machine()).encode()
    spoilt = {
        "short": text[:100],
        "long": text + "A" * 200,
        "letter": "1" + text[1:],
        "umlaut": "ä" + text[1:],
        "version": "B" + text[1:],
        "point": text[:10] + ("A" * 50) + text[60:],
        "huge": "A" * 5000,
        "empty": "",
    }
    with pytest.raises(ProtocolError):
        parse_offer(spoilt[what])


def test_code_and_reference_follow_from_all_of_an_offer() -> None:
    shown = offer(Machine())
    other = replace(shown, signature=(shown.signature[0], bytes(32)))
    assert shown.code != other.code and shown.reference != other.reference
    assert len(shown.code) == 9 and len(shown.reference) == 22


def test_no_server_can_have_asked_for_the_statement() -> None:
    """Its nonce is the key's digest: quotes for a challenge and these are never the same."""
    one, other = (statement_for((bytes(31) + bytes([n]), bytes(32)), {}, {}) for n in (1, 2))
    assert one != other and statement_for((bytes(31) + b"\x01", bytes(32)), {}, {}) == one


def test_a_signature_is_split_and_joined() -> None:
    numbers = (bytes(31) + b"\x05", b"\xfe" * 32)
    assert split_signature(join_signature(numbers)) == numbers
    short = b"\x00\x18\x00\x0b\x00\x01\x05\x00\x20" + b"\xfe" * 32
    assert split_signature(short) == numbers


@pytest.mark.parametrize("data", [b"\0\x14\0\x0b\0\1\5\0\1\5", b"\0\x18\0\x0b\0\1\5", b""])
def test_another_signature_is_none(data: bytes) -> None:
    with pytest.raises((ProtocolError, WireError)):
        split_signature(data)


@pytest.mark.parametrize("size", [1, 5, 6, 45, 90])
def test_groups_are_the_bytes(size: int) -> None:
    data = os.urandom(size)
    groups = to_groups(data)
    assert from_groups(groups, size) == data
    assert all(len(group) == GROUP and is_group(group, n) for n, group in enumerate(groups))


def test_one_wrong_character_is_always_found() -> None:
    (group,) = to_groups(b"\x12\x34\x56\x78\x9a")
    for place in range(GROUP):
        for char in ALPHABET:
            spoilt = group[:place] + char + group[place + 1 :]
            assert is_group(spoilt, 0) == (spoilt == group)


def test_two_characters_that_were_exchanged_are_always_found() -> None:
    (group,) = to_groups(b"\x12\x34\x56\x78\x9a")
    for one in range(GROUP):
        for other in range(one + 1, GROUP):
            chars = list(group)
            chars[one], chars[other] = chars[other], chars[one]
            assert is_group("".join(chars), 0) == (chars == list(group))


def test_a_group_in_the_place_of_another_is_found() -> None:
    groups = to_groups(os.urandom(90))
    assert not any(is_group(groups[0], number) for number in range(1, 32))


def sealed(name: str, key: tuple[bytes, bytes], statement: bytes = STATEMENT) -> bytes:
    kind, parameters, value = SECRETS[name]
    secret = PlainSecret("root", kind, parameters, bytearray(value))
    return seal_answer(secret, key, statement)


@pytest.mark.parametrize("name", SECRETS)
def test_an_answer_opens_with_kind_and_parameters_in_160_characters(name: str) -> None:
    key = ecdh_generate("P-256")
    groups = to_groups(sealed(name, (key.x, key.y)))
    assert len("".join(groups)) <= 160
    typed = Typed()
    for group in groups:
        assert typed.take(f"{group[:5].lower()}-{group[5:]}") == ""
    assert typed.is_whole
    with open_answer(typed.data(), key, STATEMENT).value as value:
        assert bytes(value.view) == SECRETS[name][2]
    found = open_answer(typed.data(), key, STATEMENT)
    assert (found.kind, dict(found.parameters)) == SECRETS[name][:2]


def test_nobody_else_opens_an_answer() -> None:
    key, other = ecdh_generate("P-256"), ecdh_generate("P-256")
    data = sealed("luks key", (key.x, key.y))
    for opener, statement in ((other, STATEMENT), (key, STATEMENT + b" ")):
        with pytest.raises(FormatError, match="tag is wrong"):
            open_answer(data, opener, statement)


@pytest.mark.parametrize("place", [5, 40, -1])
def test_a_changed_answer_does_not_open(place: int) -> None:
    key = ecdh_generate("P-256")
    data = bytearray(sealed("luks key", (key.x, key.y)))
    data[place] ^= 1
    with pytest.raises(FormatError):
        open_answer(bytes(data), key, STATEMENT)


def test_a_whole_startup_key_file_goes_as_its_key_and_identifier() -> None:
    from pykexec.disk import bek
    from pykexec.efi.guid import Guid

    value = bytearray(os.urandom(32))
    file = bytearray(bek.SIZE)
    bek.write(memoryview(file), memoryview(value), Guid.parse(IDENTIFIER), None, 0)
    key = ecdh_generate("P-256")
    secret = PlainSecret("bde", "bitlocker-external-key", {}, file)
    found = open_answer(seal_answer(secret, (key.x, key.y), STATEMENT), key, STATEMENT)
    assert found.parameters == {"identifier": IDENTIFIER}
    assert bytes(found.value.view) == value


def test_a_secret_that_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(FormatError, match=f"has room for {PLAIN_MAX}$"):
        encode_plain("luks-key", {}, memoryview(bytes(PLAIN_MAX)))
    assert len(encode_plain("luks-key", {}, memoryview(bytes(PLAIN_MAX - 1)))) == PLAIN_MAX


@pytest.mark.parametrize(
    "head", [b"\x07", b"\x0c\xff", b"\x0c\x01\xff", b"\x7a", b"\x82", b"\x84", b"\x88"]
)
def test_a_kind_that_is_not_known_is_refused(head: bytes) -> None:
    with pytest.raises((ProtocolError, FormatError)):
        answers._decode_plain(memoryview(head.ljust(20, b"\x01")))


def test_what_was_typed_well_stays_and_what_is_wrong_is_named() -> None:
    key = ecdh_generate("P-256")
    groups = to_groups(sealed("password", (key.x, key.y)))
    typed = Typed()
    wrong = ("1" if groups[1][0] != "1" else "2") + groups[1][1:]
    assert typed.take(f"{groups[0]} {wrong} {groups[2]}").startswith("group 2 is mistyped")
    assert (typed.number, typed.count) == (2, len(groups))
    assert typed.take(groups[1][:7]) == "group 2 has 7 characters, not 10"
    assert typed.take(groups[2]).startswith("group 2 is mistyped, or it is another one")
    assert typed.take(" ".join(groups[1:])) == ""
    assert typed.is_whole
    assert typed.take("0" * 10).startswith("there is more")


def test_letters_that_look_like_digits_are_digits() -> None:
    groups = to_groups(bytes(5))
    assert groups[0].startswith("000000000")
    typed = Typed()
    assert "not the first" in typed.take(groups[0].replace("0", "o"))
