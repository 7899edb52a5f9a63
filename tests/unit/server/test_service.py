# SPDX-License-Identifier: Apache-2.0
"""Who is given a secret, and who is not: the service over a real store, simulated machines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pykexec.attest.decode import parse_attest_reply
from pykexec.attest.fields import ProtocolError, base64url
from pykexec.attest.protocol import FINDINGS_MAX, AttestReply, Challenge, Evidence
from pykexec.server import quotas
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.service import Refused, Service
from pykexec.server.store.records import EkHash, Settings
from pykexec.server.store.store import Store
from tests.support import attest_ca, attest_tpm
from tests.support.attest_machine import Machine
from tests.support.attest_tpm import Attest

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PEER = "192.0.2.7"
KEY = b"the key of the volume, 32 bytes."
ANY_IMAGE = 'version = 1\nname = "any"\nallow_any_image = true\n'
OPERATOR = "operator:test"


@dataclass
class World:
    """A server with one policy that allows any image, and a machine that it does not know yet."""

    store: Store
    service: Service
    machine: Machine

    def known(self) -> int:
        """Make the machine known by a first attestation, which is given nothing; its number."""
        self.attest()
        found = self.store.machine(self.machine.fingerprint)
        assert found
        self.store.put_secret(found.id, "root", "luks-key", {"file": "k"}, KEY, OPERATOR)
        self.machine.reboot()
        return found.id

    def challenge(self) -> Challenge:
        """Ask for one."""
        return self.service.challenge(self.machine.challenge_request(), PEER, NOW)

    def attest(self, challenge: Challenge | None = None, later_s: int = 1) -> AttestReply:
        """Both round trips."""
        challenge = challenge or self.challenge()
        request = self.machine.attest_request(challenge)
        return self.service.attest(request, PEER, NOW + timedelta(seconds=later_s))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path}/store.db"
    with Store.open(url, LocalMasterKey(b"m" * 32), migrate=True) as store:
        store.put_policy("any", ANY_IMAGE, OPERATOR)
        store.add_ek_root(attest_ca.root_der(), OPERATOR)
        store.set_settings(Settings(default_policy="any"), OPERATOR)
        yield World(store, Service(store), Machine())


def codes(reply: AttestReply) -> list[str]:
    return [finding.code for finding in reply.verdict.reasons]


def test_a_machine_is_given_its_secret_and_can_open_it(world: World) -> None:
    world.known()
    challenge = world.challenge()
    reply = world.attest(challenge)
    assert codes(reply) == []
    opened = world.machine.open_release(challenge, reply)
    assert [(secret.name, secret.kind, secret.value) for secret in opened] == [
        ("root", "luks-key", KEY)
    ]
    assert KEY not in reply.encode()


def test_another_machine_cannot_open_it(world: World) -> None:
    world.known()
    challenge = world.challenge()
    reply = world.attest(challenge)
    with pytest.raises(ValueError):
        Machine("other").open_release(challenge, reply)


def test_a_boot_is_given_its_secrets_once(world: World) -> None:
    world.known()
    assert world.attest().release
    # As if the agent had not extended the register: the server knows by itself.
    again = world.attest()
    assert (codes(again), again.release) == (["release.again"], None)
    world.machine.reboot()
    assert world.attest().release


def test_what_the_agent_measures_at_the_release_forbids_another(world: World) -> None:
    world.known()
    world.machine.release()
    reply = world.attest()
    assert "policy.released" in codes(reply) and reply.release is None


def test_the_same_request_is_answered_the_same_once_more(world: World) -> None:
    world.known()
    request = world.machine.attest_request(world.challenge())
    first = world.service.attest(request, PEER, NOW)
    assert first.release
    assert world.service.attest(request, PEER, NOW + timedelta(seconds=59)) == first
    again = world.service.attest(request, PEER, NOW)
    assert (codes(again), again.release) == (["challenge.replayed"], None)


def test_the_same_request_is_not_answered_when_its_challenge_is_over(world: World) -> None:
    world.known()
    request = world.machine.attest_request(world.challenge())
    assert world.service.attest(request, PEER, NOW).release
    late = world.service.attest(request, PEER, NOW + timedelta(seconds=60))
    assert (codes(late), late.release) == (["challenge.expired"], None)


CHANGES: dict[str, Callable[[Evidence], Evidence]] = {
    "log": lambda evidence: replace(evidence, event_log=evidence.event_log + b"\0"),
    "signature": lambda evidence: replace(evidence, signature=evidence.signature + b"\0"),
    "registers": lambda evidence: replace(evidence, pcrs={**evidence.pcrs, 0: bytes(32)}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_request_for_the_same_challenge_is_given_nothing(world: World, what: str) -> None:
    world.known()
    request = world.machine.attest_request(world.challenge())
    assert world.service.attest(request, PEER, NOW).release
    other = replace(request, evidence=CHANGES[what](request.evidence))
    again = world.service.attest(other, PEER, NOW)
    assert (codes(again), again.release) == (["challenge.replayed"], None)


def test_a_late_answer_is_worth_nothing(world: World) -> None:
    world.known()
    assert codes(world.attest(later_s=60)) == ["challenge.expired"]
    assert codes(world.attest(later_s=59)) == []


def test_a_challenge_is_for_one_identity(world: World) -> None:
    world.known()
    challenge = world.challenge()
    other = Machine("other")
    other.activate = world.machine.activate  # type: ignore[method-assign]
    reply = world.service.attest(other.attest_request(challenge), PEER, NOW)
    assert codes(reply) == ["challenge.identity"]


def test_without_the_credential_there_is_no_verdict(world: World) -> None:
    number = world.known()
    before = len(world.store.attestations(number))
    request = world.machine.attest_request(world.challenge())
    reply = world.service.attest(replace(request, proof=bytes(32)), PEER, NOW)
    assert codes(reply) == ["challenge.proof"]
    assert len(world.store.attestations(number)) == before


def test_a_proof_is_for_one_quote(world: World) -> None:
    world.known()
    challenge = world.challenge()
    first = world.machine.attest_request(challenge)
    second = world.machine.attest_request(challenge)
    mixed = replace(first, proof=second.proof)
    assert codes(world.service.attest(mixed, PEER, NOW)) == ["challenge.proof"]


@pytest.mark.parametrize("token", ["", "AAAA", "A" * 500])
def test_a_token_of_nobody_is_refused(world: World, token: str) -> None:
    request = world.machine.attest_request(world.challenge())
    reply = world.service.attest(replace(request, token=token), PEER, NOW)
    assert codes(reply) == ["challenge.token"]


def test_another_server_of_the_same_store_takes_the_answer(world: World) -> None:
    world.known()
    challenge = world.challenge()
    request = world.machine.attest_request(challenge)
    assert Service(world.store).attest(request, PEER, NOW).release


def test_an_unknown_machine_waits_for_approval_on_first_use(world: World) -> None:
    settings = Settings(certificate=False, first_use=True, default_policy="any")
    world.store.set_settings(settings, OPERATOR)
    assert "machine.pending" in codes(world.attest())
    found = world.store.machine(world.machine.fingerprint)
    assert found and found.state == "pending"
    world.store.approve(found.id, OPERATOR)
    assert codes(world.attest()) == []


def test_nobody_is_enrolled_where_no_way_is_open(world: World) -> None:
    world.store.set_settings(Settings(certificate=False, hashes=False), OPERATOR)
    assert "machine.unknown" in codes(world.attest())
    assert world.store.machine(world.machine.fingerprint) is None


def test_nothing_is_kept_of_strangers(world: World) -> None:
    world.store.set_settings(Settings(certificate=False, hashes=False), OPERATOR)
    before = world.store.verify_audit()
    for _ in range(3):
        assert "machine.unknown" in codes(world.attest())
    assert (world.store.attestations(), world.store.verify_audit()) == ((), before)


def test_a_verdict_has_a_size_whatever_the_log_has(world: World) -> None:
    """The client takes so many findings, and the database is no place for a stranger's text."""
    world.known()
    separator = 4
    for number in range(5 * FINDINGS_MAX):
        world.machine.extend(0, separator, b"no separator %d" % number)
    reply = world.attest()
    assert not reply.verdict.accepted and reply.release is None
    assert len(reply.verdict.findings) == quotas.FINDINGS_MAX
    assert len(reply.encode()) < 1.5 * quotas.FINDINGS_MAX * quotas.FINDING_MAX
    assert parse_attest_reply(reply.encode()) == reply


