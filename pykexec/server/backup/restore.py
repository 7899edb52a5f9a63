# SPDX-License-Identifier: Apache-2.0
"""A backup into an empty database: one transaction, at whose end all is checked, or undone."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from sqlalchemy import Connection, Table, delete

from pykexec.errors import FormatError, UsageError
from pykexec.server.backup import age, rows
from pykexec.server.backup.backup import PURPOSE, Say, store_id
from pykexec.server.backup.header import Header, open_keys, parse_header
from pykexec.server.backup.lines import Sealer, Splitter, body_of
from pykexec.server.backup.rollback import Anchor, Rollback, age_of, from_anchor
from pykexec.server.canonical import now, to_ms
from pykexec.server.errors import SchemaError, StoreError, Tampered
from pykexec.server.keys.envelope import Keyring
from pykexec.server.keys.keys import RESTORED, Keys
from pykexec.server.store import audit, migrations, opening
from pykexec.server.store.audit_check import Walk
from pykexec.server.store.database import Database, parse_url
from pykexec.server.store.view import Reading

KEPT, ENDED = "kept", "ended"
AFTER_RESTORE = {
    "approval_persons": ENDED,
    "approvals": ENDED,
    "attestations": KEPT,
    "audit": KEPT,
    "audit_head": KEPT,
    "draft_decisions": KEPT,
    "ek_hashes": KEPT,
    "ek_roots": KEPT,
    "key_destructions": KEPT,
    "key_generations": KEPT,
    "key_plans": KEPT,
    "key_rebinds": ENDED,
    "key_rotations": KEPT,
    "last_accepted": KEPT,
    "machines": KEPT,
    "nonces": KEPT,
    "old_wrappings": KEPT,
    "operator_logins": KEPT,
    "operators": KEPT,
    "policies": KEPT,
    "quarantine": KEPT,
    "releases": KEPT,
    "retained": KEPT,
    "rollouts": KEPT,
    "secrets": KEPT,
    "security_keys": KEPT,
    "sessions": ENDED,
    "settings": KEPT,
    "store_key": KEPT,
    "tokens": KEPT,
    "webhooks": KEPT,
}
"""Every table that there is: what it held is there again, or has come to its end meanwhile and must
not come back: who was logged in may have been thrown out, a boot or a new mainboard that waited may
have had its keys.
A table that is not named here is kept."""

ROLLBACK, FAULTS = "rollback", "faults"
"""What an operator may accept."""
_FAULTS_SHOWN = 4
_DECIDE = "nothing was changed; --accept faults takes the database as it was"
Judge = Callable[[Header], Rollback]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done; schema is that of the database now, faults what was accepted."""

    header: Header
    rollback: Rollback
    rows: int
    schema: str
    faults: tuple[str, ...]


def restore(
    source: BufferedIOBase,
    identities: Sequence[age.Identity],
    url: str,
    keyring: Keyring,
    say: Say,
    *,
    anchor: Anchor | None = None,
    judge: Judge | None = None,
    accepted: Collection[str] = (),
) -> Restored:
    """Fill the empty database at url, and note it in its audit chain; of what fails nothing stays.

    judge tells what the backup forgets (rollback.from_database), otherwise anchor does; unless that
    is nothing at all, ROLLBACK must be accepted. FAULTS are those that the backed up database had
    already. UsageError for what the operator must decide or has confused, MasterKeyError and
    FormatError for what is no backup of this server or was changed, SchemaError for one of a newer
    version, Tampered where tables and chain are not one.
    """
    made = _files_to_be(url)
    try:
        with closing(Database(url)) as database, database.changing() as connection:
            opening.lock(connection)
            if migrations.current(connection) is not None:
                raise UsageError("the database is not empty: a backup goes into a new one")
            loader = _Loader(connection, keyring, say, _judged(judge, anchor, ROLLBACK in accepted))
            splitter = Splitter(loader.take)
            try:
                age.decrypt(source, identities, splitter.feed)
                splitter.end()
                return loader.finish(anchor, FAULTS in accepted)
            finally:
                loader.wipe()
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _files_to_be(url: str) -> list[Path]:
    """What SQLite will make that is not there yet."""
    found = parse_url(url)
    if found.get_backend_name() != "sqlite" or Path(str(found.database)).exists():
        return []
    return [Path(f"{found.database}{end}") for end in ("", "-wal", "-shm")]


