# SPDX-License-Identifier: Apache-2.0
"""Evidence is accepted as a whole, or refused for exactly what is wrong with it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from pykexec.attest.protocol import QUOTED_PCRS, Evidence
from pykexec.tpm.public import parse_public
from pykexec.verify.credential import make_credential
from pykexec.verify.explain import explain
from pykexec.verify.verify import Counters, verify
from tests.support import attest_tpm
from tests.support.attest_expected import EXPECTED, NONCE, claims_of, codes
from tests.support.attest_log import FIRMWARE_BLOB, boot_events, encode_log
from tests.support.attest_machine import PAYLOAD, Boot, Machine, other_end
from tests.support.attest_tpm import Attest

OTHER_BOOT = Boot(sections=((".linux", b"another kernel"), (".cmdline", b"init=/bin/sh")))
LESS = tuple(range(15))


@pytest.mark.parametrize("kind", ["ecc-p256", "ecc-p384", "rsa2048"])
@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_what_a_good_machine_sends_is_accepted(kind: str, bank: str) -> None:
    machine = Machine("good", kind=kind, banks=("sha256", "sha384"))
    evidence = machine.evidence(bank=bank)
    assert codes(evidence, bank=bank) == []
    assert claims_of(evidence, bank=bank)["ek"]["algorithm"] == kind


def test_claims_tell_the_machine_its_boot_and_its_statement() -> None:
    machine = Machine()
    claims = claims_of(machine.evidence())
    assert json.loads(json.dumps(claims)) == claims
    assert claims["ek"]["fingerprint"] == machine.fingerprint
    assert claims["ek"]["trusted"] == "certificate"
    assert claims["ek"]["certificate"]["manufacturer"] == "id:504B5800"
    assert claims["ak"]["name"] == attest_tpm.name_of(machine.ak_public).hex()
    assert claims["tpm"]["reset_count"] == 1
    assert claims["pcrs"]["7"] == machine.pcrs["sha256"][7].hex()
    assert claims["firmware"]["version"] == "2025.02-8"
    assert claims["boot"]["order"] == ["Boot0000", "Boot0001", "Boot0002"]
    assert claims["boot"]["entries"]["Boot0001"]["title"] == "debian"
    assert claims["boot"]["applications"][0]["path"].endswith(r"\EFI\pykexec\pykexec.efi")
    assert [section["name"] for section in claims["image"]["sections"]][:2] == [".linux", ".osrel"]
    assert (claims["machine"], claims["payload"]) == (machine.facts, PAYLOAD)
    assert (claims["events"], claims["released"]) == (len(machine.events), False)
    assert len(machine.events) > 50


def test_statement_and_counters_are_handed_on() -> None:
    machine = Machine()
    verified = verify(machine.evidence(), EXPECTED)
    assert verified.statement is not None
    assert verified.statement.nonce == NONCE
    assert verified.counters == Counters(10_001, 1, 0)


def test_an_explanation_has_the_findings_and_stays_on_its_lines() -> None:
    machine = Machine(boot=Boot(firmware="1\n2\x1b[0m"))
    text = explain(verify(machine.evidence(bytes(31) + b"x"), EXPECTED))
    assert text.startswith("refused\n  quote.nonce: ")
    assert "\x1b" not in text
    assert "1\n2" not in text
    assert explain(verify(Machine().evidence(), EXPECTED)).startswith("accepted\nEK: ")


def test_an_update_that_was_given_up_is_told_and_refuses_nothing() -> None:
    machine = Machine()
    assert "installed" not in claims_of(machine.evidence())
    machine.installed = {"slot": "a", "failed": "pykexec 2\x1b", "reason": "it hangs"}
    verified = verify(machine.evidence(), EXPECTED)
    assert verified.claims["installed"] == machine.installed
    assert verified.verdict.accepted
    (text,) = [each.text for each in verified.verdict.findings if each.code == "update.failed"]
    assert text == "the machine says that it gave an update up: pykexec 2?: it hangs"


def test_a_release_shows() -> None:
    machine = Machine()
    machine.release()
    assert claims_of(machine.evidence())["released"] is True
    assert claims_of(machine.evidence(pcrs=LESS), pcrs=LESS)["released"] is True


# What is wrong with the quote, before it is signed.
BAD_QUOTES: dict[str, tuple[Callable[[Attest], Attest], list[str]]] = {
    "by a host, not by a TPM": (lambda a: replace(a, magic=0), ["quote.magic"]),
    "an attestation of something else": (lambda a: replace(a, type=0x8017), ["quote.type"]),
    "by a key of another hierarchy": (
        lambda a: replace(a, qualified_signer=other_end(a.qualified_signer)),
        ["quote.signer"],
    ),
    "for other data": (lambda a: replace(a, extra_data=bytes(32)), ["quote.statement"]),
    "for no data": (lambda a: replace(a, extra_data=b""), ["quote.statement"]),
    "of fewer PCRs": (
        lambda a: replace(a, selections=(attest_tpm.selection("sha256", LESS),)),
        ["quote.selection"],
    ),
    "of another bank": (
        lambda a: replace(a, selections=(attest_tpm.selection("sha1", QUOTED_PCRS),)),
        ["quote.selection"],
    ),
    "of two banks": (
        lambda a: replace(a, selections=(*a.selections, attest_tpm.selection("sha1", (0,)))),
        ["quote.selection"],
    ),
    "of no PCRs": (lambda a: replace(a, selections=()), ["quote.selection"]),
    "of other values": (lambda a: replace(a, digest=bytes(32)), ["quote.digest"]),
    "neither safe nor unsafe": (lambda a: replace(a, safe=2), ["quote.format"]),
}


@pytest.mark.parametrize("what", BAD_QUOTES)
def test_a_quote_is_refused(what: str) -> None:
    change, expected = BAD_QUOTES[what]
    assert codes(Machine().evidence(change=change)) == expected


def test_a_replayed_nonce_is_refused() -> None:
    evidence = Machine().evidence(NONCE)
    assert codes(evidence, nonce=b"n" * 32) == ["quote.nonce"]
    assert codes(evidence, nonce=None) == []


def test_another_key_in_the_statement_is_refused() -> None:
    machine = Machine()
    evidence = machine.evidence()
    stolen = replace(evidence, statement=machine.statement(NONCE).encode())
    assert codes(stolen) == ["quote.statement"]


def test_what_is_no_statement_is_refused() -> None:
    evidence = Machine().evidence(statement=b'{"version":1}')
    assert codes(evidence) == ["statement.format"]


def test_a_quote_of_another_machine_is_refused() -> None:
    mine, other = Machine("mine"), Machine("other")
    evidence = mine.evidence()
    foreign = other.evidence(statement=evidence.statement)
    swapped = replace(evidence, quote=foreign.quote, signature=foreign.signature)
    assert codes(swapped) == ["quote.signature", "quote.signer"]


def test_a_signature_over_another_quote_is_refused() -> None:
    machine = Machine()
    evidence = machine.evidence()
    again = machine.evidence(statement=evidence.statement)
    assert codes(replace(evidence, signature=again.signature)) == ["quote.signature"]


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: b"",
        lambda signature: struct.pack(">HH", 0x18, 0x0C) + signature[4:],
        lambda signature: struct.pack(">HH", 0x14, 0x0B) + signature[4:],
        lambda signature: signature[:4] + bytes(4),
        lambda signature: signature[:-1],
        lambda signature: signature + b"\0",
    ],
    ids=["nothing", "SHA-384", "RSASSA", "zeros", "cut off", "more"],
)
def test_what_is_no_signature_is_refused(change: Callable[[bytes], bytes]) -> None:
    evidence = Machine().evidence()
    bad = replace(evidence, signature=change(evidence.signature))
    assert codes(bad) == ["quote.signature"]


@pytest.mark.parametrize(
    "change",
    [
        lambda quote: quote[:-1],
        lambda quote: quote + b"\0",
        lambda quote: quote.replace(b"\0\0\0\1\0\x0b\3", b"\0\0\0\xff\0\x0b\3"),
        lambda quote: quote.replace(b"\0\x0b\3\xff\xff\0", b"\0\x0b\4\xff\xff\0\1"),
        lambda quote: quote.replace(b"\0\x0b\3\xff\xff\0", b"\0\x0b\x09\xff\xff" + bytes(7)),
    ],
    ids=["cut off", "more", "255 selections", "PCR 24", "selection of 9 bytes"],
)
def test_what_is_no_quote_is_refused_though_it_is_signed(change: Callable[[bytes], bytes]) -> None:
    machine = Machine()
    evidence = machine.evidence()
    quote = change(evidence.quote)
    assert quote != evidence.quote
    signed = replace(evidence, quote=quote, signature=attest_tpm.sign(machine.ak, quote))
    assert codes(signed) == ["quote.format"]


def test_a_full_log_is_told_and_excuses_nothing() -> None:
    whole = Machine().evidence()
    short = replace(whole, event_log=encode_log(["sha256"], boot_events(Boot())[:-1]))
    for evidence, refused in ((whole, False), (short, True)):
        assert bool(codes(evidence)) == refused
        found = verify(replace(evidence, log_full=True), EXPECTED).verdict
        assert found.accepted != refused
        assert "log.full" in [finding.code for finding in found.findings]
    assert "log.full" not in [finding.code for finding in verify(short, EXPECTED).verdict.findings]


def test_values_that_were_not_quoted_are_refused_though_their_log_fits() -> None:
    good, other = Machine(), Machine(boot=OTHER_BOOT)
    evidence = other.evidence()
    dressed = replace(evidence, pcrs=good.evidence().pcrs, event_log=good.event_log)
    assert codes(dressed) == ["quote.digest"]


@pytest.mark.parametrize(
    ("pcrs", "expected"),
    [
        ({16: bytes(32)}, ["pcr.selection", "quote.digest"]),
        ({0: b"short"}, ["pcr.size.0", "quote.digest", "log.replay.0"]),
    ],
)
def test_values_that_nobody_asked_for_are_refused(
    pcrs: dict[int, bytes], expected: list[str]
) -> None:
    evidence = Machine().evidence()
    more = replace(evidence, pcrs={**evidence.pcrs, **pcrs})
    assert codes(more) == expected
    values = verify(more, EXPECTED).claims["pcrs"]
    assert isinstance(values, dict)
    assert "16" not in values


def test_values_of_another_bank_are_refused() -> None:
    machine = Machine(banks=("sha256", "sha384"))
    evidence = machine.evidence(bank="sha384")
    found = codes(evidence)
    assert found[:2] == ["pcr.bank", "quote.selection"]
    assert codes(replace(machine.evidence(), bank="sha384")) == ["pcr.bank"]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (Counters(5_000_000, 4, 9), []),
        (Counters(9_999, 5, 1), []),
        (Counters(10_002, 5, 1), ["counters.clock"]),
        (Counters(9_999, 5, 2), ["counters.restart"]),
        (Counters(9_999, 6, 0), ["counters.reset"]),
    ],
)
def test_counters_do_not_go_back(last: Counters, expected: list[str]) -> None:
    machine = Machine()
    machine.reset_count, machine.restart_count = 5, 1
    assert codes(machine.evidence(), last=last) == expected


def test_a_clock_that_is_not_safe_is_a_note() -> None:
    machine = Machine()
    machine.safe = False
    verdict = verify(machine.evidence(), EXPECTED).verdict
    assert [(f.code, f.refuses) for f in verdict.findings] == [("clock.safe", False)]


@pytest.mark.parametrize("pcr", range(8))
def test_a_register_that_no_firmware_measured_is_refused(pcr: int) -> None:
    machine = Machine()
    machine.rewrite(tuple(event for event in machine.events if event.pcr != pcr))
    assert codes(machine.evidence()) == [f"pcr.empty.{pcr}"]


def test_a_register_of_ones_is_refused() -> None:
    machine = Machine()
    machine.pcrs["sha256"][3] = b"\xff" * 32
    assert codes(machine.evidence()) == ["pcr.empty.3", "log.replay.3"]


def test_registers_of_a_dynamic_launch_begin_with_ones() -> None:
    machine = Machine()
    machine.pcrs["sha256"][17] = b"\xff" * 32
    pcrs = (*QUOTED_PCRS, 17)
    assert codes(machine.evidence(pcrs=pcrs), pcrs=pcrs) == []
    machine.pcrs["sha256"][17] = bytes(32)
    assert codes(machine.evidence(pcrs=pcrs), pcrs=pcrs) == ["log.replay.17"]


def without(evidence: Evidence, machine: Machine, index: int) -> Evidence:
    """The log without one event."""
    events = machine.events[:index] + machine.events[index + 1 :]
    return replace(evidence, event_log=encode_log(machine.banks, events))


def test_a_log_without_any_one_of_its_events_is_refused() -> None:
    machine = Machine()
    evidence = machine.evidence()
    for index, event in enumerate(machine.events):
        assert f"log.replay.{event.pcr}" in codes(without(evidence, machine, index))


def test_a_log_of_another_boot_is_refused() -> None:
    evidence = replace(Machine().evidence(), event_log=Machine(boot=OTHER_BOOT).event_log)
    assert codes(evidence) == ["log.replay.5"]


def test_a_log_in_another_order_is_refused() -> None:
    machine = Machine()
    evidence = machine.evidence()
    blobs = [n for n, event in enumerate(machine.events) if event.type == FIRMWARE_BLOB]
    events = list(machine.events)
    events[blobs[0]], events[blobs[1]] = events[blobs[1]], events[blobs[0]]
    evidence = replace(evidence, event_log=encode_log(machine.banks, events))
    assert codes(evidence) == ["log.replay.0"]


def test_a_log_that_tells_everything_twice_is_refused() -> None:
    machine = Machine()
    log = encode_log(machine.banks, machine.events * 2)
    found = codes(replace(machine.evidence(), event_log=log))
    assert found == [f"log.replay.{pcr}" for pcr in range(8)]


@pytest.mark.parametrize(
    ("log", "expected"),
    [(b"", ["log.bank"]), (b"\0" * 32, ["log.bank"]), (b"log", ["log.format"])],
)
def test_what_is_no_log_is_refused(log: bytes, expected: list[str]) -> None:
    assert codes(replace(Machine().evidence(), event_log=log)) == expected


def test_a_log_that_is_cut_off_is_refused() -> None:
    evidence = Machine().evidence()
    assert codes(replace(evidence, event_log=evidence.event_log[:-1])) == ["log.format"]


def test_a_log_of_another_bank_is_refused() -> None:
    machine = Machine(banks=("sha256", "sha384"))
    log = encode_log(("sha384",), machine.events)
    assert codes(replace(machine.evidence(), event_log=log)) == ["log.bank"]


def test_a_log_beyond_all_measure_is_refused() -> None:
    machine = Machine()
    log = encode_log(machine.banks, (*machine.events, *machine.events[-1:] * 4096))
    (finding,) = verify(replace(machine.evidence(), event_log=log), EXPECTED).verdict.reasons
    assert (finding.code, "more than 4096 entries" in finding.text) == ("log.format", True)


@pytest.mark.parametrize("kind", ["ecc-p256", "ecc-p384", "rsa2048"])
def test_who_swaps_the_ak_cannot_open_the_credential(kind: str) -> None:
    machine, other = Machine("mine", kind=kind), Machine("other", kind=kind)
    ek = parse_public(machine.ek_public)
    name, foreign = (attest_tpm.name_of(m.ak_public) for m in (machine, other))
    assert attest_tpm.activate(machine.ek, name, *make_credential(ek, name, b"c" * 32)) == b"c" * 32
    with pytest.raises(ValueError, match="TPM_RC_INTEGRITY"):
        attest_tpm.activate(machine.ek, name, *make_credential(ek, foreign, b"c" * 32))
