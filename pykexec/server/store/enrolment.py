# SPDX-License-Identifier: Apache-2.0
"""How machines become known: by EK certificate, by a list of EK hashes, or at first sight."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from cryptography import x509
from sqlalchemy import Row, delete, func, insert, select

from pykexec.errors import UsageError
from pykexec.server.errors import EnrolmentRefused, NotFound
from pykexec.server.keys.keys import Keys
from pykexec.server.store import machines, tables, waiting
from pykexec.server.store.database import Writing
from pykexec.server.store.records import (
    EVIDENCE_KEPT,
    EkHash,
    EkRoot,
    Machine,
    Page,
    Settings,
)
from pykexec.server.store.view import View
from pykexec.verify.certificates import load
from pykexec.verify.ek import VerifiedEk
from pykexec.verify.unreadable import UNREADABLE

DAYS_MAX = 36_500
_SHA256 = frozenset("0123456789abcdef")


def get_settings(view: View) -> Settings:
    """What was set, or the defaults."""
    row = view.connection.execute(select(tables.settings)).one_or_none()
    if row is None:
        return Settings()
    view.keys.check(row.seal, "settings", row.value)
    return Settings(**row.value)


def set_settings(tx: Writing, settings: Settings, actor: str) -> None:
    """Replace them; UsageError for values that mean nothing."""
    if settings.keep_evidence not in EVIDENCE_KEPT:
        raise UsageError(f"keep_evidence must be one of {', '.join(EVIDENCE_KEPT)}")
    if settings.pending_max < 0:
        raise UsageError("pending_max must not be negative")
    if not all(0 <= days <= DAYS_MAX for days in (settings.keep_days, settings.destroy_days)):
        raise UsageError(f"keep_days and destroy_days must be from 0 to {DAYS_MAX}")
    machines.check_policy(tx, settings.default_policy)
    value = asdict(settings)
    tx.connection.execute(delete(tables.settings))
    row = {"id": 1, "value": value, "seal": tx.keys.seal("settings", value)}
    tx.connection.execute(insert(tables.settings), row)
    tx.chain.append(tx.now, actor, "settings.set", "settings", value)


def settled(view: View, candidate: VerifiedEk) -> Machine | None:
    """The machine, if enrol() would change nothing."""
    machine = machines.find(view, candidate.ek.fingerprint)
    if machine is None or machine.state != "pending":
        return machine
    if candidate.vouched or _listed_row(view, candidate) is not None:
        return None
    return machine


def enrol(tx: Writing, candidate: VerifiedEk, peer: str = "") -> Machine:
    """Apply the settings' rules to what is proven, and to nothing else; EnrolmentRefused when none
    takes the candidate. peer is the address that it came from, and decides who may wait.
    """
    machine = machines.find(tx, candidate.ek.fingerprint)
    if machine is not None and machine.state != "pending":
        return machine
    settings = get_settings(tx)
    listed = _listed(tx, candidate) if settings.hashes else None
    if listed is not None:
        way = "hash"
        _use_up(tx, listed, candidate.ek.fingerprint)
    elif settings.certificate and candidate.vouched:
        way = "certificate"
    elif machine is not None:
        return machine
    else:
        return _at_first_sight(tx, settings, candidate, waiting.network_of(peer))
    known = listed or EkHash("")
    policy = known.policy or settings.default_policy
    if machine is None:
        return machines.add(
            tx, candidate.ek, "enrolled", way, machines.SERVER, known.name, policy, known.tags
        )
    values: dict[str, object] = {"state": "enrolled", "enrolled_by": way}
    # What an operator has said while it was pending stays.
    said = {"name": machine.name, "policy": machine.policy, "tags": machine.tags}
    offered = {"name": known.name, "policy": policy, "tags": dict(known.tags)}
    values.update({key: offered[key] for key in said if not said[key] and offered[key]})
    return machines.change(tx, machine.id, machines.SERVER, "machine.enrol", values)


def add_hashes(tx: Writing, hashes: Iterable[EkHash], actor: str) -> int:
    """Add or replace; UsageError for what is no hash."""
    table = tables.ek_hashes
    count = 0
    for item in hashes:
        if len(item.sha256) != 64 or not _SHA256.issuperset(item.sha256):
            raise UsageError(f"{item.sha256[:80]!r} is not a SHA-256 in lower-case hex")
        machines.check_policy(tx, item.policy)
        tx.connection.execute(delete(table).where(table.c.sha256 == item.sha256))
        row = {
            "sha256": item.sha256,
            "name": item.name,
            "tags": dict(item.tags),
            "policy": item.policy,
        }
        seal = tx.keys.seal("ek_hashes", *row.values())
        tx.connection.execute(insert(table), {**row, "seal": seal})
        detail = {key: value for key, value in row.items() if key != "sha256" and value}
        tx.chain.append(tx.now, actor, "ek-hash.add", f"ek-hash:{item.sha256}", detail)
        count += 1
    return count


def known_hash(view: View, sha256: str) -> EkHash | None:
    """The entry of the list."""
    query = select(tables.ek_hashes).where(tables.ek_hashes.c.sha256 == sha256)
    row = view.connection.execute(query).one_or_none()
    return None if row is None else _hash(row, view.keys)


def remove_hash(tx: Writing, sha256: str, actor: str) -> None:
    """NotFound when it is not on the list."""
    table = tables.ek_hashes
    if not tx.connection.execute(delete(table).where(table.c.sha256 == sha256)).rowcount:
        raise NotFound(f"{sha256} is not on the list of EK hashes")
    tx.chain.append(tx.now, actor, "ek-hash.remove", f"ek-hash:{sha256}")


def hashes(view: View, offset: int, limit: int) -> Page[EkHash]:
    """By hash."""
    table = tables.ek_hashes
    total = view.connection.execute(select(func.count()).select_from(table)).scalar_one()
    query = select(table).order_by(table.c.sha256).offset(offset).limit(limit)
    return Page(tuple(_hash(row, view.keys) for row in view.connection.execute(query)), total)


def add_root(tx: Writing, certificate: bytes, actor: str) -> EkRoot:
    """UsageError for what is not the certificate of an authority."""
    try:
        parsed = load(certificate)
        basic = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
        subject = parsed.subject.rfc4514_string()
    except (*UNREADABLE, x509.ExtensionNotFound) as error:
        raise UsageError(f"not the certificate (DER) of an authority: {error}") from None
    if not basic.ca:
        raise UsageError(f"{subject} is not the certificate of an authority")
    table = tables.ek_roots
    sha256 = hashlib.sha256(certificate).hexdigest()
    tx.connection.execute(delete(table).where(table.c.sha256 == sha256))
    seal = tx.keys.seal("ek_roots", sha256)
    row = {"sha256": sha256, "certificate": certificate, "subject": subject, "seal": seal}
    tx.connection.execute(insert(table), row)
    tx.chain.append(tx.now, actor, "ek-root.add", f"ek-root:{sha256}", {"subject": subject})
    return EkRoot(sha256, certificate, subject)


def remove_root(tx: Writing, sha256: str, actor: str) -> None:
    """NotFound when it is not trusted anyway."""
    table = tables.ek_roots
    if not tx.connection.execute(delete(table).where(table.c.sha256 == sha256)).rowcount:
        raise NotFound(f"there is no EK root {sha256}")
    tx.chain.append(tx.now, actor, "ek-root.remove", f"ek-root:{sha256}")


def roots(view: View) -> tuple[EkRoot, ...]:
    """By subject."""
    found = []
    table = tables.ek_roots
    for row in view.connection.execute(select(table).order_by(table.c.subject, table.c.sha256)):
        sha256 = hashlib.sha256(row.certificate).hexdigest()
        view.keys.check(row.seal, "ek_roots", sha256)
        found.append(EkRoot(sha256, row.certificate, row.subject))
    return tuple(found)


def _at_first_sight(
    tx: Writing, settings: Settings, candidate: VerifiedEk, network: str
) -> Machine:
    if not settings.first_use:
        raise EnrolmentRefused("neither a trusted EK certificate nor on the list of EK hashes")
    waiting.make_room(tx, settings.pending_max, candidate, network)
    policy = settings.default_policy
    return machines.add(
        tx, candidate.ek, "pending", "first-use", machines.SERVER, "", policy, {}, network
    )


def _listed_row(view: View, candidate: VerifiedEk) -> Row[Any] | None:
    table = tables.ek_hashes
    query = (
        select(table).where(table.c.sha256.in_(candidate.names)).order_by(table.c.sha256).limit(1)
    )
    return view.connection.execute(query).one_or_none()


def _listed(tx: Writing, candidate: VerifiedEk) -> EkHash | None:
    row = _listed_row(tx, candidate)
    return None if row is None else _hash(row, tx.keys)


def _use_up(tx: Writing, listed: EkHash, fingerprint: str) -> None:
    """An entry is for one machine."""
    table = tables.ek_hashes
    tx.connection.execute(delete(table).where(table.c.sha256 == listed.sha256))
    detail = {"machine": fingerprint}
    tx.chain.append(tx.now, machines.SERVER, "ek-hash.use", f"ek-hash:{listed.sha256}", detail)


def _hash(row: Row[Any], keys: Keys) -> EkHash:
    keys.check(row.seal, "ek_hashes", row.sha256, row.name, row.tags, row.policy)
    return EkHash(row.sha256, row.name, row.tags, row.policy)
