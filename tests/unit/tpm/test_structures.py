# SPDX-License-Identifier: Apache-2.0
"""The TPM's structures, response codes and key derivation, without a TPM."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from pykexec.errors import TpmError
from pykexec.tpm.constants import CommandCode
from pykexec.tpm.kdf import kdfa, kdfe
from pykexec.tpm.nv import split_certificates
from pykexec.tpm.public import parse_public
from pykexec.tpm.response_code import ResponseError
from pykexec.tpm.templates import AK_TEMPLATE, EK_PROFILES, STORAGE_TEMPLATE
from pykexec.tpm.transport import patient
from pykexec.tpm.wire import Reader, WireError, sized, unpack_response

TEMPLATES = [profile.template for profile in EK_PROFILES] + [AK_TEMPLATE, STORAGE_TEMPLATE]
SHA256, AES128, NONE = "000b", "000600800043", "0010"
SEALED = bytes.fromhex(f"0008{SHA256}00000452 0000 {NONE} 0002 abcd")
RSA = bytes.fromhex(f"0001{SHA256}000300b2 0000 {AES128}{NONE} 0800 00010001 0002 abcd")
ECC = bytes.fromhex(f"0023{SHA256}000300b2 0000 {AES128}{NONE} 0003 {NONE} 0001 aa 0001 bb")
BUSY = bytes.fromhex("8001 0000000a 00000922")
DONE = bytes.fromhex("8001 0000000a 00000000")


@pytest.mark.parametrize("area", [t.encode() for t in TEMPLATES] + [SEALED, RSA, ECC])
def test_a_public_area_is_written_as_it_was_read(area: bytes) -> None:
    assert parse_public(area).encode() == area


@pytest.mark.parametrize("area", [TEMPLATES[0].encode(), AK_TEMPLATE.encode(), SEALED, RSA, ECC])
def test_a_public_area_that_is_cut_off_or_goes_on_is_refused(area: bytes) -> None:
    for size in range(len(area)):
        with pytest.raises(WireError):
            parse_public(area[:size])
    with pytest.raises(WireError, match="1 bytes too many"):
        parse_public(area + b"\0")


@pytest.mark.parametrize(
    ("area", "fault"),
    [
        (ECC.replace(b"\x00\x23", b"\x00\x25", 1), "type 0x25"),
        (ECC.replace(b"\x00\x0b", b"\x00\x04", 1), "hash algorithm 0x4"),
        (ECC.replace(b"\x00\x03\x00\xb2", b"\x80\x03\x00\xb2"), "attributes 0x800300b2"),
        (ECC.replace(b"\xb2\x00\x00", b"\xb2\x00\x01\x55"), "policy of 1 bytes"),
        (ECC.replace(b"\x06\x00\x80", b"\x06\x00\x81"), "cipher 0x6, 129 bits"),
        (ECC.replace(b"\x80\x00\x43", b"\x80\x00\x42"), "cipher 0x6"),
        (ECC.replace(b"\x43\x00\x10", b"\x43\x00\x1a"), "scheme 0x1a"),
        (ECC.replace(b"\x10\x00\x03\x00\x10", b"\x10\x00\x09\x00\x10"), "curve 0x9"),
        (ECC.replace(b"\x10\x00\x03\x00\x10", b"\x10\x00\x03\x00\x20"), "key derivation 0x20"),
        (SEALED.replace(b"\x00\x10", b"\x00\x05"), "scheme 0x5"),
    ],
)
def test_a_public_area_of_something_unknown_is_refused(area: bytes, fault: str) -> None:
    with pytest.raises(WireError, match=fault):
        parse_public(area)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x101, "0x101: TPM_RC_FAILURE"),
        (0x1C4, "0x1c4: TPM_RC_VALUE, parameter 1"),
        (0x18B, "0x18b: TPM_RC_HANDLE, handle 1"),
        (0x98E, r"0x98e: TPM_RC_AUTH_FAIL, session 1 \(wrong authorisation value\)"),
        (0x095, "0x95: TPM_RC_SIZE$"),
        (0x921, r"0x921: TPM_RC_LOCKOUT \(too many wrong authorisation values"),
        (0x902, r"0x902: TPM_RC_OBJECT_MEMORY \(no room for another object"),
        (0x914, "0x914: TPM_RC_REFERENCE_H4"),
        (0xB0143, r"TPM_RC_COMMAND_CODE, by resource manager \(this TPM does not have"),
        (0x17F, "0x17f: without a name"),
    ],
)
def test_a_response_code_is_told_in_words(code: int, text: str) -> None:
    with pytest.raises(ResponseError, match=f"TPM2_NV_ReadPublic: TPM error .*{text}") as caught:
        unpack_response(b"\x80\x01\0\0\0\x0a" + code.to_bytes(4, "big"), CommandCode.NV_READ_PUBLIC)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("code", "title"),
    [
        (CommandCode.PCR_READ, "TPM2_PCR_Read"),
        (CommandCode.POLICY_PCR, "TPM2_PolicyPCR"),
        (CommandCode.POLICY_OR, "TPM2_PolicyOR"),
        (CommandCode.NV_READ_PUBLIC, "TPM2_NV_ReadPublic"),
        (CommandCode.ACTIVATE_CREDENTIAL, "TPM2_ActivateCredential"),
    ],
)
def test_commands_are_called_as_in_the_specification(code: CommandCode, title: str) -> None:
    assert code.title == title


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        (b"\x80\x01\0\0\0", "cut off"),
        (DONE[:5] + b"\x0b" + DONE[6:], "cut off"),
        (DONE + b"\0", "more than it says"),
        (b"\x80\x02" + DONE[2:], "tag 0x8002 does not fit"),
    ],
)
def test_what_is_no_response_is_refused(response: bytes, fault: str) -> None:
    with pytest.raises(WireError, match=fault):
        unpack_response(response, CommandCode.UNSEAL)


def test_fields_are_not_read_beyond_the_end() -> None:
    reader = Reader(b"\0\3ab", "thing")
    with pytest.raises(WireError, match="thing: 4 bytes, it is cut off"):
        reader.sized()


def test_nothing_larger_than_a_tpm2b_is_written() -> None:
    with pytest.raises(WireError, match="65536 bytes are too many"):
        sized(bytes(65536))


@pytest.mark.parametrize("bits", [128, 256, 384, 1024])
@pytest.mark.parametrize(
    ("name", "hash_"), [("sha256", hashes.SHA256()), ("sha384", hashes.SHA384())]
)
def test_kdfa_is_the_one_of_sp_800_108(name: str, hash_: hashes.HashAlgorithm, bits: int) -> None:
    location = CounterLocation.BeforeFixed
    other = KBKDFHMAC(hash_, Mode.CounterMode, bits // 8, 4, 4, location, b"LABEL", b"uuuvv", None)
    assert kdfa(name, b"key", b"LABEL", b"uuu", b"vv", bits) == other.derive(b"key")


@pytest.mark.parametrize("bits", [128, 256, 384, 1024])
@pytest.mark.parametrize(
    ("name", "hash_"), [("sha256", hashes.SHA256()), ("sha384", hashes.SHA384())]
)
def test_kdfe_is_the_one_of_sp_800_56a(name: str, hash_: hashes.HashAlgorithm, bits: int) -> None:
    other = ConcatKDFHash(hash_, bits // 8, b"LABEL\0uuuvv")
    assert kdfe(name, b"point", b"LABEL", b"uuu", b"vv", bits) == other.derive(b"point")


@pytest.mark.parametrize(
    ("data", "certificates"),
    [
        (b"", []),
        (b"\x30\x02ab", [b"\x30\x02ab"]),
        (b"\x30\x81\x02ab" + bytes(99), [b"\x30\x81\x02ab"]),
        (b"\x30\x82\0\2ab" + b"\xff" * 9 + b"\x30\x02cd", [b"\x30\x82\0\2ab", b"\x30\x02cd"]),
        (b"\x30\x02ab\x30\x03cd", [b"\x30\x02ab"]),
        (b"\x30\x02ab\x02\x02cd", [b"\x30\x02ab"]),
        (b"\x30\x80ab\0\0", []),
        (b"\x30\x83\0\0\2ab", []),
        (b"\x30\x82\xff", []),
    ],
)
def test_certificates_end_where_their_der_ends(data: bytes, certificates: list[bytes]) -> None:
    assert split_certificates(data) == certificates


@pytest.mark.parametrize("tag", [b"", b"\x10\x02"], ids=["stored", "full"])
def test_headers_of_tpm_1_2_before_certificates_are_passed_over(tag: bytes) -> None:
    first, second = b"\x30\x03\x02\x01\x05", b"\x30\x82\x00\x03\x02\x01\x06"
    stored = [b"\x10\x01\x00" + len(tag + der).to_bytes(2) + tag + der for der in (first, second)]
    assert split_certificates(stored[0] + b"\xff" * 8 + stored[1]) == [first, second]
    assert split_certificates(stored[0][:6]) == []


def answers(*responses: bytes) -> Callable[[bytes], bytes]:
    left = list(responses)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_a_busy_tpm_is_asked_again() -> None:
    assert patient(answers(BUSY, BUSY, DONE))(b"") == DONE


def test_a_tpm_that_stays_busy_is_asked_for_a_while() -> None:
    assert patient(answers(BUSY), patience_s=0.1)(b"") == BUSY


def test_a_refusal_is_final() -> None:
    refused = bytes.fromhex("8001 0000000a 00000921")
    assert patient(answers(refused, DONE))(b"") == refused


def test_a_transport_that_fails_is_not_tried_again() -> None:
    def broken(_: bytes) -> bytes:
        raise TpmError("gone")

    with pytest.raises(TpmError, match="gone"):
        patient(broken)(b"")