def test_a_machine_that_asks_too_often_has_to_wait(world: World) -> None:
    world.known()
    asked: list[str] = []

    def wait_s(fingerprint: str) -> float:
        asked.append(fingerprint)
        return 7.0

    service = Service(world.store, wait_s=wait_s)
    request = world.machine.attest_request(world.challenge())
    nobody = service.attest(replace(request, proof=bytes(32)), PEER, NOW)
    assert (codes(nobody), asked) == (["challenge.proof"], [])
    with pytest.raises(Refused, match="too often") as caught:
        service.attest(request, PEER, NOW)
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)
    assert asked == [world.machine.fingerprint]
    assert world.service.attest(request, PEER, NOW).release, "nothing was used up"


def test_a_certificate_of_nobody_enrols_nobody(world: World) -> None:
    for root in world.store.ek_roots():
        world.store.remove_ek_root(root.sha256, OPERATOR)
    reply = world.attest()
    assert "machine.unknown" in codes(reply)
    assert any(code.startswith("ek.") for code in codes(reply))


def test_a_certificate_counts_no_more_when_its_root_is_gone(world: World) -> None:
    world.known()
    for root in world.store.ek_roots():
        world.store.remove_ek_root(root.sha256, OPERATOR)
    reply = world.attest()
    assert any(code.startswith("ek.") for code in codes(reply)) and reply.release is None


