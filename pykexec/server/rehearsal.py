# SPDX-License-Identifier: Apache-2.0
"""Whether break-glass would work for a machine today, as far as that shows without releasing.

Everything is done as on the day itself but for two things: nobody is asked, and the answer is for a
key that is made here and thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pykexec.attest.answer import Typed, open_answer
from pykexec.attest.break_glass import statement_for
from pykexec.attest.groups import to_groups
from pykexec.crypto import ecdh_generate
from pykexec.errors import FormatError
from pykexec.policy import Context, Policy, PolicyError, appraise
from pykexec.policy.approval import enough, group_fault
from pykexec.policy.clause import either
from pykexec.policy.model import BreakGlassDemand
from pykexec.server.canonical import to_ms
from pykexec.server.errors import NotFound
from pykexec.server.people.provider import Provider, ProviderDown
from pykexec.server.release import parsed, seal_one
from pykexec.server.store import last_accepted
from pykexec.server.store.records import BREAK_GLASS_CLAIM, Machine
from pykexec.server.store.store import Store
from pykexec.server.store.view import Reading

LOGGED_IN_WITHIN = timedelta(days=90)
"""So long somebody who has logged in is taken for one who can."""
_LOGINS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be so; text says what is, or what is missing."""

    name: str
    ok: bool
    text: str


def rehearse(
    store: Store, provider: Provider | None, machine: Machine, now: datetime
) -> tuple[Check, ...]:
    """All checks; after one without which the others mean nothing there are no more."""
    found = _policy(store, machine)
    if isinstance(found, Check):
        return (found,)
    policy, demand = found
    return (
        Check("policy", True, f"{policy.name} allows it, for the secret {demand.secret}"),
        _registers(store, machine, policy, now),
        _secret(store, machine, demand),
        _provider(provider),
        _persons(store, demand, now),
    )


def _policy(store: Store, machine: Machine) -> tuple[Policy, BreakGlassDemand] | Check:
    if machine.state != "enrolled":
        return Check("policy", False, f"the machine is {machine.state}")
    if machine.policy is None:
        return Check("policy", False, "no policy was chosen for the machine")
    try:
        policy = parsed(store.policy(machine.policy, machine.policy_version))
    except (NotFound, PolicyError) as error:
        return Check("policy", False, str(error))
    if policy.break_glass is None:
        return Check("policy", False, f"{policy.name} has no [break_glass]")
    return policy, policy.break_glass


def _registers(store: Store, machine: Machine, policy: Policy, now: datetime) -> Check:
    known = store.database.read(
        lambda connection: last_accepted.of_machine(Reading(connection, store.keys), machine.id)
    )
    if known is None:
        text = "nothing is known: it has not been accepted since its policy has [break_glass]"
        return Check("registers", False, f"{text}; have it attest once")
    claims = {**known.claims, BREAK_GLASS_CLAIM: {"accepted_ms": to_ms(known.time)}}
    context = Context(now, "", machine.name, tuple(machine.tags), machine.tags)
    faults = [each for each in appraise(claims, policy, context) if each.refuses]
    if faults:
        text = "; ".join(map(str, faults))
        return Check("registers", False, f"its policy refuses today what it accepted last: {text}")
    return Check("registers", True, f"the same in every accepted boot since {known.time:%F %R} UTC")


def _secret(store: Store, machine: Machine, demand: BreakGlassDemand) -> Check:
    key = ecdh_generate("P-256")
    statement = statement_for((key.x, key.y), {}, {})
    try:
        _, data = seal_one(store, machine.id, demand.secret, (key.x, key.y), statement)
        typed, groups = Typed(), to_groups(data)
        faults = [fault for group in groups if (fault := typed.take(group))]
        with open_answer(typed.data(), key, statement).value:
            pass
    except (NotFound, FormatError) as error:
        return Check("secret", False, str(error))
    if faults:
        return Check("secret", False, "; ".join(faults))
    length = sum(map(len, groups))
    return Check("secret", True, f"fits into an answer of {length} characters, which opens")


def _provider(provider: Provider | None) -> Check:
    if provider is None:
        return Check("login", False, "this server has no login service (serve --people)")
    try:
        provider.reach()
    except ProviderDown as error:
        return Check("login", False, str(error))
    return Check("login", True, f"{provider.settings.issuer} answers")


def _persons(store: Store, demand: BreakGlassDemand, now: datetime) -> Check:
    """Who may is known to the login service alone: what counts is who has logged in of late."""
    persons = demand.persons
    able = dict(_logged_in(store, now))
    able = {name: groups for name, groups in able.items() if not group_fault(persons, groups)}
    names = ", ".join(sorted(able)) or "nobody"
    since = f"of {either(persons.groups)} within {LOGGED_IN_WITHIN.days} days"
    # Few enough are tried for each to be given a group of their own.
    if not enough(persons, list(able.values())[:_TRIED_MAX]):
        text = f"{names} has logged in here {since}, {persons.count} have to be able to"
        return Check("persons", False, f"{text}: have them look at any boot that waits")
    return Check("persons", True, f"{names} have logged in here {since}")


_TRIED_MAX = 8


def _logged_in(store: Store, now: datetime) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Subjects with their groups, the newest login last."""
    entries = store.audit_entries(action="approval.login", limit=_LOGINS_MAX)
    for entry in reversed(entries):
        groups = entry.detail.get("groups")
        if entry.time >= now - LOGGED_IN_WITHIN and isinstance(groups, list):
            yield entry.actor.removeprefix("person:"), tuple(map(str, groups))
