# SPDX-License-Identifier: Apache-2.0
"""Without a network windows, rates and quarantine count too, an address does not."""

from __future__ import annotations

import pytest

from pykexec.server.persons import NotCounted
from pykexec.server.store import database, release_rates
from pykexec.server.store.quarantine import Quarantine
from tests.support.break_glass import TABLE, Offline
from tests.support.offers import offer
from tests.support.service_world import NOW, OPERATOR, World

WINDOW = """
[[windows]]
name = "maintenance"
zone = "Europe/Berlin"
days = ["{day}"]
from = "00:00"
to = "24:00"
"""


@pytest.fixture(autouse=True)
def time_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's time is the world's."""
    monkeypatch.setattr(database, "now", lambda: NOW)


def test_a_machine_in_quarantine_is_not_helped(world: World) -> None:
    offline = Offline(world)
    offline.take()
    offline.approve("anna", "bob")
    quarantine = Quarantine(world.store.database, world.store.keys)
    machine = world.store.machine_by_id(offline.number)
    quarantine.put(f"machine:{machine.fingerprint}", "seen to talk", OPERATOR)
    with pytest.raises(NotCounted, match="in quarantine by now"):
        offline.answer()
    world.machine.reboot()
    with pytest.raises(NotCounted, match="the machine is in quarantine"):
        offline.take(offer(world.machine))


def test_windows_count_without_a_network_too(world: World) -> None:
    offline = Offline(world)
    offline.put(TABLE, WINDOW.format(day="mon"))  # Now is a Sunday.
    with pytest.raises(NotCounted, match="no window is open"):
        offline.take()
    offline.put(TABLE, WINDOW.format(day="sun"))
    assert offline.take()


def test_an_address_is_not_asked_for_where_there_is_no_network(world: World) -> None:
    offline = Offline(world)
    offline.put(TABLE, '[networks]\nnorth = ["10.1.0.0/16"]\n[origin]\nnetworks = ["north"]\n')
    assert offline.take()
    offline.approve("anna", "bob")
    assert offline.answer()


def test_a_rate_counts_what_persons_have_given(world: World) -> None:
    offline = Offline(world)
    offline.put(TABLE, '[[rates]]\nname = "few"\ncount = 1\nwithin_s = 3600\n')
    offline.take()
    offline.approve("anna", "bob")
    offline.answer()
    world.machine.reboot()
    with pytest.raises(NotCounted, match="few: 1 releases in 1 h, 1 may be"):
        offline.take(offer(world.machine))


def test_a_rate_that_was_used_up_meanwhile_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = Offline(world)
    offline.put(TABLE, '[[rates]]\nname = "few"\ncount = 1\nwithin_s = 3600\n')
    offline.take()
    offline.approve("anna", "bob")
    offline.answer()
    world.machine.reboot()
    offline.offer = offer(world.machine)
    # As who has looked before the other release was written.
    monkeypatch.setattr(release_rates, "counts", lambda *_: {})
    offline.take()
    offline.approve("anna", "bob")
    with pytest.raises(NotCounted, match="nothing was given: few: 1 releases in 1 h"):
        offline.answer()