def test_a_retired_machine_is_refused_for_good(world: World) -> None:
    number = world.known()
    world.store.retire(number, OPERATOR, "sold")
    for _ in range(2):
        reply = world.attest()
        assert ("machine.retired" in codes(reply), reply.release) == (True, None)
        world.machine.reboot()
    assert any(entry.action == "machine.retired" or "retire" in entry.action
               for entry in world.store.audit_entries(limit=20))  # fmt: skip


def test_a_refused_machine_is_refused(world: World) -> None:
    world.store.refuse(world.known(), OPERATOR)
    assert "machine.refused" in codes(world.attest())


def test_without_a_policy_nothing_is_released(world: World) -> None:
    world.store.set_policy(world.known(), None, OPERATOR)
    reply = world.attest()
    assert (codes(reply), reply.release) == (["policy.missing"], None)


def test_what_the_policy_does_not_allow_is_refused(world: World) -> None:
    world.known()
    text = ANY_IMAGE + '[payload]\nsha256 = ["' + "ab" * 32 + '"]\n'
    world.store.put_policy("any", text, OPERATOR)
    reply = world.attest()
    assert (codes(reply), reply.release) == (["policy.payload"], None)


def test_a_quote_that_is_no_good_is_refused_with_its_reason(world: World) -> None:
    number = world.known()
    challenge = world.challenge()
    request = world.machine.attest_request(
        challenge,
        spoil=lambda evidence: replace(evidence, signature=evidence.signature[:-1] + b"\0"),
    )
    reply = world.service.attest(request, PEER, NOW)
    assert "quote.signature" in codes(reply) and reply.release is None
    assert world.store.attestations(number)[0].accepted is False


def test_a_tpm_without_a_known_bank_is_told_so(world: World) -> None:
    request = replace(world.machine.challenge_request(), banks=("sha1",))
    with pytest.raises(Refused, match="none of the PCR banks"):
        world.service.challenge(request, PEER, NOW)


@pytest.mark.parametrize("field", ["ek_public", "ak_public"])
def test_a_key_that_is_none_is_the_messages_fault(world: World, field: str) -> None:
    request = world.machine.challenge_request()
    identity = replace(request.identity, **{field: b"\0" * 40})  # type: ignore[arg-type]
    spoilt = replace(request, identity=identity)
    with pytest.raises(ProtocolError, match="identity"):
        world.service.challenge(spoilt, PEER, NOW)


def test_a_revoked_secret_is_not_released(world: World) -> None:
    number = world.known()
    world.store.revoke_secret(number, "root", OPERATOR)
    reply = world.attest()
    assert (codes(reply), reply.release) == ([], None)


def test_no_secret_is_in_the_record_or_the_audit(world: World) -> None:
    world.known()
    assert world.attest().release
    text = "".join(world.store.export_audit()) + repr(world.store.attestations())
    for form in (KEY.decode(), KEY.hex(), base64url(KEY)):
        assert form not in text
    assert "root" in text


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
    "signature": lambda evidence: replace(evidence, signature=evidence.signature[:-1] + b"\0"),
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
