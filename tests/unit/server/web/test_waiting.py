# SPDX-License-Identifier: Apache-2.0
"""The operators' page of boots that wait for persons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.attest.protocol import Pending
from pykexec.server import persons
from pykexec.server.break_glass import Glass
from pykexec.server.canonical import now
from pykexec.server.people.settings import PeopleSettings
from tests.support.approvals import person
from tests.support.attest_machine import Machine
from tests.support.break_glass import TABLE
from tests.support.offers import offer, real_ak
from tests.support.server_world import ACTOR, ANY_IMAGE, KEY, World, world

HOSTILE = "<script>alert(1)</script>"
PEOPLE = PeopleSettings("https://keys.example", "https://login.example", "pykexec")
DEMAND = '[approval]\ncount = 2\ngroups = ["key-holders", "security"]\n'


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, people=PEOPLE) as found:
        yield found


def wait(server: World, name: str = "machine") -> Pending:
    """A machine of that name waits."""
    machine = real_ak(Machine(name))
    server.store.put_policy("any", ANY_IMAGE, ACTOR)
    server.attest(machine)
    server.store.set_name(server.known(machine).id, name, ACTOR)
    server.store.set_tags(server.known(machine).id, {"site": "north"}, ACTOR)
    server.store.put_policy("any", ANY_IMAGE + DEMAND, ACTOR)
    machine.reboot()
    _, reply = server.attest(machine)
    assert reply.pending
    return reply.pending


def test_who_is_on_duty_sees_what_waits_for_whom_and_how_long(server: World) -> None:
    pending = wait(server)
    server.sign_in("viewer")
    text = server.client.get("/waiting").text
    for words in ("machine", "site=north", "2 persons approve", "key-holders or security"):
        assert words in text
    assert "nobody has approved" in text and "9 min" in text
    assert pending.address.rpartition("/")[2] in text
    assert pending.code not in text


def test_who_has_approved_by_now_is_named(server: World) -> None:
    pending = wait(server)
    desk, reference = server.web.service.desk, pending.address.rpartition("/")[2]
    secret = desk.approvals.open_session(reference, person("anna"), "192.0.2.9")
    visitor = desk.approvals.visitor(reference, secret)
    assert visitor
    time = now()
    case = persons.look_up(server.store, desk, reference, time)
    persons.decide(desk, case, visitor, False, pending.code, "", "192.0.2.9", time)
    server.sign_in("viewer")
    assert "anna@example.org" in server.client.get("/waiting").text


def test_what_is_over_waits_no_more(server: World) -> None:
    pending = wait(server)
    known = server.store.machines(search="machine").items[0]
    server.sign_in("viewer")
    assert pending.address.rpartition("/")[2] in server.client.get("/waiting").text
    server.store.refuse(known.id, ACTOR)
    assert "No boot is waiting" in server.client.get("/waiting").text


def test_a_machine_without_a_network_is_marked(server: World) -> None:
    machine = real_ak(Machine())
    server.store.put_policy("any", ANY_IMAGE + TABLE, ACTOR)
    server.attest(machine)
    server.store.put_secret(server.known(machine).id, "root", "luks-key", {}, KEY, ACTOR)
    machine.reboot()
    glass = Glass(server.store, server.web.service.desk)
    glass.take(offer(machine), "192.0.2.9", now())
    server.sign_in("viewer")
    assert "no network" in server.client.get("/waiting").text


def test_names_are_no_markup(server: World) -> None:
    wait(server, HOSTILE)
    server.sign_in("viewer")
    assert HOSTILE not in server.client.get("/waiting").text


def test_only_who_has_logged_in_sees_it(server: World) -> None:
    pending = wait(server)
    server.client.cookies.clear()
    answer = server.client.get("/waiting")
    assert answer.status == 303 and pending.address.rpartition("/")[2] not in answer.text
