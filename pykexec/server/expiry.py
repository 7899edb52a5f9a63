# SPDX-License-Identifier: Apache-2.0
"""What ends on a day, and refuses machines or persons from then on: told while there is time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Text, func, select, type_coerce

from pykexec.errors import FormatError
from pykexec.policy import PolicyError
from pykexec.policy.outdated import CODE, ends
from pykexec.server.release import parsed
from pykexec.server.store import audit, tables
from pykexec.server.store.memo import Memo
from pykexec.server.store.rollouts import Rollouts
from pykexec.server.store.store import Store
from pykexec.server.store.view import Reading, View
from pykexec.verify.certificates import load, parse_bundle

KINDS = ("certificate", "ek-root", "ek-certificate", "token", "policy")
"""Of what: a file's certificate, an authority of EKs, a machine's EK certificate, an API token,
what a policy allows although it is outdated."""
ANNOUNCED_DAYS = (30, 7, 1, 0)
"""Before something ends; 0: it has ended."""
ACTION = "expiry.soon"
_REMEMBERED_S = 300.0
_REMEMBERED = 64
_AT_ONCE = 50
_News = tuple[str, dict[str, object]]
_MACHINE = tables.machines.c


@dataclass(frozen=True, slots=True)
class Ending:
    """When something of KINDS ends, and what that means; a file that cannot be read has ended."""

    kind: str
    name: str
    ends: datetime
    text: str

    def days(self, now: datetime) -> int:
        """Whole days that are left; negative once it is over."""
        return (self.ends - now).days


class Expiry:
    """All that ends; certificates are files (PEM) that are read anew each time."""

    def __init__(self, store: Store, certificates: Iterable[Path]) -> None:
        self._store = store
        self._certificates = tuple(certificates)
        self._known = Memo[None, tuple[Ending, ...]](1, _REMEMBERED_S)

    def endings(self, now: datetime) -> tuple[Ending, ...]:
        """The soonest first."""
        found = [
            *self._of_files(now),
            *self._of_roots(),
            *self._of_machines(),
            *self._of_tokens(),
            *self._of_policies(),
        ]
        return tuple(sorted(found, key=lambda one: (one.ends, one.kind, one.name)))

    def gauges(self, now: datetime) -> Iterator[tuple[str, dict[str, str], float]]:
        """For /metrics, of some minutes ago: the soonest of each kind, who has what is outdated."""
        endings = self._known.get(None)
        if endings is None:
            endings = self._known.put(None, self.endings(now))
        for kind in KINDS:
            if mine := [one.ends for one in endings if one.kind == kind]:
                yield "pykexec_expiry_timestamp_seconds", {"kind": kind}, min(mine).timestamp()
        yield "pykexec_outdated_machines", {}, float(self._nr_outdated(None))

    def _nr_outdated(self, policy: str | None) -> int:
        return self._store.database.read(lambda found: _nr_outdated(found, policy))

    def _of_files(self, now: datetime) -> Iterator[Ending]:
        for path in self._certificates:
            try:
                bundle = parse_bundle(path.read_bytes(), str(path))
            except (OSError, FormatError) as error:
                yield Ending("certificate", str(path), now, f"cannot be read: {error}")
                continue
            for der in bundle:
                found = load(der)
                end, subject = found.not_valid_after_utc, found.subject.rfc4514_string()
                yield Ending("certificate", str(path), end, f"{subject} is trusted no more")

    def _of_roots(self) -> Iterator[Ending]:
        for root in self._store.ek_roots():
            end = load(root.certificate).not_valid_after_utc
            text = f"EK certificates by {root.subject} are refused"
            yield Ending("ek-root", root.sha256, end, text)

    def _of_machines(self) -> Iterator[Ending]:
        query = select(_MACHINE.name, _MACHINE.fingerprint, _MACHINE.certificate_info).where(
            _MACHINE.state == "enrolled", _MACHINE.enrolled_by == "certificate"
        )
        for row in self._store.database.read(lambda found: list(found.execute(query))):
            if isinstance(end := row.certificate_info.get("not_after"), str):
                text = f"{row.name or 'unnamed'} is refused: it was enrolled by this certificate"
                yield Ending("ek-certificate", row.fingerprint, datetime.fromisoformat(end), text)

    def _of_tokens(self) -> Iterator[Ending]:
        for token in self._store.tokens():
            if token.expires is not None and token.revoked is None:
                yield Ending("token", token.name, token.expires, "the API token counts no more")

    def _of_policies(self) -> Iterator[Ending]:
        rollouts = Rollouts(self._store.database, self._store.keys)
        for policy in self._store.policies():
            name, state = policy.name, rollouts.find(policy.name)
            count = self._nr_outdated(name)
            for version in sorted({state.live, *state.pins.values()}):
                try:
                    found = parsed(self._store.policy(name, version))
                except PolicyError:
                    continue  # It refuses all, and says so.
                for entry in found.outdated:
                    if (end := ends(entry)) is not None:
                        text = f"{entry.name} is refused; {count} machines have what is outdated"
                        yield Ending("policy", f"{name} version {version}", end, text)


def announce(store: Store, expiry: Expiry, now: datetime) -> int:
    """Put into the audit trail what ends within some days, once for each of ANNOUNCED_DAYS; how
    many entries that made. The trail itself knows what was said, by whichever server.
    """
    news = [entry for one in expiry.endings(now) if (entry := _news(one, now)) is not None]
    count = 0
    for start in range(0, len(news), _AT_ONCE):
        count += _say(store, news[start : start + _AT_ONCE])
    return count


def _say(store: Store, news: list[_News]) -> int:
    fresh = store.database.read(lambda found: _unsaid(Reading(found, store.keys), news))
    if not fresh:
        return 0
    with store.database.writing(store.keys) as tx:
        # Another server may have said it meanwhile.
        fresh = _unsaid(tx, fresh)
        for subject, detail in fresh:
            tx.chain.append(tx.now, "server", ACTION, subject, detail)
    return len(fresh)


def _news(one: Ending, now: datetime) -> _News | None:
    days = [each for each in ANNOUNCED_DAYS if one.days(now) < each]
    if not days:
        return None
    # To the day: a file that cannot be read has ended now, whenever that is.
    detail = {"ends": f"{one.ends:%Y-%m-%d}", "days": min(days), "text": one.text}
    return f"{one.kind}:{one.name}", detail


def _unsaid(view: View, news: Iterable[_News]) -> list[_News]:
    found = []
    for subject, detail in news:
        said = audit.entries(view, None, _REMEMBERED, None, ACTION, subject)
        if all(entry.detail != detail for entry in said):
            found.append((subject, detail))
    return found


def now() -> datetime:
    """As certificates see it."""
    return datetime.now(UTC)


def _nr_outdated(connection: Connection, policy: str | None) -> int:
    """Enrolled machines, of a policy or of all, whose last attestation had what is outdated."""
    said = type_coerce(_MACHINE.last_findings, Text).contains(f'["{CODE}"', autoescape=True)
    query = select(func.count()).where(_MACHINE.state == "enrolled", said)
    if policy is not None:
        query = query.where(_MACHINE.policy == policy)
    return connection.execute(query).scalar_one()
