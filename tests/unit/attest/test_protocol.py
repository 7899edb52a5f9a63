# SPDX-License-Identifier: Apache-2.0
"""The attestation protocol's messages: there and back, and what is refused."""

from __future__ import annotations

import hashlib
import json
import string
from dataclasses import replace

import pytest

from pykexec.attest import decode, protocol
from pykexec.attest.fields import ProtocolError, base64url, from_base64url, parse_object
from pykexec.attest.verdict import Finding, Verdict

IDENTITY = protocol.Identity(b"ek", (b"certificate", b"issuer"), b"ak")
EVIDENCE = protocol.Evidence(
    IDENTITY, b"{}", b"quote", b"signature", "sha256", {0: bytes(32), 15: b"\1" * 32}, b"log"
)
ATTEST = protocol.AttestRequest("token", bytes(32), EVIDENCE)
CHALLENGE = protocol.Challenge("token", b"n" * 32, b"blob", b"secret", "sha256", (0, 7), 60)
STATEMENT = protocol.Statement(
    b"n" * 32, (b"x" * 32, b"y" * 32), {"serial": "4711"}, {"path": "\\grub.efi"}
)
SECRET = protocol.ReleasedSecret("data", "luks-key", {"file": "luks.key"}, "a.b.c.d.e")
REFUSED = Verdict((Finding("quote.nonce", "old"), Finding("clock", "odd", refuses=False)))


def test_every_message_comes_back_as_it_was() -> None:
    request = protocol.ChallengeRequest(IDENTITY, ("sha256",))
    assert decode.parse_challenge_request(request.encode()) == request
    assert decode.parse_challenge(CHALLENGE.encode()) == CHALLENGE
    assert decode.parse_attest_request(ATTEST.encode()) == ATTEST
    full = replace(ATTEST, evidence=replace(EVIDENCE, log_full=True))
    assert decode.parse_attest_request(full.encode()) == full
    assert b"event_log_full" not in ATTEST.encode() and full.digest != ATTEST.digest
    assert decode.parse_statement(STATEMENT.encode()) == STATEMENT
    installed = replace(STATEMENT, installed={"slot": "a", "failed": "2", "reason": "it hangs"})
    assert decode.parse_statement(installed.encode()) == installed
    assert b"installed" not in STATEMENT.encode()
    assert decode.parse_release(protocol.encode_release((SECRET,))) == (SECRET,)
    for reply in (protocol.AttestReply(REFUSED), protocol.AttestReply(Verdict(), "a.b.c.d.e")):
        assert decode.parse_attest_reply(reply.encode()) == reply


def changed(message: bytes, path: str, value: object) -> bytes:
    document = json.loads(message)
    inner = document
    *folders, last = path.split(".")
    for folder in folders:
        inner = inner[folder]
    inner[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("version", 2, "attestation.version: 2 is not known"),
        ("version", True, "attestation.version: must be an integer"),
        ("proof", "AAAA", "attestation.proof: 3 bytes, not 32"),
        ("proof", "A" * 42 + "B", "attestation.proof: not base64url as it should be written"),
        ("proof", "=" * 43, "attestation.proof: not base64url without padding"),
        ("token", "\0", "attestation.token: has characters that no text has"),
        ("token", "\ud800", "attestation.token: has characters that no text has"),
        ("more", 1, "attestation.more: unknown key"),
        ("evidence", [], "attestation.evidence: must be an object"),
        ("evidence.bank", "sha1", "bank: 'sha1' is not one of sha256, sha384"),
        ("evidence.pcrs", {"01": "AA"}, "attestation.evidence.pcrs.01: is no PCR"),
        ("evidence.pcrs", {"24": "AA"}, "attestation.evidence.pcrs.24: is no PCR"),
        ("evidence.pcrs", {"9" * 5000: "AA"}, f"attestation.evidence.pcrs.{'9' * 64}: is no PCR"),
        ("evidence.quote", None, "attestation.evidence.quote: must be a string"),
        ("evidence.identity.ek_public", "A" * 2000, "characters, at most"),
        ("evidence.identity.ek_certificates", ["AA"] * 9, "9 entries, at most 8"),
        ("evidence.identity.ek_certificates", [1], "must be a string"),
    ],
)
def test_a_fault_is_named_with_its_field(path: str, value: object, fault: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode.parse_attest_request(changed(ATTEST.encode(), path, value))
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\xff", "not UTF-8"),
        (b"[]", "not an object"),
        (b"{", "not JSON"),
        (b'{"version":1,"version":1}', "a key occurs twice"),
        (b'{"version":1.0}', "not a number that JSON has"),
        (b'{"version":NaN}', "not a number that JSON has"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON|too deeply"),
        (b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", "nested too deeply"),
        (b'{"version":' + b"9" * 5000 + b"}", "not JSON"),
        (b" " * (protocol.MESSAGE_MAX + 1), "bytes, at most"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ProtocolError, match=fault):
        decode.parse_challenge_request(data)


def test_a_reply_that_contradicts_itself_is_refused() -> None:
    reply = protocol.AttestReply(REFUSED).encode()
    for path, value in (("accepted", True), ("release", "a.b.c.d.e")):
        with pytest.raises(ProtocolError, match="contradict"):
            decode.parse_attest_reply(changed(reply, path, value))


def test_base64url_has_one_text_for_each_value() -> None:
    assert from_base64url(base64url(b"\xff\xfe\xfd\xfc"), "x") == b"\xff\xfe\xfd\xfc"
    for text in ("A", "AB", "+/AA", "AA==", "A A"):
        with pytest.raises(ProtocolError):
            from_base64url(text, "x")


def test_base64url_takes_its_alphabet_alone() -> None:
    alphabet = string.ascii_letters + string.digits + "-_"
    assert base64url(from_base64url(alphabet, "x")) == alphabet
    for other in set(map(chr, range(384))) - set(alphabet):
        for at in range(4):
            with pytest.raises(ProtocolError):
                from_base64url("AAA"[:at] + other + "AAA"[at:], "x")


def test_keys_are_those_of_rfc_5869() -> None:
    # Its test case 1 uses longer output; the first block is the same for one of 32 bytes.
    key = protocol.derive_key(b"\x0b" * 22, bytes(range(13)), bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"))
    assert key.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_the_statement_is_bound_by_the_qualifying_data() -> None:
    expected = hashlib.sha256(b"pykexec statement 1\0" + STATEMENT.encode()).digest()
    assert protocol.qualifying_data(STATEMENT.encode()) == expected


def test_proof_and_release_use_different_keys_and_the_whole_quote() -> None:
    proof = protocol.proof_of(b"c" * 32, b"n" * 32, b"statement", b"quote")
    assert proof != protocol.proof_of(b"c" * 32, b"n" * 32, b"statement", b"quotf")
    assert proof != protocol.proof_of(b"c" * 32, b"n" * 32, b"statemenu", b"quote")
    assert proof != protocol.proof_of(b"d" * 32, b"n" * 32, b"statement", b"quote")
    assert protocol.release_key(b"c" * 32, b"n" * 32) != proof


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"1,"])
def test_a_document_of_many_values_is_refused_before_it_is_parsed(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("it was parsed"))
    data = b'{"a":[' + piece * 200_001 + b"1]}"
    with pytest.raises(ProtocolError, match="more than 200000 values"):
        parse_object(data, "message", 8 << 20)
