# SPDX-License-Identifier: Apache-2.0
"""Boots that wait for persons, and persons whom nobody had to log in."""

from __future__ import annotations

from datetime import datetime, timedelta

from pykexec.attest.approval import PollRequest, poll_proof
from pykexec.attest.protocol import AttestReply, Challenge
from pykexec.server import persons
from pykexec.server.people.id_token import Person
from pykexec.server.service import Service, ServiceSettings
from pykexec.server.steps import complete
from pykexec.server.store.approvals import Visitor
from tests.support.service_world import ANY_IMAGE, NOW, OPERATOR, PEER, World

ADDRESS = "https://keys.example"
KEY_SET = '{"keys":[]}'


def person(subject: str = "anna", groups: tuple[str, ...] | None = ("key-holders",)) -> Person:
    """Somebody who has logged in now."""
    return Person(subject, f"{subject}@example.org", groups, "", ("pwd",), NOW, "a.b.c", KEY_SET)


class Waiting:
    """A machine of the world that waits for persons as [approval] of its policy, and rules, say."""

    def __init__(self, world: World, approval: str, rules: str = "") -> None:
        self.world = world
        world.service = Service(world.store, ServiceSettings(people=ADDRESS))
        self.desk = world.service.desk
        self.number = world.known()
        self.put(approval, rules)
        self.challenge: Challenge = world.challenge()
        self.reply = world.attest(self.challenge)

    def put(self, approval: str, rules: str = "") -> None:
        """A policy with that."""
        text = f"{ANY_IMAGE}[approval]\n{approval}\n{rules}\n"
        self.world.store.put_policy("any", text, OPERATOR)

    @property
    def reference(self) -> str:
        """Of what waits."""
        assert self.reply.pending
        return self.reply.pending.address.rpartition("/")[2]

    @property
    def request(self) -> PollRequest:
        """What the machine asks."""
        assert self.reply.pending
        ticket = self.reply.pending.ticket
        credential = self.world.machine.activate(self.challenge)
        return PollRequest(ticket, poll_proof(credential, self.challenge.nonce, ticket))

    def poll(self, later_s: float = 5, request: PollRequest | None = None) -> AttestReply:
        """Ask again."""
        now = NOW + timedelta(seconds=later_s)
        steps = self.world.service.poll(request or self.request, PEER, now)
        return complete(self.world.store, steps)

    def visit(self, who: Person | None = None) -> Visitor:
        """Somebody has logged in."""
        secret = self.desk.approvals.open_session(self.reference, who or person(), PEER)
        visitor = self.desk.approvals.visitor(self.reference, secret)
        assert visitor
        return visitor

    def decide(
        self,
        visitor: Visitor | None = None,
        *,
        refuses: bool = False,
        code: str | None = None,
        reason: str = "",
        now: datetime = NOW,
    ) -> str:
        """Somebody types the code, by default anna the right one."""
        assert self.reply.pending
        case = persons.look_up(self.world.store, self.desk, self.reference, now)
        typed = self.reply.pending.code if code is None else code
        visitor = visitor or self.visit()
        return persons.decide(self.desk, case, visitor, refuses, typed, reason, PEER, now)
