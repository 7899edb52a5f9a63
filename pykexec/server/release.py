# SPDX-License-Identifier: Apache-2.0
"""What a machine is to be given, sealed; and the policy that it is given it by."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import lru_cache

from pykexec.attest.p256 import Point
from pykexec.attest.protocol import Statement
from pykexec.attest.verdict import Verdict
from pykexec.policy import Policy, parse_policy
from pykexec.server.errors import NotFound
from pykexec.server.escrow import Escrow
from pykexec.server.keys.envelope import wipe
from pykexec.server.store.records import Counters, PolicyVersion, StoredSecret
from pykexec.server.store.store import Store
from pykexec.verify.answer import seal_answer
from pykexec.verify.release import PlainSecret, seal


def seal_secrets(
    store: Store,
    machine_id: int,
    statement: Statement,
    credential: bytes,
    nonce: bytes,
    counters: Counters,
    now: datetime,
) -> tuple[tuple[StoredSecret, ...], str | None]:
    """All its secrets, and that sealed to the statement's key and the credential, None if there are
    none; in clear they are gone when this returns. Who tries keys is given those that wait, too.
    """
    stages = ("current", "next") if statement.tries else ("current",)
    secrets = store.open_secrets(machine_id, *stages)
    with ExitStack() as stack:
        for _, value in secrets:
            stack.callback(wipe, value)
        stored = tuple(each for each, _ in secrets)
        beside = Escrow(store).beside(machine_id, stored, statement, counters, now)
        for extra in beside:
            stack.callback(wipe, extra.value)
        plain = [
            PlainSecret(
                each.name, each.kind, each.parameters, value, "try" if each.stage == "next" else ""
            )
            for each, value in secrets
        ]
        release = seal([*plain, *beside], statement.key, credential, nonce)
    return stored, release if secrets else None


def seal_one(
    store: Store, machine_id: int, name: str, key: Point, statement: bytes
) -> tuple[StoredSecret, bytes]:
    """The secret of that name, and an answer that has it sealed to key; NotFound, or FormatError
    where it is too long for one.
    """
    secrets = store.open_secrets(machine_id)
    with ExitStack() as stack:
        for _, value in secrets:
            stack.callback(wipe, value)
        for stored, value in secrets:
            if stored.name == name:
                plain = PlainSecret(stored.name, stored.kind, stored.parameters, value)
                return stored, seal_answer(plain, key, statement)
    raise NotFound(f"the machine has no secret {name!r}, which the policy's [break_glass] names")


def state_to_keep(
    version: PolicyVersion | None, verdict: Verdict, claims: Mapping[str, object]
) -> Mapping[str, object] | None:
    """What of an accepted boot is kept for a day without a network; None: nothing."""
    if version is None or not verdict.accepted or parsed(version).break_glass is None:
        return None
    return claims


def parsed(version: PolicyVersion) -> Policy:
    """It, read; PolicyError: what an earlier program took may say too little for this one."""
    return _parsed(version.name, version.version, version.text)


@lru_cache(maxsize=256)
def _parsed(name: str, version: int, text: str) -> Policy:
    return parse_policy(text.encode(), f"{name} version {version}")
