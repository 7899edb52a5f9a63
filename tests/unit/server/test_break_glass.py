# SPDX-License-Identifier: Apache-2.0
"""A machine without a network: who is given what, once, and what does not count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from pykexec.attest import protocol
from pykexec.server import quotas
from pykexec.server.break_glass import Glass
from pykexec.server.errors import NotFound, Tampered
from pykexec.server.persons import NotCounted
from pykexec.server.store import database
from tests.support.approvals import Waiting, person
from tests.support.attest_log import Boot
from tests.support.attest_machine import PAYLOAD, Machine
from tests.support.attest_tpm import Attest
from tests.support.break_glass import TABLE, Offline
from tests.support.offers import offer, real_ak
from tests.support.service_world import KEY, NOW, OPERATOR, PEER, World, codes
from tests.support.store_samples import tamper


@pytest.fixture(autouse=True)
def time_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's time is the world's."""
    monkeypatch.setattr(database, "now", lambda: NOW)


def actions(world: World) -> list[str]:
    """Of the audit trail, newest first."""
    return [entry.action for entry in world.store.audit_entries(limit=50)]


def test_two_persons_carry_the_secret_to_a_machine_without_a_network(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    statement = offline.case().found.statement
    groups = offline.answer()
    assert len("".join(groups)) <= 160
    assert offline.opened(groups, statement) == KEY
    assert offline.glass.given(offline.offer.reference) == groups
    assert world.store.verify_audit().faults == ()


def test_a_release_is_told_in_the_trail_and_the_secret_is_to_be_replaced(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    offline.answer()
    found = actions(world)
    for action in ("approval.ask", "break-glass.released", "key.rotation-due"):
        assert found.count(action) == 1
    (due,) = world.store.audit_entries(action="key.rotation-due")
    assert (due.detail["name"], due.detail["reason"]) == ("root", "given by break-glass")
    (asked,) = world.store.audit_entries(action="approval.ask")
    assert asked.detail["break_glass"] is True


def test_one_person_is_not_enough(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna")
    with pytest.raises(NotCounted, match="it still takes: 1 more"):
        offline.answer()
    assert offline.glass.given(offline.offer.reference) is None


def test_each_says_why_and_types_the_code(world: World) -> None:
    offline = Offline(world)
    offline.take()
    with pytest.raises(NotCounted, match="say why"):
        offline.approve("anna", reason="")
    with pytest.raises(NotCounted, match="not the code"):
        offline.approve("anna", code="BBBB-BBBB")


def test_an_answer_is_given_once_and_shown_again(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    groups = offline.answer()
    with pytest.raises(NotCounted, match="has what it waited for"):
        offline.answer()
    assert offline.glass.given(offline.offer.reference) == groups


def test_a_boot_is_helped_once_whatever_it_shows_then(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    offline.answer()
    with pytest.raises(NotCounted, match="was given its secrets already"):
        offline.take(offer(world.machine))


def test_who_was_helped_is_not_given_anything_by_the_network_too(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    offline.answer()
    assert codes(world.attest()) == ["release.again"]


def test_who_was_served_by_the_network_is_not_helped_too(world: World) -> None:
    offline = Offline(world)
    assert world.attest().release
    with pytest.raises(NotCounted, match="was given its secrets already"):
        offline.take(offer(world.machine))


def test_the_same_offer_waits_once(world: World) -> None:
    offline = Offline(world)
    assert offline.take() == offline.take() == offline.offer.reference
    offline.approve("anna")
    offline.take()
    assert [each.person.subject for each in offline.case().decided.approvers] == ["anna"]


def test_an_offer_of_a_boot_before_is_refused(world: World) -> None:
    """Its answer would open nowhere; but nobody shall be asked for it either."""
    offline = Offline(world)
    old = offline.offer
    world.machine.reboot()
    world.attest()
    with pytest.raises(NotCounted, match="reset"):
        offline.take(old)


def _no_quote(attest: Attest) -> Attest:
    return replace(attest, type=0x8017)


def _other_registers(attest: Attest) -> Attest:
    return replace(attest, digest=bytes(32))


SPOILT: dict[str, tuple[Callable[[Attest], Attest], str]] = {
    "type": (_no_quote, "no quote"),
    "registers": (_other_registers, "registers are not those that were accepted last"),
    "magic": (lambda attest: replace(attest, magic=1), "not made by a TPM"),
    "signer": (
        lambda attest: replace(attest, qualified_signer=b"\0\x0b" + bytes(32)),
        "signer is not",
    ),
    "statement": (lambda attest: replace(attest, extra_data=bytes(32)), "not what was accepted"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_quote_that_is_not_what_was_accepted_asks_nobody(world: World, what: str) -> None:
    offline = Offline(world)
    change, words = SPOILT[what]
    with pytest.raises(NotCounted, match=words):
        offline.take(offer(world.machine, change=change))
    assert "approval.ask" not in actions(world)
    assert actions(world)[0] == "attestation.refused"


def test_another_payload_asks_nobody(world: World) -> None:
    offline = Offline(world)
    other = {**PAYLOAD, "sha256": "ab" * 32}
    with pytest.raises(NotCounted, match="payload, or what the machine says"):
        offline.take(offer(world.machine, payload=other))


def test_another_image_asks_nobody(world: World) -> None:
    offline = Offline(world)
    world.machine.reboot(Boot(image=b"another image"))
    with pytest.raises(NotCounted, match="registers are not those"):
        offline.take(offer(world.machine))


def test_a_boot_that_has_had_a_shell_asks_nobody(world: World) -> None:
    offline = Offline(world)
    world.machine.release()
    with pytest.raises(NotCounted, match="registers are not those"):
        offline.take(offer(world.machine))


def test_a_quote_that_the_tpm_has_not_signed_leaves_nothing(world: World) -> None:
    offline = Offline(world)
    before = actions(world)
    forged = replace(offline.offer, signature=(b"\x01" * 32, b"\x01" * 32))
    with pytest.raises(NotCounted, match="has not signed"):
        offline.take(forged)
    assert actions(world) == before


def test_a_key_of_another_is_refused(world: World) -> None:
    """The quote names the key that the answer is for: another's cannot be put in its place."""
    offline = Offline(world)
    other = offer(real_ak(Machine("other")))
    with pytest.raises(NotCounted, match="not what was accepted"):
        offline.take(replace(offline.offer, key=other.key))


def test_a_machine_that_was_never_accepted_is_unknown(world: World) -> None:
    offline = Offline(world)
    with pytest.raises(NotCounted, match="has never accepted a machine with this key"):
        offline.take(offer(real_ak(Machine("stranger"))))


def test_a_quote_for_a_challenge_is_no_offer(world: World) -> None:
    offline = Offline(world)
    statement = world.machine.statement(bytes(protocol.NONCE_SIZE)).encode()
    quoted = protocol.qualifying_data(statement)
    with pytest.raises(NotCounted, match="not what was accepted"):
        offline.take(offer(world.machine, change=lambda attest: replace(attest, extra_data=quoted)))


@pytest.mark.parametrize("state", ["refused", "retired"])
def test_a_machine_that_is_given_nothing_is_not_helped(world: World, state: str) -> None:
    offline = Offline(world)
    change = {"refused": world.store.refuse, "retired": world.store.retire}[state]
    change(offline.number, OPERATOR)
    with pytest.raises(NotCounted, match=f"the machine is {state}"):
        offline.take()


def test_without_the_table_nobody_is_asked(world: World) -> None:
    offline = Offline(world)
    offline.put("")
    with pytest.raises(NotCounted, match=r"has no \[break_glass\]"):
        offline.take()


def test_nothing_is_kept_for_policies_without_the_table(world: World) -> None:
    offline = Offline(world, table="")
    offline.put(TABLE)
    with pytest.raises(NotCounted, match="never accepted"):
        offline.take()


def test_what_persons_approved_is_kept_too(world: World) -> None:
    real_ak(world.machine)
    waiting = Waiting(world, "count = 1", TABLE)
    glass = Glass(world.store, waiting.desk)
    with pytest.raises(NotCounted, match="never accepted"):
        glass.take(offer(Machine("stranger")), PEER, NOW)
    waiting.decide()
    assert waiting.poll().release
    world.machine.reboot()
    shown = offer(world.machine)
    assert glass.take(shown, PEER, NOW) == shown.reference


def test_the_policy_of_today_counts(world: World) -> None:
    offline = Offline(world)
    offline.put(TABLE, f'[payload]\nsha256 = ["{"ab" * 32}"]')
    with pytest.raises(NotCounted, match="the payload"):
        offline.take()


def test_a_policy_that_changes_meanwhile_takes_it_away(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    offline.put(TABLE.replace("security", "others"))
    with pytest.raises(NotCounted, match="another policy by now"):
        offline.answer()


def test_a_machine_that_is_refused_meanwhile_is_given_nothing(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    world.store.refuse(offline.number, OPERATOR)
    with pytest.raises(NotCounted, match="refused by now"):
        offline.answer()


RULE = '[[rules]]\nname = "r"\nexpression = "{}"\nmessage = "not so"\n'


@pytest.mark.parametrize(
    ("expression", "counts"),
    [
        ("has(evidence.break_glass) || context.address != ''", True),
        ("!has(evidence.break_glass)", False),
        ("context.address != ''", False),
    ],
)
def test_rules_know_that_there_is_no_network(world: World, expression: str, counts: bool) -> None:
    offline = Offline(world)
    offline.put(TABLE, RULE.format(expression))
    if counts:
        offline.take()
    else:
        with pytest.raises(NotCounted, match="not so"):
            offline.take()


def test_rules_about_persons_count_for_these_and_not_for_boots_with_a_network(
    world: World,
) -> None:
    offline = Offline(world, more=RULE.format("approval.subject != 'bob'"))
    offline.take()
    offline.approve("anna")
    with pytest.raises(NotCounted, match="does not let you approve this: not so"):
        offline.approve("bob")


def test_time_runs_out(world: World) -> None:
    offline = Offline(world, TABLE + "expires_s = 60\n")
    offline.take()
    offline.approve("anna", "bob")
    with pytest.raises(NotFound):
        offline.case(NOW + timedelta(seconds=61))


def test_a_person_may_refuse(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    offline.desk.approvals.decide(offline.visit(person("eve")), "refused", "", PEER)
    with pytest.raises(NotCounted, match="was refused"):
        offline.answer()


def test_nobody_is_asked_for_a_secret_that_is_not_there_or_does_not_fit(world: World) -> None:
    offline = Offline(world, TABLE.replace('"root"', '"other"'))
    with pytest.raises(NotCounted, match="has no secret 'other'"):
        offline.take()
    world.store.put_secret(offline.number, "other", "luks-key", {}, bytes(64), OPERATOR)
    with pytest.raises(NotCounted, match="has room for"):
        offline.take()
    assert "approval.ask" not in actions(world)


def test_a_secret_that_does_not_fit_any_more_is_told(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    world.store.put_secret(offline.number, "root", "luks-key", {}, bytes(64), OPERATOR)
    with pytest.raises(NotCounted, match="has room for"):
        offline.answer()
    assert "break-glass.released" not in actions(world)


@pytest.mark.parametrize("column", ["ak_name = 'ab'", "claims = '{}'", "time = 0"])
def test_what_somebody_else_wrote_as_accepted_is_found(world: World, column: str) -> None:
    offline = Offline(world)
    tamper(world.store, f"UPDATE last_accepted SET {column}")
    with pytest.raises((Tampered, NotCounted), match=r"last_accepted|never accepted"):
        offline.take()


def test_an_ordinary_boot_writes_no_new_row(world: World) -> None:
    offline = Offline(world)
    rows = accepted_rows(world)
    world.attest()
    world.machine.reboot()
    assert accepted_rows(world) == rows and len(rows) == 1
    world.machine.reboot(Boot(image=b"another image"))
    world.attest()
    assert accepted_rows(world) != rows
    world.machine.reboot()
    offline.take(offer(world.machine))


def accepted_rows(world: World) -> list[str]:
    """What is kept, with its seal."""
    with world.store.database.reading() as connection:
        return [str(row) for row in connection.exec_driver_sql("SELECT * FROM last_accepted")]


def test_codes_are_not_guessed(world: World) -> None:
    offline = Offline(world)
    offline.take()
    for _ in range(quotas.CODE_TRIES):
        with pytest.raises(NotCounted, match="not the code"):
            offline.approve("anna", code="BBBB-BBBB")
    with pytest.raises(NotFound, match="guessed"):
        offline.case()
