# SPDX-License-Identifier: Apache-2.0
"""A machine of the service world that has been accepted before, and has no network now."""

from __future__ import annotations

from datetime import datetime

from pykexec.attest.answer import Typed, open_answer
from pykexec.attest.break_glass import Offer
from pykexec.attest.decode import parse_statement
from pykexec.crypto import EcdhKey
from pykexec.secret import Secret
from pykexec.server import persons
from pykexec.server.break_glass import Glass
from pykexec.server.people.id_token import Person
from pykexec.server.service import Service, ServiceSettings
from pykexec.server.store.approvals import Visitor
from tests.support.approvals import ADDRESS, person
from tests.support.attest_machine import Machine
from tests.support.offers import offer, real_ak
from tests.support.service_world import ANY_IMAGE, NOW, OPERATOR, PEER, World

GROUPS = ("key-holders", "security")
TABLE = '[break_glass]\nsecret = "root"\ngroups = ["key-holders", "security"]\n'


class SimulatedKey:
    """The machine's ephemeral key, as the agent has it."""

    def __init__(self, machine: Machine) -> None:
        self._key = machine.ephemeral

    def derive(self, x: bytes, y: bytes) -> Secret:
        """As pykexec.crypto.EcdhKey does it."""
        from cryptography.hazmat.primitives.asymmetric import ec

        from pykexec.verify.release import ephemeral_key

        shared = self._key.exchange(ec.ECDH(), ephemeral_key(x, y))
        secret = Secret(len(shared))
        secret.view[:] = shared
        return secret


class Offline:
    """The machine has attested once by a policy with [break_glass], was started anew, and shows
    an offer.
    """

    def __init__(self, world: World, table: str = TABLE, more: str = "") -> None:
        self.world = world
        real_ak(world.machine)
        world.service = Service(world.store, ServiceSettings(people=ADDRESS))
        self.desk = world.service.desk
        self.glass = Glass(world.store, self.desk)
        self.put(table, more)
        self.number = world.known()
        self.offer = offer(world.machine)

    def put(self, table: str, more: str = "") -> None:
        """A policy with that."""
        self.world.store.put_policy("any", f"{ANY_IMAGE}{table}\n{more}\n", OPERATOR)

    def take(self, shown: Offer | None = None, now: datetime = NOW) -> str:
        """Somebody brings the offer."""
        return self.glass.take(shown or self.offer, PEER, now)

    def case(self, now: datetime = NOW) -> persons.Case:
        """What waits."""
        return persons.look_up(self.world.store, self.desk, self.offer.reference, now)

    def visit(self, who: Person) -> Visitor:
        """Somebody has logged in."""
        secret = self.desk.approvals.open_session(self.offer.reference, who, PEER)
        visitor = self.desk.approvals.visitor(self.offer.reference, secret)
        assert visitor
        return visitor

    def approve(self, *subjects: str, code: str = "", reason: str = "no network") -> None:
        """One after the other."""
        for subject in subjects:
            visitor, typed = self.visit(person(subject, GROUPS)), code or self.offer.code
            persons.decide(self.desk, self.case(), visitor, False, typed, reason, PEER, NOW)

    def answer(self, now: datetime = NOW) -> tuple[str, ...]:
        """What is typed."""
        return self.glass.answer(self.offer.reference, PEER, now)

    def opened(self, groups: tuple[str, ...], statement: bytes) -> bytes:
        """What the machine makes of it."""
        typed = Typed()
        assert typed.take(" ".join(groups)) == ""
        assert parse_statement(statement).key == self.offer.key
        key: EcdhKey = SimulatedKey(self.world.machine)  # type: ignore[assignment]
        with open_answer(typed.data(), key, statement).value as value:
            return bytes(value.view)
