# SPDX-License-Identifier: Apache-2.0
"""A rehearsal of break-glass says what is missing, each in words, and releases nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pykexec.server.people.provider import Provider
from pykexec.server.people.settings import PeopleSettings
from pykexec.server.rehearsal import LOGGED_IN_WITHIN, rehearse
from pykexec.server.store import database
from tests.support import oidc_provider
from tests.support.approvals import person
from tests.support.break_glass import TABLE, Offline
from tests.support.service_world import NOW, OPERATOR, World

AWAY = PeopleSettings("https://k.example", "http://127.0.0.1:9", "pykexec")


@pytest.fixture(autouse=True)
def time_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's time is the world's."""
    monkeypatch.setattr(database, "now", lambda: NOW)


def missing(world: World, offline: Offline, later: timedelta = timedelta()) -> dict[str, str]:
    """What is not as it should be; the login service is away in all of them."""
    machine = world.store.machine_by_id(offline.number)
    checks = rehearse(world.store, Provider(AWAY), machine, NOW + later)
    return {check.name: check.text for check in checks if not check.ok and check.name != "login"}


def log_in(offline: Offline, *subjects: str, groups: tuple[str, ...] = ("security",)) -> None:
    """At any boot that waits."""
    offline.take()
    for subject in subjects:
        offline.visit(person(subject, groups))


def test_everything_is_there_with_a_provider_that_answers(world: World) -> None:
    offline = Offline(world)
    log_in(offline, "anna", "bob")
    machine = world.store.machine_by_id(offline.number)
    with oidc_provider.running() as found:
        checks = rehearse(world.store, Provider(found.settings), machine, NOW)
    assert [(check.name, check.ok) for check in checks] == [
        (name, True) for name in ("policy", "registers", "secret", "login", "persons")
    ]
    assert "fits into an answer of 140 characters" in checks[2].text
    actions = [entry.action for entry in world.store.audit_entries(limit=50)]
    assert "break-glass.released" not in actions and "key.rotation-due" not in actions


def test_a_provider_that_is_away_or_missing_is_told(world: World) -> None:
    offline = Offline(world)
    machine = world.store.machine_by_id(offline.number)
    for provider, words in ((Provider(AWAY), "does not answer"), (None, "no login service")):
        checks = rehearse(world.store, provider, machine, NOW)
        assert [words in check.text for check in checks if check.name == "login"] == [True]


def test_one_who_may_is_not_enough_nor_two_who_may_not(world: World) -> None:
    offline = Offline(world)
    assert "nobody has logged in" in missing(world, offline)["persons"]
    log_in(offline, "anna")
    log_in(offline, "carl", groups=("cooks",))
    assert "anna has logged in" in missing(world, offline)["persons"]
    log_in(offline, "bob")
    assert missing(world, offline) == {}


def test_a_login_of_long_ago_does_not_count(world: World) -> None:
    offline = Offline(world)
    log_in(offline, "anna", "bob")
    later = LOGGED_IN_WITHIN + timedelta(seconds=1)
    assert "nobody has logged in" in missing(world, offline, later)["persons"]


def test_registers_that_nobody_knows_are_missing(world: World) -> None:
    offline = Offline(world, table="")
    offline.put(TABLE)
    assert "have it attest once" in missing(world, offline)["registers"]


def test_a_policy_that_refuses_what_it_took_is_told(world: World) -> None:
    offline = Offline(world)
    offline.put(TABLE, f'[payload]\nsha256 = ["{"ab" * 32}"]')
    assert "policy refuses today" in missing(world, offline)["registers"]


@pytest.mark.parametrize(
    ("value", "words"), [(None, "has no secret 'other'"), (bytes(64), "has room for")]
)
def test_a_secret_that_could_not_be_typed_is_told(
    world: World, value: bytes | None, words: str
) -> None:
    offline = Offline(world, TABLE.replace('"root"', '"other"'))
    if value:
        world.store.put_secret(offline.number, "other", "luks-key", {}, value, OPERATOR)
    assert words in missing(world, offline)["secret"]


@pytest.mark.parametrize("what", ["table", "policy", "machine"])
def test_without_a_policy_there_is_nothing_to_rehearse(world: World, what: str) -> None:
    offline = Offline(world)
    if what == "table":
        offline.put("")
    machine = world.store.machine_by_id(offline.number)
    if what == "policy":
        machine = replace(machine, policy=None)
    elif what == "machine":
        machine = replace(machine, state="refused")
    (check,) = rehearse(world.store, None, machine, NOW)
    words = {"table": "no [break_glass]", "policy": "no policy", "machine": "is refused"}
    assert not check.ok and words[what] in check.text
