# SPDX-License-Identifier: Apache-2.0
"""Who is given a secret, and who is not: the service over a real store, simulated machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from pykexec.attest.decode import parse_attest_reply
from pykexec.attest.fields import ProtocolError, base64url
from pykexec.attest.protocol import FINDINGS_MAX, AttestReply, Evidence
from pykexec.server import quotas
from pykexec.server.errors import NotFound
from pykexec.server.service import Refused, Service
from pykexec.server.steps import Steps, advance
from pykexec.server.store import tables
from pykexec.server.store.records import AttestationRecord, Settings
from tests.support.attest_machine import Machine, other_end
from tests.support.service_world import ANY_IMAGE, KEY, NOW, OPERATOR, PEER, World, codes
from tests.support.store_samples import tamper


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
    with world.store.database.reading() as connection:
        networks = connection.execute(select(tables.machines.c.network)).scalars().all()
    assert networks == ["192.0.2.0/24"]
    world.store.approve(found.id, OPERATOR)
    assert codes(world.attest()) == []


def test_who_makes_room_for_another_is_told_all_the_same(world: World) -> None:
    settings = Settings(first_use=True, default_policy="any", pending_max=1)
    world.store.set_settings(settings, OPERATOR)
    stranger, other = Machine("stranger"), Machine("other")
    stranger.certificates = other.certificates = ()

    def attestation(machine: Machine) -> Steps:
        challenge = world.service.challenge(machine.challenge_request(), PEER, NOW)
        return world.service.steps(machine.attest_request(challenge), PEER, NOW)

    steps = attestation(stranger)
    record = advance(steps)
    assert isinstance(record, AttestationRecord)
    full = advance(attestation(other))
    assert isinstance(full, AttestReply) and "machine.unknown" in codes(full)
    tamper(world.store, "UPDATE machines SET first_seen = 0")
    assert isinstance(advance(attestation(other)), AttestationRecord)
    with pytest.raises(NotFound) as gone:
        world.store.record_attestation(record)
    reply = advance(steps, gone.value)
    assert isinstance(reply, AttestReply) and "machine.pending" in codes(reply)
    assert [machine.fingerprint for machine in world.store.machines().items] == [other.fingerprint]


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


def test_a_policy_of_before_that_says_too_little_is_told_and_refuses(world: World) -> None:
    """Its text is in the store since a version that took it."""
    world.known()
    image = '[[images]]\nname = "old"\npcr11 = { sha256 = "' + "11" * 32 + '" }\n'
    text = f'version = 1\nname = "any"\n{image}[boot]\nany_application = true\n'
    world.store.put_policy("any", text, OPERATOR)
    reply = world.attest()
    assert (codes(reply), reply.release) == (["policy.fault"], None)
    (finding,) = reply.verdict.reasons
    assert finding.text.startswith("the policy is none any more: any version 2: images[0].authen")
    assert "any program can write PCR 11" in finding.text


def test_a_quote_that_is_no_good_is_refused_with_its_reason(world: World) -> None:
    number = world.known()
    challenge = world.challenge()
    request = world.machine.attest_request(
        challenge,
        spoil=lambda evidence: replace(evidence, signature=other_end(evidence.signature)),
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
