# SPDX-License-Identifier: Apache-2.0
"""Attester and service together: a TPM in software on one side, a real store on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pykexec.attest import decode, protocol
from pykexec.attest.approval import PollRequest
from pykexec.attest.client import Server, attest
from pykexec.attest.wait import wait
from pykexec.errors import DeniedError
from pykexec.server import approving
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.persons import decide, look_up
from pykexec.server.service import Service, ServiceSettings
from pykexec.server.steps import complete
from pykexec.server.store.store import Store
from pykexec.tpm.client import Tpm
from pykexec.verify.ek import Ek
from tests.support.approvals import ADDRESS, person
from tests.support.booted_tpm import Booted, booted_tpm
from tests.support.https_server import HANG_UP, Answer, https_server
from tests.support.samples_tls import certified

PEER = "192.0.2.7"
KEY = b"the key of the volume"
OPERATOR = "operator:test"
POLICY = 'version = 1\nname = "any"\nallow_any_image = true\n'


@dataclass(slots=True)
class World:
    """A machine, known and with a secret, and whom it asks; the next answers may get lost.

    persons is what they do when they are asked for the second time.
    """

    booted: Booted
    server: Server
    store: Store
    service: Service
    lost: int = 0
    persons: Callable[[str], object] = str
    polls: int = 0

    def reply(self, path: str, body: bytes) -> Answer | None:
        now = datetime.now(UTC)
        if path == protocol.CHALLENGES_PATH:
            asked = decode.parse_challenge_request(body)
            return Answer(200, self.service.challenge(asked, PEER, now).encode())
        if path == protocol.APPROVALS_PATH:
            return self.poll(decode.parse_poll_request(body), now)
        reply = self.service.attest(decode.parse_attest_request(body), PEER, now)
        self.lost -= 1
        return HANG_UP if self.lost >= 0 else Answer(200, reply.encode())

    def poll(self, request: PollRequest, now: datetime) -> Answer | None:
        self.polls += 1
        if self.polls == 1:
            return HANG_UP
        reply = complete(self.store, self.service.poll(request, PEER, now))
        if self.polls == 2:
            assert reply.pending
            self.persons(reply.pending.address.rpartition("/")[2])
        return Answer(200, reply.encode())

    def decide(self, reference: str, refuses: bool) -> None:
        """Somebody logs in, and decides."""
        desk, now = self.service.desk, datetime.now(UTC)
        secret = desk.approvals.open_session(reference, person(), PEER)
        visitor = desk.approvals.visitor(reference, secret)
        assert visitor
        case = look_up(self.store, desk, reference, now)
        decide(desk, case, visitor, refuses, desk.codes.code(reference), "", PEER, now)


@pytest.fixture(name="world")
def world_fixture(tmp_path: Path) -> Iterator[World]:
    tls = certified(tmp_path / "tls")
    url = f"sqlite:///{tmp_path}/store.db"
    with (
        booted_tpm(tmp_path / "tpm") as booted,
        Store.open(url, LocalMasterKey(b"m" * 32), migrate=True) as store,
    ):
        with Tpm(booted.transmit) as tpm:
            best = tpm.best_ek()
        store.put_policy("any", POLICY, OPERATOR)
        machine = store.add_machine(Ek(best.public, best.kind), OPERATOR, policy="any")
        store.put_secret(machine.id, "root", "luks-key", {"file": "k"}, KEY, OPERATOR)
        world = World(booted, Server("", tls.authority.read_text()), store, Service(store))
        with https_server(tls, world.reply) as server:
            world.server = Server(server.address, tls.authority.read_text(), timeout_s=20)
            yield world


@pytest.fixture(name="tpm")
def tpm_fixture(world: World) -> Iterator[Tpm]:
    with Tpm(world.booted.transmit) as tpm:
        yield tpm


def test_a_known_machine_opens_its_secret_once(world: World, tpm: Tpm) -> None:
    booted = world.booted
    with (
        attest(world.server, tpm, booted.facts) as answer,
        answer.open_release(lambda: booted.spend(tpm)) as release,
    ):
        (secret,) = release.secrets
        assert (secret.name, bytes(secret.value.view)) == ("root", KEY)
    with (
        attest(world.server, tpm, booted.facts) as again,
        pytest.raises(DeniedError, match=r"release\."),
    ):
        again.check()


def test_a_release_that_was_lost_is_had_by_the_same_request(world: World, tpm: Tpm) -> None:
    world.lost = 1
    with (
        attest(world.server, tpm, world.booted.facts) as answer,
        answer.open_release(lambda: None) as release,
    ):
        assert bytes(release.secrets[0].value.view) == KEY
    assert len(world.store.audit_entries(action="attestation.released")) == 1
    assert len(world.store.audit_entries(action="attestation.repeated")) == 1


def test_a_release_that_was_lost_twice_is_lost(world: World, tpm: Tpm) -> None:
    world.lost = 2
    with attest(world.server, tpm, world.booted.facts) as answer:
        with pytest.raises(DeniedError, match=r"release\.again"):
            answer.open_release(lambda: None)
        assert answer.reply.release is None


def test_a_refusal_that_was_lost_is_had_by_a_new_request(world: World, tpm: Tpm) -> None:
    (machine,) = world.store.machines().items
    world.store.refuse(machine.id, OPERATOR)
    world.lost = 1
    with (
        attest(world.server, tpm, world.booted.facts) as answer,
        pytest.raises(DeniedError, match=r"machine\.refused"),
    ):
        answer.check()


def test_a_retired_machine_is_told_so(world: World, tpm: Tpm) -> None:
    (machine,) = world.store.machines().items
    world.store.retire(machine.id, OPERATOR, "sold")
    with (
        attest(world.server, tpm, world.booted.facts) as answer,
        pytest.raises(DeniedError, match=r"machine\.retired: the machine is retired"),
    ):
        answer.check()


@pytest.fixture(name="waiting")
def waiting_fixture(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, where a person has to approve; the first poll is not answered."""
    monkeypatch.setattr(approving, "INTERVAL_S", 1)
    world.service = Service(world.store, ServiceSettings(people=ADDRESS))
    world.store.put_policy("any", f"{POLICY}[approval]\ncount = 1\n", OPERATOR)
    return world


def test_a_machine_waits_until_a_person_has_approved(waiting: World, tpm: Tpm) -> None:
    booted = waiting.booted
    waiting.persons = lambda reference: waiting.decide(reference, refuses=False)
    with attest(waiting.server, tpm, booted.facts) as answer:
        assert answer.reply.pending
        wait(waiting.server, answer, 60)
        assert waiting.polls == 3
        with answer.open_release(lambda: booted.spend(tpm)) as release:
            (secret,) = release.secrets
            assert (secret.name, bytes(secret.value.view)) == ("root", KEY)


def test_a_machine_hears_that_a_person_has_refused(waiting: World, tpm: Tpm) -> None:
    waiting.persons = lambda reference: waiting.decide(reference, refuses=True)
    with attest(waiting.server, tpm, waiting.booted.facts) as answer:
        wait(waiting.server, answer, 60)
        with pytest.raises(DeniedError, match=r"approval\.refused: a person has refused"):
            answer.check()


def test_a_machine_waits_no_longer_than_it_is_told(waiting: World, tpm: Tpm) -> None:
    with attest(waiting.server, tpm, waiting.booted.facts) as answer:
        wait(waiting.server, answer, 0)
        assert waiting.polls == 0
        with pytest.raises(DeniedError, match=r"approval\.pending"):
            answer.check()
