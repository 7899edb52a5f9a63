# SPDX-License-Identifier: Apache-2.0
"""Rows of machines: read with their seals checked, changed with an audit entry each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    bindparam,
    func,
    insert,
    not_,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from pykexec.errors import UsageError
from pykexec.server.canonical import canonical
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.keys.keys import Keys
from pykexec.server.roles import Scope, pairs
from pykexec.server.store import findings, tables
from pykexec.server.store.database import Writing
from pykexec.server.store.records import Counters, Machine, Page
from pykexec.server.store.rollout import read as read_rollout
from pykexec.server.store.rollout_tables import rollouts
from pykexec.server.store.view import View
from pykexec.verify.ek import Ek

SERVER = "server"
"""The actor of what no operator has decided."""
_TEXT_MAX = 256
_TAGS_MAX = 64
_TABLE = tables.machines
_NEWEST = (
    select(func.max(tables.policies.c.version))
    .where(tables.policies.c.name == _TABLE.c.policy)
    .correlate(_TABLE)
    .scalar_subquery()
    .label("policy_version")
)
_TAGS_AS_TEXT = type_coerce(_TABLE.c.tags, Text)
_QUERY = select(
    _TABLE, _NEWEST, rollouts.c.value.label("rollout"), rollouts.c.seal.label("rollout_seal")
).select_from(_TABLE.outerjoin(rollouts, rollouts.c.name == _TABLE.c.policy))
# Asked with every attestation: putting the query together takes longer than its answer.
_BY_FINGERPRINT = _QUERY.where(_TABLE.c.fingerprint == bindparam("fingerprint"))


def find(view: View, fingerprint: str) -> Machine | None:
    """By fingerprint."""
    row = view.connection.execute(_BY_FINGERPRINT, {"fingerprint": fingerprint}).one_or_none()
    return None if row is None else _machine(row, view.keys)


def get(view: View, machine_id: int) -> Machine:
    """By number; NotFound."""
    row = view.connection.execute(_QUERY.where(_TABLE.c.id == machine_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no machine {machine_id}")
    return _machine(row, view.keys)


def page(
    view: View,
    state: str | None,
    search: str,
    tag: tuple[str, str] | None,
    policy: str | None,
    offset: int,
    limit: int,
    scope: Scope = (),
) -> Page[Machine]:
    """Newest first."""
    query = _QUERY.where(in_scope(scope))
    if state is not None:
        query = query.where(_TABLE.c.state == state)
    if policy is not None:
        query = query.where(_TABLE.c.policy == policy)
    if tag is not None:
        query = query.where(has_tag(*tag))
    if search:
        columns = (_TABLE.c.name, _TABLE.c.fingerprint, _TAGS_AS_TEXT)
        query = query.where(or_(*(c.icontains(search, autoescape=True) for c in columns)))
    count = query.with_only_columns(func.count(), maintain_column_froms=True)
    (total,) = view.connection.execute(count).one()
    rows = view.connection.execute(query.order_by(_TABLE.c.id.desc()).offset(offset).limit(limit))
    return Page(tuple(_machine(row, view.keys) for row in rows), total)


def after(view: View, last: int, limit: int) -> tuple[Machine, ...]:
    """The next ones by number."""
    query = _QUERY.where(_TABLE.c.id > last).order_by(_TABLE.c.id).limit(limit)
    return tuple(_machine(row, view.keys) for row in view.connection.execute(query))


def names(connection: Connection) -> list[tuple[str, str]]:
    """Fingerprint and name of each."""
    query = select(_TABLE.c.fingerprint, _TABLE.c.name)
    return [(fingerprint, name) for fingerprint, name in connection.execute(query)]


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """Which machines belong to it, for a query. Not by LIKE, to which case means nothing."""
    found = [_pair(key, value) for key, value in pairs(scope)]
    without = [func.replace(_TAGS_AS_TEXT, pair, "") for pair in found]
    return or_(*(text != _TAGS_AS_TEXT for text in without)) if scope else true()


def counts(view: View, scope: Scope = ()) -> dict[str, int]:
    """By state; a state that none is in is missing."""
    query = select(_TABLE.c.state, func.count()).where(in_scope(scope)).group_by(_TABLE.c.state)
    return {state: count for state, count in view.connection.execute(query)}


def add(
    tx: Writing,
    ek: Ek,
    state: str,
    enrolled_by: str,
    actor: str,
    name: str,
    policy: str | None,
    tags: Mapping[str, str],
    network: str = "",
) -> Machine:
    """A new row; Conflict when there is one. network is where it was seen first."""
    if find(tx, ek.fingerprint) is not None:
        raise Conflict(f"machine {ek.fingerprint} is known already")
    check_policy(tx, policy)
    values: dict[str, object] = {
        "fingerprint": ek.fingerprint,
        "name": name,
        "state": state,
        "enrolled_by": enrolled_by,
        "tags": dict(tags),
        "policy": policy,
    }
    tx.connection.execute(
        insert(_TABLE),
        {
            **values,
            "ek_public": ek.public,
            "ek_algorithm": ek.kind,
            "certificate": ek.certificate,
            "certificate_info": dict(ek.certificate_info),
            "first_seen": tx.now,
            "last_seen": tx.now,
            "network": network,
            "seal": _seal(tx.keys, **values),
        },
    )
    detail = {key: value for key, value in values.items() if key != "fingerprint" and value}
    tx.chain.append(tx.now, actor, "machine.add", subject(ek.fingerprint), detail)
    machine = find(tx, ek.fingerprint)
    assert machine is not None
    return machine


def change(
    tx: Writing,
    machine_id: int,
    actor: str,
    action: str,
    values: Mapping[str, object],
    reason: str = "",
    final: bool = True,
) -> Machine:
    """Set columns that the seal covers; Conflict for a machine that is retired, as long as that is
    final.
    """
    machine = get(tx, machine_id)
    if final and machine.state == "retired":
        raise Conflict(f"machine {machine.fingerprint} is retired")
    sealed = {**_sealed(machine), **values}
    check_policy(tx, machine.policy if "policy" not in values else values["policy"])
    tx.connection.execute(
        update(_TABLE)
        .where(_TABLE.c.id == machine_id)
        .values({**values, "seal": _seal(tx.keys, **sealed)})
    )
    detail = {**values, "reason": reason} if reason else values
    tx.chain.append(tx.now, actor, action, subject(machine.fingerprint), detail)
    return get(tx, machine_id)


def forget_boots(tx: Writing, machine_id: int, actor: str, reason: str) -> Machine:
    """Its counters and its releases."""
    releases = tables.releases
    tx.connection.execute(releases.delete().where(releases.c.machine_id == machine_id))
    machine = change(tx, machine_id, actor, "machine.forget-boots", {}, reason)
    nothing = {"clock_ms": None, "reset_count": None, "restart_count": None}
    tx.connection.execute(update(_TABLE).where(_TABLE.c.id == machine.id).values(nothing))
    return get(tx, machine_id)


def check_name(name: str) -> None:
    """UsageError for what is no name that a person could read."""
    if len(name) > _TEXT_MAX or not (name == "" or name.isprintable()):
        raise UsageError(f"a machine's name has up to {_TEXT_MAX} printable characters")


def check_tags(tags: Mapping[str, str]) -> None:
    """UsageError for too many tags or unreadable ones."""
    if len(tags) > _TAGS_MAX:
        raise UsageError(f"a machine has at most {_TAGS_MAX} tags")
    for key, value in tags.items():
        if not key or not key.isprintable() or not (value == "" or value.isprintable()):
            raise UsageError("a tag has a key and printable characters")
        if max(len(key), len(value)) > _TEXT_MAX:
            raise UsageError(f"a tag's key and value have up to {_TEXT_MAX} characters")


def check_policy(view: View, name: object) -> None:
    """NotFound unless it is None or there is a version of it."""
    table = tables.policies
    query = select(table.c.version).where(table.c.name == name).limit(1)
    if name is not None and view.connection.execute(query).one_or_none() is None:
        raise NotFound(f"there is no policy {name!r}")


def subject(fingerprint: str) -> str:
    """A machine as the audit chain names it."""
    return f"machine:{fingerprint}"


def has_tag(key: str, value: str) -> ColumnElement[bool]:
    """The condition that a machine has a tag of this value."""
    return _TAGS_AS_TEXT.contains(_pair(key, value), autoescape=True)


def lacks_tag(key: str) -> ColumnElement[bool]:
    """The condition that a machine has no tag of this key."""
    # Within a value the closing quote would be escaped, so this is a key.
    return not_(_TAGS_AS_TEXT.contains(f"{canonical(key)}:", autoescape=True))


def _pair(key: str, value: str) -> str:
    # A quote within a JSON string is escaped: this occurs nowhere but as a whole pair.
    return canonical({key: value})[1:-1]


def _seal(
    keys: Keys,
    fingerprint: object,
    name: object,
    state: object,
    enrolled_by: object,
    tags: object,
    policy: object,
) -> bytes:
    return keys.seal("machines", fingerprint, name, state, enrolled_by, tags, policy)


def _sealed(machine: Machine) -> dict[str, object]:
    return {
        "fingerprint": machine.fingerprint,
        "name": machine.name,
        "state": machine.state,
        "enrolled_by": machine.enrolled_by,
        "tags": machine.tags,
        "policy": machine.policy,
    }


def _machine(row: Row[Any], keys: Keys) -> Machine:
    keys.check(
        row.seal,
        "machines",
        row.fingerprint,
        row.name,
        row.state,
        row.enrolled_by,
        row.tags,
        row.policy,
    )
    version, draft = row.policy_version, None
    if row.rollout is not None:
        rollout = read_rollout(keys, row.policy, row.rollout, row.rollout_seal)
        version, draft = rollout.version_for(row.fingerprint, row.tags), rollout.draft
    return Machine(
        id=row.id,
        fingerprint=row.fingerprint,
        ek_public=row.ek_public,
        ek_algorithm=row.ek_algorithm,
        certificate=row.certificate,
        certificate_info=row.certificate_info,
        name=row.name,
        state=row.state,
        enrolled_by=row.enrolled_by,
        tags=row.tags,
        policy=row.policy,
        policy_version=version,
        policy_draft=draft,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        last_counters=counters(row),
        last_ak_name=row.ak_name,
        last_accepted=row.last_accepted,
        last_findings=findings.from_json(row.last_findings or []),
    )


def counters(row: Row[Any]) -> Counters | None:
    """Of a machine or an attestation."""
    if row.reset_count is None:
        return None
    return Counters(row.clock_ms, row.reset_count, row.restart_count)
