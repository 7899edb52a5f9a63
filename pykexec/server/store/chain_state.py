# SPDX-License-Identifier: Apache-2.0
"""What the audit chain says that the tables must hold: rows that were deleted, or brought back as
they were, carry good seals; the chain alone knows that they are not the last ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from pykexec.server.store import tables
from pykexec.server.store.account_tables import security_keys
from pykexec.server.store.quarantine_tables import quarantine
from pykexec.server.store.rollout_tables import rollouts
from pykexec.server.store.view import View
from pykexec.server.store.webhook_tables import webhooks

_MACHINE, _POLICY, _TOKEN, _WEBHOOK = "machine:", "policy:", "token:", "webhook:"
_GONE = "gone"
_BOOT = ("attestation.released", "attestation.accepted")


@dataclass(slots=True)
class _Machine:
    """releases is a sum over the boots, in whatever order they come."""

    state: str = ""
    nr_releases: int = 0
    releases: int = 0
    newest: tuple[int, int] | None = None

    def release(self, boot: tuple[int, int]) -> None:
        """One more boot that was given secrets."""
        digest = hashlib.blake2b(b"%d %d" % boot, digest_size=8).digest()
        self.nr_releases += 1
        self.releases += int.from_bytes(digest, "big")


class ChainState:
    """Follows the chain entry by entry, and compares in the end."""

    def __init__(self) -> None:
        self._machines: dict[str, _Machine] = {}
        self._policies: dict[str, tuple[int, str]] = {}
        self._tokens: set[str] = set()
        self._webhooks: set[str] = set()
        self._quarantine: set[str] = set()
        self._rollouts: dict[str, object] = {}
        self._keys: set[tuple[str, str]] = set()

    def take(self, subject: str, action: str, detail: Mapping[str, Any]) -> None:
        """The next entry; IndexError, KeyError, TypeError or ValueError for a detail that the
        action does not have.
        """
        if action == "quarantine.put":
            self._quarantine.add(subject)
        elif action == "quarantine.lift":
            self._quarantine.discard(subject)
        elif subject.startswith(_MACHINE):
            self._take_machine(subject.removeprefix(_MACHINE), action, detail)
        elif action == "policy.rollout":
            self._rollouts[subject.removeprefix(_POLICY)] = detail["state"]
        elif action == "policy.put":
            name = subject.removeprefix(_POLICY)
            self._policies[name] = (int(detail["version"]), str(detail["sha256"]))
        elif action == "token.create":
            self._tokens.add(subject.removeprefix(_TOKEN))
        elif action == "token.revoke":
            self._tokens.discard(subject.removeprefix(_TOKEN))
        elif action == "webhook.add":
            self._webhooks.add(subject.removeprefix(_WEBHOOK))
        elif action == "webhook.remove":
            self._webhooks.discard(subject.removeprefix(_WEBHOOK))
        elif action == "operator.key-add":
            self._keys.add((subject, str(detail["key"])))
        elif action == "operator.key-remove":
            self._keys.discard((subject, str(detail["key"])))

    def _take_machine(self, fingerprint: str, action: str, detail: Mapping[str, Any]) -> None:
        machine = self._machines.setdefault(fingerprint, _Machine())
        if action == "machine.evict":
            machine.state = _GONE
        elif action == "machine.forget-boots":
            machine.nr_releases, machine.releases, machine.newest = 0, 0, None
        elif action.startswith("machine."):
            state = detail.get("state")
            machine.state = state if isinstance(state, str) else machine.state
        elif action in _BOOT and (found := detail.get("boot")):
            boot = (int(found[0]), int(found[1]))
            machine.newest = max(machine.newest or boot, boot)
            if action == "attestation.released":
                machine.release(boot)

    def faults(self, view: View) -> Iterator[str]:
        """What the tables lack or have too much; view is as old as the last entry."""
        yield from self._policy_faults(view)
        yield from self._machine_faults(view)
        table = tables.tokens.c
        rows = view.connection.execute(select(table.name).where(table.revoked.is_(None)))
        for name in sorted(set(rows.scalars()) - self._tokens):
            yield f"token {name!r} counts, but was revoked or never made"
        kept = set(view.connection.execute(select(quarantine.c.target)).scalars())
        for target in sorted(kept ^ self._quarantine):
            was = "was lifted or never made" if target in kept else "was not lifted"
            yield f"the quarantine of {target} {was}"
        kept = set(view.connection.execute(select(webhooks.c.name)).scalars())
        for name in sorted(kept ^ self._webhooks):
            was = "was removed or never made" if name in kept else "is missing"
            yield f"webhook {name!r} {was}"
        keys = security_keys.c
        kept = {(a, k) for a, k in view.connection.execute(select(keys.actor, keys.reference))}
        for actor, key in sorted(self._keys ^ kept):
            what = "was removed or never made" if (actor, key) in kept else "is missing"
            yield f"security key {key} of {actor} {what}"

    def _policy_faults(self, view: View) -> Iterator[str]:
        table = tables.policies.c
        query = select(table.name, func.max(table.version)).group_by(table.name)
        found = {name: version for name, version in view.connection.execute(query)}
        for name, (version, _) in sorted(self._policies.items()):
            if found.get(name) != version:
                yield f"policy {name!r}: the newest version is {found.get(name)}, not {version}"
        columns = select(rollouts.c.name, rollouts.c.value)
        kept = {name: value for name, value in view.connection.execute(columns)}
        for name in sorted(kept.keys() | self._rollouts.keys()):
            if kept.get(name) != self._rollouts.get(name):
                yield f"policy {name!r}: which version counts is not as it was left"

    def _machine_faults(self, view: View) -> Iterator[str]:
        table, releases = tables.machines.c, tables.releases.c
        kept: dict[int, _Machine] = {}
        boots = select(releases.machine_id, releases.reset_count, releases.restart_count)
        for number, resets, restarts in view.connection.execute(boots):
            kept.setdefault(number, _Machine()).release((resets, restarts))
        columns = (table.id, table.fingerprint, table.state, table.reset_count, table.restart_count)
        rows = {row.fingerprint: row for row in view.connection.execute(select(*columns))}
        for fingerprint, expected in self._machines.items():
            name = f"machine {fingerprint[:16]}"
            if (row := rows.get(fingerprint)) is None:
                if expected.state != _GONE:
                    yield f"{name} is missing"
                continue
            if expected.state and row.state != expected.state:
                yield f"{name} is {row.state}, but was left {expected.state}"
            found = kept.get(row.id, _Machine())
            if (found.nr_releases, found.releases) != (expected.nr_releases, expected.releases):
                yield f"{name}: its releases are not those that were made"
            boot = None if row.reset_count is None else (row.reset_count, row.restart_count)
            if expected.newest is not None and (boot is None or boot < expected.newest):
                yield f"{name}: its counters were set back"
