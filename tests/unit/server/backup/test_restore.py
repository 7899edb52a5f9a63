# SPDX-License-Identifier: Apache-2.0
"""What is no good backup of this server is refused in words, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pykexec.errors import FormatError, UsageError
from pykexec.server.backup import age
from pykexec.server.backup.backup import PURPOSE, lines, store_id
from pykexec.server.backup.header import Header, parse_header
from pykexec.server.backup.lines import Sealer, body_of
from pykexec.server.backup.restore import restore
from pykexec.server.backup.rollback import from_database
from pykexec.server.errors import MasterKeyError, SchemaError, Tampered
from pykexec.server.keys.envelope import Keyring, WrappedKey
from pykexec.server.keys.keys import Keys
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store import migrations, tables
from pykexec.server.store.database import Database
from pykexec.server.store.rewrapping import CONTEXT
from pykexec.server.store.store import Store
from tests.support import backups, old_stores
from tests.support.backups import IDENTITIES, KEY, backup, bring_back
from tests.support.postgresql import Server
from tests.support.store_samples import NOW, OPERATOR, enrolled, tamper

Spoil = Callable[[bytes], bytes]


@pytest.fixture(name="place")
def place_fixture(full_template: Path, tmp_path: Path) -> Path:
    """A directory with a backup, beside the store that it is of."""
    for name in ("store.db", "backup"):
        shutil.copy(full_template / name, tmp_path / name)
    return tmp_path


def store_of(place: Path) -> Store:
    return Store.open(f"sqlite:///{place}/store.db", KEY)


def target(place: Path) -> str:
    return f"sqlite:///{place}/restored.db"


def nothing_is_left(place: Path) -> bool:
    return list(place.glob("restored.db*")) == []


def _changed(at: float) -> Spoil:
    def spoil(data: bytes) -> bytes:
        place = int(at * (len(data) - 1))
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return spoil


@pytest.mark.parametrize("at", [0, 0.001, 0.01, 0.3, 0.6, 0.9, 1])
def test_one_changed_byte_is_refused(place: Path, at: float) -> None:
    path = place / "backup"
    path.write_bytes(_changed(at)(path.read_bytes()))
    with pytest.raises((FormatError, UsageError)):
        bring_back(path, target(place))
    assert nothing_is_left(place)


@pytest.mark.parametrize("size", [0, 10, 100, 1000, -1])
def test_one_that_is_cut_off_is_refused(place: Path, size: int) -> None:
    path = place / "backup"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FormatError, match="not as it was written"):
        bring_back(path, target(place))
    assert nothing_is_left(place)


def _in_line(number: int, old: bytes, new: bytes) -> Spoil:
    def spoil(text: bytes) -> bytes:
        found = text.splitlines(True)
        assert old in found[number]
        found[number] = found[number].replace(old, new)
        return b"".join(found)

    return spoil


def _without(number: int) -> Spoil:
    def spoil(text: bytes) -> bytes:
        found = text.splitlines(True)
        del found[number]
        return b"".join(found)

    return spoil


FORGED: list[tuple[Spoil, str]] = [
    (_in_line(0, b'"seq":', b'"seq":1'), "MAC"),
    (_in_line(0, b'"program":"', b'"program":"x'), "MAC"),
    (_in_line(2, b'"rows":[', b'"rows":[[],'), "MAC"),
    (_without(0), "backup.format: missing"),
    (_without(1), "MAC"),
    (_without(-1), "has no end"),
    (lambda text: text[:-1], "ends within a line"),
    (lambda text: text + text.splitlines(True)[-1], "goes on after its end"),
    (lambda _: b"", "has no end"),
    (lambda _: b"hello\n", "not a backup of pykexec"),
    (lambda _: b"0" * 64 + b' {"format":"another"}\n', "not a backup of pykexec"),
    (lambda _: b"0" * 64 + b' {"format":"pykexec backup","version":2}\n', "version 2; this"),
    (lambda _: b"x" * (33 << 20), "a line of more than"),
]


@pytest.mark.parametrize("number", range(len(FORGED)))
def test_who_knows_the_recipient_alone_makes_none(place: Path, number: int) -> None:
    spoil, fault = FORGED[number]
    path = place / "backup"
    backups.forge(path, spoil(backups.opened(path)))
    with pytest.raises(FormatError, match=fault):
        bring_back(path, target(place))
    assert nothing_is_left(place)


def test_rows_that_are_not_all_there_are_missed(place: Path) -> None:
    # As a fault of the program would write them: with good MACs.
    with store_of(place) as store, store.database.reading() as connection:
        path = place / "backup"
        header = _header(path)
        bodies = [line[65:-1] for line in lines(connection, header, store.keys, print)]
        del bodies[2]
        sealer = Sealer(store.keys.derive(PURPOSE))
        backups.forge(path, b"".join(sealer.seal(body.decode()) for body in bodies))
    with pytest.raises(FormatError, match="does not have the rows"):
        bring_back(path, target(place))
    assert nothing_is_left(place)


def _header(path: Path) -> Header:
    return parse_header(body_of(backups.opened(path).splitlines()[0]))


def test_another_identity_opens_nothing(place: Path) -> None:
    identities = age.parse_identities(age.new_identity()[0])
    with (place / "backup").open("rb") as source:
        with pytest.raises(UsageError, match="another key than the identity"):
            restore(source, identities, target(place), Keyring(KEY), print)
    assert nothing_is_left(place)


def test_the_backup_of_a_server_with_another_master_key_is_refused(place: Path) -> None:
    other = LocalMasterKey(b"m" * 32)
    with pytest.raises(MasterKeyError, match=f"master key is {KEY.key_id}; given is local:"):
        bring_back(place / "backup", target(place), master=other)
    assert nothing_is_left(place)


def test_a_backup_of_before_the_master_key_was_changed_comes_back_by_the_old_one(
    place: Path,
) -> None:
    new = LocalMasterKey(b"m" * 32)
    with (place / "backup").open("rb") as source:
        keyring = Keyring(new, [KEY])
        restore(source, IDENTITIES, target(place), keyring, print, accepted=("rollback",))
    with Store.open(target(place), new, previous=[KEY]) as store:
        store.rewrap(OPERATOR, finish=True)
    with Store.open(target(place), new) as store:
        assert store.health().faults == ()


def test_a_newer_schema_is_refused(place: Path) -> None:
    path = place / "backup"
    with store_of(place) as store, store.database.reading() as connection:
        header = replace(_header(path), schema="9999", program="9.0")
        backups.forge(path, b"".join(lines(connection, header, store.keys, print)))
    with pytest.raises(SchemaError, match=r"of schema 9999, by pykexec 9\.0; this program's is"):
        bring_back(path, target(place))
    assert nothing_is_left(place)


def test_the_backup_of_an_older_version_is_brought_up(place: Path) -> None:
    old_stores.load(old_stores.OLDEST, place / "old.db")
    with closing(Database(f"sqlite:///{place}/old.db")) as database, database.reading() as found:
        head = found.execute(select(tables.audit_head)).one()
        row = found.execute(select(tables.store_key)).one()
        wrapped = WrappedKey(row.wrapped, row.key_id)
        keys = Keys(Keyring(KEY).unwrap(wrapped, CONTEXT))
        header = Header(
            NOW, "0.1", old_stores.OLDEST_SCHEMA, store_id(keys), head.seq, head.hash, (wrapped,)
        )
        backups.forge(place / "backup", b"".join(lines(found, header, keys, print)))
    assert bring_back(place / "backup", target(place)).schema == migrations.newest()
    with Store.open(target(place), KEY) as store:
        assert store.verify_audit((head.seq, head.hash)).faults == ()
        assert (len(store.attestations()), store.machines().total) == (4, 3)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_with_something_in_it_is_not_touched(
    place: Path, kind: str, postgresql_server: Server
) -> None:
    url = f"sqlite:///{place}/other.db"
    if kind == "postgresql":
        url = postgresql_server.url(postgresql_server.create())
    with Store.open(url, KEY, migrate=True) as store:
        machine = enrolled(store)
        with pytest.raises(UsageError, match="the database is not empty"):
            bring_back(place / "backup", url)
        assert store.machines().items == (machine,)


def test_what_fails_in_the_end_leaves_an_empty_postgresql(
    place: Path, postgresql_server: Server
) -> None:
    url = postgresql_server.url(postgresql_server.create())
    path = place / "backup"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(FormatError):
        bring_back(path, url)
    path.write_bytes(whole)
    bring_back(path, url)


def test_going_back_must_be_accepted(place: Path) -> None:
    with pytest.raises(UsageError, match=r"forgets whatever happened since.*--accept rollback"):
        bring_back(place / "backup", target(place), accepted=())
    assert nothing_is_left(place)


def test_a_note_of_a_later_entry_tells_how_much_is_forgotten(place: Path) -> None:
    with store_of(place) as store:
        for name in "abc":
            store.put_policy(name, backups.POLICY, OPERATOR)
        found = store.verify_audit()
    note = (found.entries, found.hash)
    with pytest.raises(UsageError, match="forgets at least 3 entries of the audit trail"):
        bring_back(place / "backup", target(place), anchor=note, accepted=())
    done = bring_back(place / "backup", target(place), anchor=note)
    assert (done.rollback.entries, done.rollback.at_least) == (3, True)


def test_a_note_of_an_entry_that_is_another_here_is_refused(place: Path) -> None:
    with pytest.raises(Tampered, match="no entry 5 with the hash that was noted"):
        bring_back(place / "backup", target(place), anchor=(5, "0" * 64))
    assert nothing_is_left(place)


def test_a_note_of_an_entry_that_is_there_is_no_fault(place: Path) -> None:
    with store_of(place) as store:
        entry = next(entry for entry in store.audit_entries() if entry.seq == 5)
    assert bring_back(place / "backup", target(place), anchor=(5, entry.hash)).faults == ()


def _judged(place: Path, accepted: tuple[str, ...] = ()) -> str:
    with (place / "backup").open("rb") as source, store_of(place) as old:
        done = restore(
            source,
            IDENTITIES,
            target(place),
            Keyring(KEY),
            print,
            judge=lambda header: from_database(header, old),
            accepted=accepted,
        )
    return str(done.rollback)


def test_the_old_database_tells_what_is_forgotten(place: Path) -> None:
    with store_of(place) as store:
        store.revoke_token("ci", OPERATOR)
        store.retire(1, OPERATOR, "sold")
    with pytest.raises(UsageError, match=r"2 entries .*\(1 machine.retire, 1 token.revoke\)"):
        _judged(place)
    assert nothing_is_left(place)
    assert _judged(place, ("rollback",)).startswith("2 entries")


def test_where_nothing_is_forgotten_nothing_is_asked(place: Path) -> None:
    assert _judged(place).startswith("0 entries")


def test_the_backup_of_another_server_with_the_same_master_key_is_refused(place: Path) -> None:
    (place / "store.db").unlink()
    with Store.open(f"sqlite:///{place}/store.db", KEY, migrate=True) as other:
        enrolled(other)
    with pytest.raises(UsageError, match="the old database is of"):
        _judged(place, ("rollback",))
    assert nothing_is_left(place)


def test_a_database_that_went_another_way_is_no_later_one(place: Path) -> None:
    shutil.copy(place / "store.db", place / "fork.db")
    with Store.open(f"sqlite:///{place}/fork.db", KEY) as fork:
        fork.put_policy("a", backups.POLICY, OPERATOR)
        (place / "backup").unlink()
        backup(fork, place / "backup")
    with store_of(place) as store:
        store.put_policy("b", backups.POLICY, OPERATOR)
        store.put_policy("c", backups.POLICY, OPERATOR)
    with pytest.raises(UsageError, match="no later state of it"):
        _judged(place, ("rollback",))


def test_a_trail_that_was_broken_before_must_be_accepted(place: Path) -> None:
    with store_of(place) as store:
        tamper(store, "DELETE FROM releases")
        (place / "backup").unlink()
        backup(store, place / "backup")
    with pytest.raises(Tampered, match=r"its releases are not those.*--accept faults"):
        bring_back(place / "backup", target(place))
    assert nothing_is_left(place)
    done = bring_back(place / "backup", target(place), accepted=("rollback", "faults"))
    assert "its releases are not those" in done.faults[0]
    with Store.open(target(place), KEY) as restored:
        (entry,) = restored.audit_entries(limit=1)
    assert json.dumps(entry.detail["faults"]).count("releases") == 1
