# SPDX-License-Identifier: Apache-2.0
"""Who lies to the service: other machines' certificates, counters that nobody signed, rules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from pykexec.attest.protocol import AttestReply, Evidence
from pykexec.server.store.records import EkHash, Settings
from tests.support import attest_tpm
from tests.support.attest_machine import Machine, other_end
from tests.support.attest_tpm import Attest
from tests.support.service_world import ANY_IMAGE, NOW, OPERATOR, PEER, World, codes


def impostor(victim: Machine, *certificates: bytes) -> Machine:
    """A TPM in software that presents another machine's certificate, which is no secret."""
    found = Machine("impostor")
    found.certificates = certificates or victim.certificates[:1]
    return found


@pytest.mark.parametrize("roots", [True, False])
@pytest.mark.parametrize("with_issuers", [True, False])
def test_the_certificate_of_another_enrols_nobody(
    world: World, roots: bool, with_issuers: bool
) -> None:
    victim = world.machine
    listed = hashlib.sha256(victim.certificates[0]).hexdigest()
    world.store.add_ek_hashes([EkHash(listed, "the victim", {"site": "a"})], OPERATOR)
    world.store.set_settings(Settings(first_use=True, default_policy="any"), OPERATOR)
    if not roots:
        world.store.remove_ek_root(world.store.ek_roots()[0].sha256, OPERATOR)
    world.machine = impostor(victim, *(victim.certificates if with_issuers else ()))
    reply = world.attest()
    assert {"ek.certificate.key", "machine.unknown"} <= set(codes(reply))
    assert (world.store.machines().total, world.store.ek_hashes().total) == (0, 1)
    world.machine = victim
    assert codes(world.attest()) == []
    found = world.store.machine(victim.fingerprint)
    assert found and (found.name, found.enrolled_by) == ("the victim", "hash")


def test_who_is_enrolled_cannot_present_the_certificate_of_another(world: World) -> None:
    world.machine = Machine("listed")
    world.store.add_ek_hashes([EkHash(world.machine.fingerprint, policy="any")], OPERATOR)
    world.known()
    world.machine.certificates = Machine("victim").certificates[:1]
    reply = world.attest()
    assert (codes(reply), reply.release) == (["ek.certificate.key"], None)


def test_a_cleared_tpm_is_refused_until_its_counters_are_forgotten(world: World) -> None:
    world.machine.reset_count = 7
    number = world.known()
    world.machine.reset_count = 0
    for _ in range(3):
        world.machine.reboot()
        reply = world.attest()
        assert (codes(reply), reply.release) == (["counters.reset"], None)
    world.store.forget_boots(number, OPERATOR, "cleared")
    assert world.attest().release


def future(attest: Attest) -> Attest:
    return replace(attest, reset_count=2**32 - 1)


SPOILT_QUOTES: dict[str, Callable[[Evidence], Evidence]] = {
    "signature": lambda evidence: replace(evidence, signature=other_end(evidence.signature)),
    "statement": lambda evidence: replace(evidence, statement=evidence.statement + b" "),
}


@pytest.mark.parametrize("what", SPOILT_QUOTES)
def test_counters_of_a_quote_that_is_not_genuine_count_for_nothing(world: World, what: str) -> None:
    number = world.known()
    challenge = world.challenge()
    spoil = SPOILT_QUOTES[what]
    request = world.machine.attest_request(challenge, change=future, spoil=spoil)
    assert not world.service.attest(request, PEER, NOW).verdict.accepted
    assert world.store.attestations(number)[0].counters is None
    assert world.attest().release


def test_counters_signed_by_a_key_that_signs_anything_count_for_nothing(world: World) -> None:
    number = world.known()
    attributes = attest_tpm.AK_ATTRIBUTES & ~0x10000
    world.machine.ak_public = attest_tpm.ak_public(world.machine.ak, attributes)
    request = world.machine.attest_request(world.challenge(), change=future)
    assert "ak.attributes" in codes(world.service.attest(request, PEER, NOW))
    assert world.store.attestations(number)[0].counters is None


RULED = ANY_IMAGE + '[[rules]]\nname = "r"\nexpression = "evidence.bank == \'sha384\'"\n'


def ruled(reply: AttestReply) -> list[str]:
    return [found.code for found in reply.verdict.findings if "rule" in found.code]


def test_rules_are_for_machines_that_are_enrolled_and_genuine(world: World) -> None:
    number = world.known()
    world.store.put_policy("any", RULED, OPERATOR)
    assert ruled(world.attest()) == ["policy.rule.r"]
    request = world.machine.attest_request(world.challenge(), spoil=SPOILT_QUOTES["signature"])
    assert ruled(world.service.attest(request, PEER, NOW)) == ["policy.rules"]
    world.store.refuse(number, OPERATOR)
    assert ruled(world.attest()) == ["policy.rules"]
