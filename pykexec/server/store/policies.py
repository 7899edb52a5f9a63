# SPDX-License-Identifier: Apache-2.0
"""Rows of policies: versions that are added and never change."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Row, func, insert, select, tuple_

from pykexec.errors import UsageError
from pykexec.server.errors import NotFound
from pykexec.server.keys.keys import Keys
from pykexec.server.store import tables
from pykexec.server.store.database import Writing
from pykexec.server.store.records import PolicyVersion
from pykexec.server.store.view import View

_NAME_MAX = 128
_TABLE = tables.policies


def get(view: View, name: str, version: int | None) -> PolicyVersion:
    """A version, or the newest; NotFound."""
    query = select(_TABLE).where(_TABLE.c.name == name)
    if version is not None:
        query = query.where(_TABLE.c.version == version)
    row = view.connection.execute(query.order_by(_TABLE.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        which = name if version is None else f"{name} version {version}"
        raise NotFound(f"there is no policy {which}")
    return _policy(row, view.keys)


def newest(view: View) -> tuple[PolicyVersion, ...]:
    """Of each name."""
    last = select(_TABLE.c.name, func.max(_TABLE.c.version)).group_by(_TABLE.c.name)
    query = select(_TABLE).where(tuple_(_TABLE.c.name, _TABLE.c.version).in_(last))
    rows = view.connection.execute(query.order_by(_TABLE.c.name))
    return tuple(_policy(row, view.keys) for row in rows)


def versions(view: View, name: str) -> tuple[PolicyVersion, ...]:
    """Newest first; NotFound when there is none."""
    query = select(_TABLE).where(_TABLE.c.name == name).order_by(_TABLE.c.version.desc())
    found = tuple(_policy(row, view.keys) for row in view.connection.execute(query))
    if not found:
        raise NotFound(f"there is no policy {name}")
    return found


def put(tx: Writing, name: str, text: str, actor: str, comment: str) -> PolicyVersion:
    """A new version, unless the newest has the same text."""
    if not name.isprintable() or not 0 < len(name) <= _NAME_MAX:
        raise UsageError(f"a policy's name has 1 to {_NAME_MAX} printable characters")
    if "\0" in text:
        raise UsageError(f"policy {name}: not text")
    try:
        last = get(tx, name, None)
    except NotFound:
        last = None
    if last is not None and last.text == text:
        return last
    version = last.version + 1 if last else 1
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    new = PolicyVersion(name, version, text, sha256, tx.now, actor, comment)
    tx.connection.execute(
        insert(_TABLE),
        {
            "name": name,
            "version": version,
            "text": text,
            "sha256": sha256,
            "created": tx.now,
            "created_by": actor,
            "comment": comment,
            "seal": tx.keys.seal("policies", name, version, text),
        },
    )
    detail = {"version": version, "sha256": sha256, "comment": comment}
    tx.chain.append(tx.now, actor, "policy.put", f"policy:{name}", detail)
    return new


def _policy(row: Row[Any], keys: Keys) -> PolicyVersion:
    keys.check(row.seal, "policies", row.name, row.version, row.text)
    return PolicyVersion(
        row.name, row.version, row.text, row.sha256, row.created, row.created_by, row.comment
    )
