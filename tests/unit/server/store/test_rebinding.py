# SPDX-License-Identifier: Apache-2.0
"""A mainboard was swapped: two persons have the keys go to the new EK, and nothing is lost."""

from __future__ import annotations

import pytest

from pykexec.errors import UsageError
from pykexec.server.errors import Conflict, Tampered
from pykexec.server.keys.generations import Orders
from pykexec.server.store import audit, rebinding
from pykexec.server.store.machine_keys import MachineKeys, Verdict
from pykexec.server.store.records import KeyPlan, Machine
from pykexec.server.store.store import Store
from tests.support.store_samples import OPERATOR, candidate, tamper

ANNA, BOB = "operator:anna", "operator:bob"


@pytest.fixture(name="old")
def old_fixture(store: Store) -> Machine:
    """With a key in use that has to go, and one that waits."""
    tags = {"rack": "7"}
    store.put_policy("servers", "text", OPERATOR)
    machine = store.add_machine(candidate(1).ek, OPERATOR, "web-1", "servers", tags)
    keys = MachineKeys(store)
    keys.plan(machine.id, KeyPlan("disk", "luks-passphrase", {"volume": "root"}, 30), OPERATOR)
    keys.escrow(machine.id, "disk", b"one")
    keys.judge(machine.id, [Verdict("disk", 1, True, "")])
    keys.reveal(machine.id, "disk", None, BOB, "because")
    store.put_secret(machine.id, "file", "file", {"file": "x"}, b"content", OPERATOR)
    return machine


@pytest.fixture(name="new")
def new_fixture(store: Store) -> Machine:
    """That board's EK, which has attested and waits."""
    return store.add_machine(candidate(2).ek, OPERATOR)


def test_the_keys_are_the_new_eks_and_the_history_stays(
    store: Store, old: Machine, new: Machine
) -> None:
    rebinding.ask(store, old.id, new.id, ANNA, "board broke")
    found = rebinding.confirm(store, old.id, new.id, BOB)
    assert (found.name, found.policy, found.tags, found.state) == (
        ("web-1", "servers", {"rack": "7"}, "enrolled")
    )
    values = {secret.name: bytes(value) for secret, value in store.open_secrets(new.id)}
    assert values == {"disk": b"one", "file": b"content"}
    (state, _) = MachineKeys(store).states(new.id)
    assert state.plan and state.orders == Orders(True, 0)
    assert [(each.version, each.proven) for each in state.generations] == [(1, None)]
    before = store.machine_by_id(old.id)
    assert (before.state, before.name, store.open_secrets(old.id)) == ("retired", "web-1", [])
    assert len(store.secrets(old.id, history=True)) == 2
    assert len(MachineKeys(store).revealed(old.id)) == 1
    assert store.verify_audit().faults == ()
    (entry,) = store.audit_entries(action="machine.retire")
    assert entry.detail["reason"] == f"rebound to {new.fingerprint}: board broke"


def test_it_takes_two_persons(store: Store, old: Machine, new: Machine) -> None:
    with pytest.raises(Conflict, match="it takes two persons"):
        rebinding.confirm(store, old.id, new.id, BOB)
    rebinding.ask(store, old.id, new.id, ANNA, "board broke")
    with pytest.raises(Conflict, match="it takes somebody else"):
        rebinding.confirm(store, old.id, new.id, ANNA)
    other = store.add_machine(candidate(3).ek, OPERATOR)
    with pytest.raises(Conflict, match="nobody has asked for this"):
        rebinding.confirm(store, old.id, other.id, BOB)
    assert len(store.open_secrets(old.id)) == 2


def test_what_was_asked_for_is_over_after_a_day(
    store: Store, old: Machine, new: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = rebinding.ask(store, old.id, new.id, ANNA, "board broke")
    late = asked.asked + rebinding.EXPIRES
    monkeypatch.setattr("pykexec.server.store.database.now", lambda: late)
    with pytest.raises(Conflict, match="in the last day"):
        rebinding.confirm(store, old.id, new.id, BOB)


def test_nobody_but_the_program_asks(store: Store, old: Machine, new: Machine) -> None:
    rebinding.ask(store, old.id, new.id, ANNA, "board broke")
    tamper(store, "UPDATE key_rebinds SET actor = 'operator:carl'")
    with pytest.raises(Tampered):
        rebinding.confirm(store, old.id, new.id, ANNA)


def test_machines_that_it_cannot_be_done_to_are_refused(
    store: Store, old: Machine, new: Machine
) -> None:
    with pytest.raises(Conflict, match="the same machine"):
        rebinding.ask(store, old.id, old.id, ANNA, "x")
    with pytest.raises(UsageError, match="say why"):
        rebinding.ask(store, old.id, new.id, ANNA, " ")
    store.put_secret(new.id, "disk", "file", {"file": "x"}, b"other", OPERATOR)
    with pytest.raises(Conflict, match="has keys of its own"):
        rebinding.ask(store, old.id, new.id, ANNA, "x")
    store.retire(new.id, OPERATOR)
    with pytest.raises(Conflict, match="is retired"):
        rebinding.ask(store, old.id, new.id, ANNA, "x")


@pytest.mark.parametrize("step", range(1, 12))
def test_whatever_step_fails_the_keys_are_one_machines(
    store: Store, old: Machine, new: Machine, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebinding.ask(store, old.id, new.id, ANNA, "board broke")
    _fail_at(monkeypatch, step)
    try:
        rebinding.confirm(store, old.id, new.id, BOB)
    except _PowerFailure:
        pass
    monkeypatch.undo()
    counts = sorted(len(store.open_secrets(machine.id)) for machine in (old, new))
    assert counts == [0, 2]
    assert store.verify_audit().faults == ()


class _PowerFailure(Exception):
    """The transaction ends here."""


def _fail_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The audit chain is written to in each step: one of them is the last."""
    append, left = audit.Chain.append, [step]

    def failing(chain: audit.Chain, *fields: object, **more: object) -> object:
        left[0] -= 1
        if not left[0]:
            raise _PowerFailure
        return append(chain, *fields, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(audit.Chain, "append", failing)