def _judged(judge: Judge | None, anchor: Anchor | None, accepted: bool) -> Judge:
    def decide(header: Header) -> Rollback:
        rollback = judge(header) if judge else from_anchor(header, anchor)
        if not (accepted or rollback.none):
            raise UsageError(
                f"nothing was changed: the backup is of {age_of(header)}, entry {header.seq}, and "
                f"forgets {rollback}; --accept rollback takes that"
            )
        return rollback

    return decide


class _Loader:
    """Takes lines; the first one tells by which keys the others, and itself, are checked."""

    def __init__(self, connection: Connection, keyring: Keyring, say: Say, judge: Judge) -> None:
        self._connection, self._keyring, self._say, self._judge = connection, keyring, say, judge
        self._begun: tuple[Header, Keys, Sealer, Rollback] | None = None
        self._tables: dict[str, Table] = {}
        self._counts: dict[str, int] = {}
        self._table: tuple[Table, list[str]] | None = None
        self._ended = False

    def take(self, line: bytes) -> None:
        """The next line."""
        if self._begun is None:
            self._begin(line)
            return
        if self._ended:
            raise FormatError("the backup goes on after its end")
        # It is ours, and has the shapes that backup.py gives it.
        content = json.loads(self._begun[2].check(line))
        if "rows" in content:
            self._take_rows(content["rows"])
        elif "table" in content:
            self._take_table(content["table"], content["columns"])
        else:
            self._take_end(content["end"], content["last"])

    def _begin(self, line: bytes) -> None:
        header = parse_header(body_of(line))
        if not migrations.known(header.schema):
            raise SchemaError(
                f"a backup of schema {header.schema}, by pykexec {header.program}; this program's "
                f"is {migrations.newest()}: restore it by that version or a newer one"
            )
        keys = open_keys(header, self._keyring)
        sealer = Sealer(keys.derive(PURPOSE))
        sealer.check(line)
        if store_id(keys) != header.store:
            raise FormatError("a backup that names another server than its own")
        rollback = self._judge(header)
        migrations.migrate(self._connection, header.schema)
        self._tables = rows.tables_of(self._connection)
        rows.clear(self._connection, list(self._tables.values()))
        self._begun = (header, keys, sealer, rollback)

    def _take_table(self, name: str, columns: list[str]) -> None:
        table = self._tables.get(name)
        if table is None or sorted(table.columns.keys()) != sorted(columns):
            raise StoreError(f"the backup has a table {name} that its schema does not have")
        self._table = (table, columns)
        self._counts[name] = 0

    def _take_rows(self, found: list[rows.Row]) -> None:
        assert self._table is not None
        table, columns = self._table
        rows.load(self._connection, table, columns, found)
        self._counts[table.name] += len(found)
        self._say(f"{table.name}: {self._counts[table.name]} rows")

    def _take_end(self, counts: dict[str, int], last: dict[str, int]) -> None:
        if counts != self._counts:
            raise FormatError("the backup does not have the rows that it says it has")
        rows.set_last_numbers(self._connection, list(self._tables.values()), last)
        self._ended = True

    def finish(self, anchor: Anchor | None, accept_faults: bool) -> Restored:
        """Bring the tables to this program's schema, look at all of them, note what was done."""
        if self._begun is None or not self._ended:
            raise FormatError("the backup has no end")
        header, keys, _, rollback = self._begun
        migrations.migrate(self._connection)
        known = anchor if anchor and anchor[0] <= header.seq else None
        faults = self._faults(keys, known)
        if faults and not accept_faults:
            raise Tampered("; ".join((*faults[:_FAULTS_SHOWN], _DECIDE)))
        for name, table in rows.tables_of(self._connection).items():
            if AFTER_RESTORE.get(name) == ENDED:
                self._connection.execute(delete(table))
        chain = audit.Chain(self._connection, keys)
        detail = {
            "made_ms": to_ms(header.time),
            "seq": header.seq,
            "hash": header.hash,
            "forgotten": rollback.entries,
            "faults": list(faults),
        }
        chain.append(now(), "local", "store.restore", RESTORED, detail)
        chain.finish()
        nr_rows = sum(self._counts.values())
        return Restored(header, rollback, nr_rows, migrations.newest(), faults)

    def wipe(self) -> None:
        """The store's key."""
        if self._begun is not None:
            self._begun[1].wipe()

    def _faults(self, keys: Keys, anchor: Anchor | None) -> tuple[str, ...]:
        walk = Walk(anchor)
        while found := audit.rows_after(self._connection, walk.seq):
            for row in found:
                walk.take(row)
            self._say(f"audit trail: {walk.seq} entries checked")
        return walk.end(Reading(self._connection, keys)).faults
