# SPDX-License-Identifier: Apache-2.0
"""Spoilt evidence: never an exception, and nothing that is accepted says anything else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from pykexec.attest.protocol import Evidence
from pykexec.verify.explain import explain
from pykexec.verify.verify import Verified, verify
from tests.support.attest_expected import EXPECTED, NONCE
from tests.support.attest_log import NO_ACTION, Measured
from tests.support.attest_machine import Boot, Machine
from tests.support.mutations import spoilt

KINDS = ("ecc-p256", "ecc-p384", "rsa2048")
ROUNDS = 100


@cache
def machine(kind: str) -> Machine:
    """A machine whose log has all that is looked at."""
    found = Machine("fuzzed", kind=kind, boot=Boot(config=b"locked = true"))
    locality = Measured(0, NO_ACTION, b"StartupLocality\0\0")
    found.rewrite((locality, *found.events))
    return found


@cache
def good(kind: str) -> Evidence:
    evidence = machine(kind).evidence(NONCE)
    assert verify(evidence, EXPECTED).verdict.accepted
    return evidence


def judged(evidence: Evidence) -> Verified:
    """Whatever it is: a verdict, claims that are JSON, an explanation."""
    verified = verify(evidence, EXPECTED)
    assert verified.verdict.findings or verified.verdict.accepted
    json.dumps(verified.claims, allow_nan=False).encode()
    explain(verified)
    return verified


def with_identity(evidence: Evidence, **changes: Any) -> Evidence:
    return replace(evidence, identity=replace(evidence.identity, **changes))


def spoil_certificate(chance: random.Random, evidence: Evidence) -> Evidence:
    certificates = list(evidence.identity.ek_certificates)
    index = chance.randrange(len(certificates))
    certificates[index] = spoilt(chance, certificates[index])
    return with_identity(evidence, ek_certificates=tuple(certificates))


def spoil_pcr(chance: random.Random, evidence: Evidence) -> Evidence:
    number = chance.choice(list(evidence.pcrs))
    value = spoilt(chance, evidence.pcrs[number])
    return replace(evidence, pcrs={**evidence.pcrs, number: value})


def rename_pcr(chance: random.Random, evidence: Evidence) -> Evidence:
    values = dict(evidence.pcrs)
    value = values.pop(chance.choice(list(values)))
    return replace(evidence, pcrs={**values, chance.choice((16, 17, 23)): value})


FIELDS: dict[str, Callable[[random.Random, Evidence], Evidence]] = {
    "ek_public": lambda c, e: with_identity(e, ek_public=spoilt(c, e.identity.ek_public)),
    "ak_public": lambda c, e: with_identity(e, ak_public=spoilt(c, e.identity.ak_public)),
    "ek_certificates": spoil_certificate,
    "statement": lambda c, e: replace(e, statement=spoilt(c, e.statement)),
    "quote": lambda c, e: replace(e, quote=spoilt(c, e.quote)),
    "signature": lambda c, e: replace(e, signature=spoilt(c, e.signature)),
    "pcr value": spoil_pcr,
    "pcr number": rename_pcr,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", FIELDS)
def test_evidence_with_a_spoilt_field_is_refused(field: str, kind: str) -> None:
    chance = random.Random(f"{field} {kind}")
    for _ in range(ROUNDS):
        assert not judged(FIELDS[field](chance, good(kind))).verdict.accepted


@pytest.mark.parametrize("field", ["statement", "quote", "signature", "event_log", "identity"])
def test_evidence_with_a_field_of_another_machine_is_refused(field: str) -> None:
    other = Machine("other", boot=Boot(sections=((".linux", b"other"),))).evidence(NONCE)
    mixed = replace(good("ecc-p256"), **{field: getattr(other, field)})
    assert not judged(mixed).verdict.accepted


def said(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """What claims say, piece by piece, without what they call unproven."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            # One that shows itself a version no more is in the list as well.
            number = "" if path.endswith(".blobs") else index
            yield from said(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        unproven = value.get("unproven", [])
        for key, item in value.items():
            # A boot option's name is the key of its entry.
            named = "" if path.endswith(".entries") else key
            # Of what is hidden more is said than there is, never less.
            if key not in ("unproven", "hidden", *unproven):
                yield from said(item, f"{path}.{named}")
    else:
        yield path, str(value)


def test_what_is_accepted_of_a_spoilt_log_says_nothing_new() -> None:
    chance = random.Random("event log")
    evidence = good("ecc-p256")
    truth = set(said(judged(evidence).claims))
    firmware = [event for event in machine("ecc-p256").events if event.pcr == 0]
    truth |= {(".firmware.blobs[].digest", event.digest("sha256").hex()) for event in firmware}
    accepted = 0
    for _ in range(2000):
        verified = judged(replace(evidence, event_log=spoilt(chance, evidence.event_log)))
        if verified.verdict.accepted:
            accepted += 1
            # What is hidden behind another type is missing, and a policy sees that.
            assert set(said(verified.claims)) <= truth
    # Descriptions that no digest covers, types: they are few.
    assert 0 < accepted < 600


def test_bytes_instead_of_evidence_are_refused() -> None:
    chance = random.Random("bytes")
    evidence = good("ecc-p256")
    for size in (0, 1, 2, 7, 31, 64, 255, 1024):
        for field in ("statement", "quote", "signature", "event_log"):
            changes: dict[str, Any] = {field: chance.randbytes(size)}
            noise = replace(evidence, **changes)
            assert not judged(noise).verdict.accepted
        for field in ("ek_public", "ak_public"):
            noise = with_identity(evidence, **{field: chance.randbytes(size)})
            assert not judged(noise).verdict.accepted
