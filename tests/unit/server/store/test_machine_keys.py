# SPDX-License-Identifier: Apache-2.0
"""The life of a machine's keys in the store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pykexec.errors import FormatError, UsageError
from pykexec.server.errors import Conflict, NotFound, Tampered
from pykexec.server.keys.generations import Orders
from pykexec.server.store.machine_keys import KeyState, MachineKeys, Verdict
from pykexec.server.store.records import KeyPlan, Machine
from pykexec.server.store.store import Store
from tests.support.store_samples import OPERATOR, enrolled, tamper

PLAN = KeyPlan("disk", "luks-passphrase", {"volume": "root"}, rotate_days=30)
RECOVERY = KeyPlan("recovery", "bitlocker-recovery-password", {})
PASSWORD = b"-".join([b"000011"] * 8)


@pytest.fixture(name="keys")
def keys_fixture(store: Store) -> MachineKeys:
    """Of a store with one machine, whose system may hand in two keys."""
    machine = enrolled(store)
    keys = MachineKeys(store)
    for plan in (PLAN, RECOVERY):
        keys.plan(machine.id, plan, OPERATOR)
    return keys


@pytest.fixture(name="machine")
def machine_fixture(store: Store, keys: MachineKeys) -> Machine:
    """That machine."""
    assert keys
    return store.machines().items[0]


def state(keys: MachineKeys, machine: Machine, name: str = "disk") -> KeyState:
    """What is known of a key."""
    (found,) = [each for each in keys.states(machine.id) if each.name == name]
    return found


def stages(keys: MachineKeys, machine: Machine) -> dict[int, str]:
    """Of the key "disk", by version."""
    return {each.version: each.stage for each in state(keys, machine).generations}


def given(store: Store, machine: Machine, *stages_: str) -> list[bytes]:
    """The values in these stages."""
    return [bytes(value) for _, value in store.open_secrets(machine.id, *stages_)]


def proven(keys: MachineKeys, machine: Machine, version: int) -> None:
    """The agent has opened the volume with it, and the system has come up with it."""
    keys.judge(machine.id, [Verdict("disk", version, True, "key slot 0 opens")])
    keys.came_up(machine.id, {"disk": version})


def test_a_whole_rotation(store: Store, keys: MachineKeys, machine: Machine) -> None:
    assert state(keys, machine).orders == Orders(True, 0)
    keys.escrow(machine.id, "disk", b"one")
    assert (given(store, machine), given(store, machine, "next")) == ([], [b"one"])
    proven(keys, machine, 1)
    assert (given(store, machine), state(keys, machine).orders) == ([b"one"], Orders(False, 0))

    secret, value = keys.reveal(machine.id, "disk", None, "operator:bob", "it asked for it")
    assert (bytes(value), secret.version) == (b"one", 1)
    assert state(keys, machine).orders == Orders(True, 0)
    keys.escrow(machine.id, "disk", b"two")
    assert (stages(keys, machine), given(store, machine)) == ({1: "current", 2: "next"}, [b"one"])
    assert state(keys, machine).rotation is not None

    keys.judge(machine.id, [Verdict("disk", 2, True, "key slot 1 opens")])
    assert stages(keys, machine) == {1: "previous", 2: "current"}
    assert (given(store, machine), state(keys, machine).rotation) == ([b"two"], None)
    assert state(keys, machine).orders == Orders(False, 0)
    keys.came_up(machine.id, {"disk": 1})
    assert state(keys, machine).orders == Orders(False, 0)
    keys.came_up(machine.id, {"disk": 2})
    assert state(keys, machine).orders == Orders(False, 1)
    keys.removed(machine.id, "disk", 1)
    assert stages(keys, machine) == {2: "current"}
    actions = [entry.action for entry in store.audit_entries(limit=20)]
    assert actions[:3] == ["key.removed", "key.used", "key.verdict"]
    assert store.verify_audit().faults == ()


def test_what_does_not_open_the_volume_is_never_used_and_can_be_had_back(
    store: Store, keys: MachineKeys, machine: Machine
) -> None:
    keys.escrow(machine.id, "disk", b"one")
    proven(keys, machine, 1)
    keys.reveal(machine.id, "disk", None, OPERATOR, "why not")
    keys.escrow(machine.id, "disk", b"a slip of the pen")
    keys.judge(machine.id, [Verdict("disk", 2, False, "no key slot opens")])
    assert (stages(keys, machine), given(store, machine)) == ({1: "current"}, [b"one"])
    assert state(keys, machine).orders == Orders(True, 0)
    assert store.secrets(machine.id, history=True)[0].kept_until is not None
    (entry, *_) = store.audit_entries(action="key.verdict")
    assert (entry.detail["verdict"], entry.detail["version"]) == ("does not fit", 2)
    assert keys.escrow(machine.id, "disk", b"three").version == 3


def test_a_key_in_use_that_opens_nothing_has_to_go_and_stays_until_then(
    store: Store, keys: MachineKeys, machine: Machine
) -> None:
    keys.escrow(machine.id, "disk", b"one")
    proven(keys, machine, 1)
    keys.judge(machine.id, [Verdict("disk", 1, False, "no key slot opens")])
    found = state(keys, machine)
    assert found.rotation and found.rotation.reason == "it does not open the volume"
    assert (given(store, machine), found.orders) == ([b"one"], Orders(True, 0))
    assert found.generations[0].proven is None


def test_a_volume_that_came_back_from_a_backup_has_the_key_before(
    store: Store, keys: MachineKeys, machine: Machine
) -> None:
    for version, value in ((1, b"one"), (2, b"two")):
        keys.escrow(machine.id, "disk", value)
        keys.judge(machine.id, [Verdict("disk", version, True, "")])
    keys.came_up(machine.id, {"disk": 2})
    keys.judge(machine.id, [Verdict("disk", 2, False, "no key slot opens")])
    assert (stages(keys, machine), given(store, machine)) == ({1: "current"}, [b"one"])
    found = state(keys, machine)
    assert (found.generations[0].proven, found.orders) == (None, Orders(True, 0))
    assert found.rotation and found.rotation.reason == "it does not open the volume"
    assert store.verify_audit().faults == ()


def test_what_could_not_be_tried_waits_on_and_says_why(keys: MachineKeys, machine: Machine) -> None:
    keys.escrow(machine.id, "disk", b"one")
    keys.judge(machine.id, [Verdict("disk", 1, None, "needs 1 GiB")])
    (each,) = state(keys, machine).generations
    assert (each.stage, each.verdict, each.proven) == ("next", "needs 1 GiB", None)


def test_the_same_handed_in_twice_is_one_generation(keys: MachineKeys, machine: Machine) -> None:
    first = keys.escrow(machine.id, "disk", b"one")
    assert keys.escrow(machine.id, "disk", b"one") == first
    proven(keys, machine, 1)
    assert keys.escrow(machine.id, "disk", b"one").version == 1
    assert stages(keys, machine) == {1: "current"}


def test_nothing_is_handed_in_over_one_that_is_not_gone(
    keys: MachineKeys, machine: Machine
) -> None:
    for version, value in ((1, b"one"), (2, b"two")):
        keys.escrow(machine.id, "disk", value)
        keys.judge(machine.id, [Verdict("disk", version, True, "")])
    with pytest.raises(Conflict, match="generation 1 is still on the volume"):
        keys.escrow(machine.id, "disk", b"three")


def test_an_operators_secret_is_the_first_generation(
    store: Store, keys: MachineKeys, machine: Machine
) -> None:
    store.put_secret(machine.id, "disk", PLAN.kind, PLAN.parameters, b"zero", OPERATOR)
    keys.escrow(machine.id, "disk", b"one")
    assert given(store, machine) == [b"zero"]
    proven(keys, machine, 2)
    assert (stages(keys, machine), given(store, machine)) == (
        {1: "previous", 2: "current"},
        [b"one"],
    )
    store.revoke_secret(machine.id, "disk", OPERATOR)
    assert stages(keys, machine) == {}
    store.restore_secret(machine.id, "disk", 1, OPERATOR)
    assert (stages(keys, machine), given(store, machine)) == ({1: "current"}, [b"zero"])


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (PASSWORD.replace(b"1-000011-000011-", b"1-000012-000011-", 1), "group 2 is mistyped"),
        (PASSWORD[:-1], "8 groups of 6 digits"),
        (b"", "8 groups"),
    ],
)
def test_a_mistyped_recovery_password_is_not_kept(
    store: Store, keys: MachineKeys, machine: Machine, value: bytes, fault: str
) -> None:
    with pytest.raises(FormatError, match=fault):
        keys.escrow(machine.id, "recovery", value)
    assert store.secrets(machine.id, history=True) == ()


def test_only_what_is_planned_is_taken(keys: MachineKeys, machine: Machine) -> None:
    with pytest.raises(NotFound, match="no plan for a key 'other'"):
        keys.escrow(machine.id, "other", b"x")
    keys.remove_plan(machine.id, "disk", OPERATOR)
    with pytest.raises(NotFound):
        keys.escrow(machine.id, "disk", b"x")


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        (KeyPlan("a", "file", {}), "'file' is not one of"),
        (KeyPlan("a", "luks-key", {"identifier": "x"}), "no parameter 'identifier'"),
        (KeyPlan("a", "luks-key", {}, -1), "rotate_days"),
        (KeyPlan("a" * 65, "luks-key", {}), "at most 64"),
    ],
)
def test_a_plan_that_is_none_is_refused(
    keys: MachineKeys, machine: Machine, plan: KeyPlan, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        keys.plan(machine.id, plan, OPERATOR)


def test_a_plan_is_not_of_another_kind_than_what_is_kept(
    store: Store, keys: MachineKeys, machine: Machine
) -> None:
    store.put_secret(machine.id, "key", "file", {"file": "k"}, b"x", OPERATOR)
    with pytest.raises(Conflict, match="is of kind file"):
        keys.plan(machine.id, KeyPlan("key", "luks-key", {}), OPERATOR)


def test_a_key_that_is_too_old_has_to_go(
    store: Store, keys: MachineKeys, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.escrow(machine.id, "disk", b"one")
    proven(keys, machine, 1)
    keys.look_at_ages(machine.id)
    assert state(keys, machine).rotation is None
    (each,) = state(keys, machine).generations
    later = each.created + timedelta(days=30)
    monkeypatch.setattr("pykexec.server.store.database.now", lambda: later)
    keys.look_at_ages(machine.id)
    found = state(keys, machine)
    assert found.rotation and found.rotation.reason == "older than 30 days"
    assert found.orders == Orders(True, 0)


def test_who_has_seen_a_key_is_known(keys: MachineKeys, machine: Machine) -> None:
    keys.escrow(machine.id, "disk", b"one")
    with pytest.raises(NotFound, match="nothing of 'disk'"):
        keys.reveal(machine.id, "disk", None, "operator:bob", "it is not in use yet")
    proven(keys, machine, 1)
    with pytest.raises(UsageError, match="say why"):
        keys.reveal(machine.id, "disk", None, "operator:bob", "  ")
    assert keys.revealed(machine.id) == ()
    keys.reveal(machine.id, "disk", 1, "operator:bob", "phone call 17", "Ada")
    keys.remove_plan(machine.id, "disk", OPERATOR)
    with pytest.raises(Conflict, match="its system could not replace it"):
        keys.reveal(machine.id, "disk", 1, "operator:bob", "phone call 18")
    (seen,) = keys.revealed(machine.id)
    assert (seen.name, seen.version, seen.actor, seen.person, seen.reason) == (
        ("disk", 1, "operator:bob", "Ada", "phone call 17")
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secrets SET stage = 'current' WHERE version = 1",
        "UPDATE key_generations SET proven = 1",
        "UPDATE key_generations SET verdict = 'fits'",
        "DELETE FROM key_generations",
        "UPDATE key_plans SET kind = 'luks-key'",
    ],
)
def test_nobody_but_the_program_says_what_a_generation_is(
    store: Store, keys: MachineKeys, machine: Machine, change: str
) -> None:
    keys.escrow(machine.id, "disk", b"one")
    tamper(store, change)
    with pytest.raises(Tampered):
        keys.states(machine.id)
    if "plans" not in change:
        with pytest.raises(Tampered):
            store.open_secrets(machine.id)
