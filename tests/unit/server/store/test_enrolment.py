# SPDX-License-Identifier: Apache-2.0
"""Enrolment: by certificate, by hash, at first sight with approval; everything else is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykexec.errors import UsageError
from pykexec.server.errors import EnrolmentRefused, NotFound, StoreError, Tampered
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store import enrolment
from pykexec.server.store.records import EkHash, Settings
from pykexec.server.store.store import Store
from pykexec.verify.ek import VerifiedEk
from tests.support.store_samples import MASTER, OPERATOR, ROOT, candidate, certificate, tamper

NOTHING = Settings(certificate=False, hashes=False)
FIRST_USE = Settings(first_use=True)


def listed(number: int = 1, **known: object) -> EkHash:
    return replace(EkHash(candidate(number).ek.fingerprint), **known)  # type: ignore[arg-type]


def test_a_trusted_certificate_enrols_at_once(store: Store) -> None:
    machine = store.enrol(candidate(trusted=True))
    assert (machine.state, machine.enrolled_by, machine.policy) == ("enrolled", "certificate", None)
    assert store.enrol(candidate(trusted=True)) == machine


def test_without_a_certificate_or_hash_there_is_no_machine(store: Store) -> None:
    with pytest.raises(EnrolmentRefused):
        store.enrol(candidate())
    assert store.machines().total == 0


@pytest.mark.parametrize("trusted", [True, False])
def test_ways_that_are_closed_take_nobody(store: Store, trusted: bool) -> None:
    store.add_ek_hashes([listed()], OPERATOR)
    store.set_settings(NOTHING, OPERATOR)
    with pytest.raises(EnrolmentRefused):
        store.enrol(candidate(trusted=trusted))


def test_a_listed_hash_enrols_with_what_the_list_says(store: Store) -> None:
    store.put_policy("p", "text", OPERATOR)
    store.add_ek_hashes([listed(name="db1", tags={"site": "a"}, policy="p")], OPERATOR)
    machine = store.enrol(candidate())
    assert (machine.state, machine.enrolled_by) == ("enrolled", "hash")
    assert (machine.name, machine.tags, machine.policy) == ("db1", {"site": "a"}, "p")


@pytest.mark.parametrize("name", [0, 1, 2])
def test_an_ek_is_listed_by_any_of_its_names(store: Store, name: int) -> None:
    store.set_settings(Settings(certificate=False), OPERATOR)
    store.add_ek_hashes([EkHash(candidate(trusted=True).names[name])], OPERATOR)
    assert store.enrol(candidate(trusted=True)).enrolled_by == "hash"


def test_an_entry_counts_once(store: Store) -> None:
    store.add_ek_hashes([listed(), listed(2)], OPERATOR)
    machine = store.enrol(candidate())
    assert [entry.sha256 for entry in store.ek_hashes().items] == [candidate(2).ek.fingerprint]
    (entry,) = store.audit_entries(action="ek-hash.use")
    assert entry.subject == f"ek-hash:{machine.fingerprint}"
    assert entry.detail == {"machine": machine.fingerprint}


def test_nobody_but_the_verifier_makes_what_can_be_enrolled() -> None:
    with pytest.raises(TypeError, match="judge_ek"):
        VerifiedEk(candidate().ek, True)
    with pytest.raises((TypeError, ValueError)):
        replace(candidate(), vouched=True)


def test_the_first_use_waits_for_an_operator(store: Store) -> None:
    store.set_settings(FIRST_USE, OPERATOR)
    machine = store.enrol(candidate())
    assert (machine.state, machine.enrolled_by) == ("pending", "first-use")
    assert store.enrol(candidate()) == machine
    assert store.approve(machine.id, OPERATOR).state == "enrolled"


def test_who_waits_is_enrolled_when_its_certificate_or_hash_comes(store: Store) -> None:
    store.put_policy("p", "text", OPERATOR)
    store.set_settings(FIRST_USE, OPERATOR)
    first, second = store.enrol(candidate(1)), store.enrol(candidate(2))
    store.set_name(second.id, "said", OPERATOR)
    store.add_ek_hashes([listed(2, name="listed", policy="p")], OPERATOR)
    assert store.enrol(candidate(1, trusted=True)).enrolled_by == "certificate"
    after = store.enrol(candidate(2))
    assert (after.enrolled_by, after.name, after.policy) == ("hash", "said", "p")
    assert first.id != after.id


def test_who_was_refused_stays_refused(store: Store) -> None:
    machine = store.enrol(candidate(trusted=True))
    store.refuse(machine.id, OPERATOR)
    store.add_ek_hashes([listed()], OPERATOR)
    assert store.enrol(candidate(trusted=True)).state == "refused"


@pytest.mark.parametrize("state", ["refused", "retired"])
def test_a_decision_made_meanwhile_is_not_overruled(store: Store, state: str) -> None:
    machine = store.enrol(candidate(trusted=True))
    decide = store.refuse if state == "refused" else store.retire
    decide(machine.id, OPERATOR)
    with store.database.writing(store.keys) as tx:
        assert enrolment.enrol(tx, candidate(trusted=True)).state == state


def test_the_default_policy_is_for_those_of_whom_nothing_is_said(store: Store) -> None:
    for name in ("default", "special"):
        store.put_policy(name, "text", OPERATOR)
    store.set_settings(Settings(default_policy="default"), OPERATOR)
    store.add_ek_hashes([listed(2, policy="special")], OPERATOR)
    assert store.enrol(candidate(1, trusted=True)).policy == "default"
    assert store.enrol(candidate(2)).policy == "special"


def test_settings_come_back_and_are_sealed(store: Store, store_url: str) -> None:
    assert store.settings() == Settings()
    store.set_settings(FIRST_USE, OPERATOR)
    assert store.settings() == FIRST_USE
    tamper(store, "UPDATE settings SET value = :value", value='{"first_use":true}')
    with Store.open(store_url, LocalMasterKey(MASTER)) as other, pytest.raises(Tampered):
        other.settings()


@pytest.mark.parametrize("bad", [{"keep_evidence": "all"}, {"pending_max": -1}, {"keep_days": -1}])
def test_settings_that_mean_nothing_are_refused(store: Store, bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        store.set_settings(replace(Settings(), **bad), OPERATOR)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        store.set_settings(Settings(default_policy="absent"), OPERATOR)
    assert store.settings() == Settings()


def test_the_list_of_hashes_is_kept(store: Store) -> None:
    hashes = [EkHash(f"{number:064x}", f"m{number}", {"a": "b"}) for number in range(5)]
    assert store.add_ek_hashes(reversed(hashes), OPERATOR) == 5
    store.add_ek_hashes([replace(hashes[1], name="new")], OPERATOR)
    page = store.ek_hashes(offset=1, limit=2)
    assert (page.total, page.items) == (5, (replace(hashes[1], name="new"), hashes[2]))
    store.remove_ek_hash(hashes[0].sha256, OPERATOR)
    assert store.ek_hashes().total == 4
    with pytest.raises(NotFound):
        store.remove_ek_hash(hashes[0].sha256, OPERATOR)


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64])
def test_what_is_no_hash_fails_the_whole_list(store: Store, text: str) -> None:
    with pytest.raises(UsageError, match="not a SHA-256"):
        store.add_ek_hashes([EkHash("0" * 64), EkHash(text)], OPERATOR)
    assert store.ek_hashes().total == 0


def test_a_hash_that_was_put_behind_the_program_enrols_nobody(store: Store) -> None:
    store.add_ek_hashes([listed(2)], OPERATOR)
    fingerprint = candidate(1).ek.fingerprint
    statement = f"INSERT INTO ek_hashes SELECT '{fingerprint}', name, tags, policy, seal"
    tamper(store, f"{statement} FROM ek_hashes")
    with pytest.raises(Tampered):
        store.enrol(candidate(1))


def test_roots_come_back_and_are_sealed(store: Store, store_url: str) -> None:
    root = store.add_ek_root(ROOT, OPERATOR)
    assert (store.ek_roots(), root.certificate) == ((root,), ROOT)
    assert root.subject == "CN=test EK root"
    assert store.add_ek_root(ROOT, OPERATOR) == root
    tamper(store, "UPDATE ek_roots SET certificate = :der", der=certificate(False))
    with Store.open(store_url, LocalMasterKey(MASTER)) as other, pytest.raises(Tampered):
        other.ek_roots()
    store.remove_ek_root(root.sha256, OPERATOR)
    assert store.ek_roots() == ()
    with pytest.raises(NotFound):
        store.remove_ek_root(root.sha256, OPERATOR)


@pytest.mark.parametrize("der", [b"", b"\x30\x00", ROOT[:-1], certificate(False)])
def test_only_an_authority_is_a_root(store: Store, der: bytes) -> None:
    with pytest.raises(UsageError):
        store.add_ek_root(der, OPERATOR)
    assert store.ek_roots() == ()


def test_enrolments_at_the_same_time_are_one(store: Store, store_url: str) -> None:
    with Store.open(store_url, LocalMasterKey(MASTER)) as other:
        machines = [each.enrol(candidate(trusted=True)) for each in (store, other)]
    assert machines[0] == machines[1]
    with pytest.raises(StoreError):
        store.add_machine(candidate().ek, OPERATOR)
