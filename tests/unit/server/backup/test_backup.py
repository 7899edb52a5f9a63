# SPDX-License-Identifier: Apache-2.0
"""A backup brings a store back as it was, from either database into either."""

from __future__ import annotations

import base64
import errno
import io
import os
import resource
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from pykexec.errors import UsageError
from pykexec.run import run
from pykexec.server.backup import age
from pykexec.server.backup.backup import store_id, write_backup
from pykexec.server.backup.restore import AFTER_RESTORE, ENDED, KEPT
from pykexec.server.errors import SchemaError, Tampered
from pykexec.server.keys.envelope import wipe
from pykexec.server.store.store import Store
from tests.support import backups
from tests.support.backups import KEY, VALUE, backup, bring_back, contents, populate
from tests.support.postgresql import Server
from tests.support.store_samples import MASTER, OPERATOR, enrolled, record, tamper


@pytest.fixture(name="full")
def full_fixture(store: Store) -> Store:
    """A store with something in every corner."""
    populate(store)
    return store


@pytest.fixture(name="lite")
def lite_fixture(full_template: Path, tmp_path: Path) -> Generator[Store, None, None]:
    """The same, where the database does not matter."""
    shutil.copy(full_template / "store.db", tmp_path / "store.db")
    with Store.open(f"sqlite:///{tmp_path}/store.db", KEY) as store:
        yield store


@contextmanager
def no_file_beyond(size: int) -> Generator[None, None, None]:
    """As a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_every_table_that_there_is_comes_back_or_ends(full: Store, store_url: str) -> None:
    # A new table: say in AFTER_RESTORE whether what it holds still counts after a restore.
    assert contents(store_url).keys() == AFTER_RESTORE.keys()


def test_every_row_comes_back_in_either_database(
    full: Store, store_url: str, tmp_path: Path, postgresql_server: Server
) -> None:
    other = f"sqlite:///{tmp_path}/restored.db"
    if full.database.kind == "sqlite":
        other = postgresql_server.url(postgresql_server.create())
    before = contents(store_url)
    header = backup(full, tmp_path / "backup")
    done = bring_back(tmp_path / "backup", other)
    after = contents(other)
    assert (done.header, done.rows) == (header, sum(map(len, before.values())))
    for name, what in AFTER_RESTORE.items():
        if name == "audit":
            assert after[name][:-1] == before[name]
        elif name != "audit_head":
            assert after[name] == (before[name] if what == KEPT else [])


def test_the_restored_store_serves(full: Store, store_url: str, tmp_path: Path) -> None:
    header = backup(full, tmp_path / "backup")
    url = f"sqlite:///{tmp_path}/restored.db"
    bring_back(tmp_path / "backup", url)
    with Store.open(url, KEY) as store:
        assert store.health().faults == ()
        assert store.verify_audit((header.seq, header.hash)).faults == ()
        assert store_id(store.keys) == store_id(full.keys) == header.store
        (pair,) = store.open_secrets(1)
        assert pair[1] == VALUE
        wipe(pair[1])
        machine = store.machine_by_id(1)
        store.record_attestation(record(machine, None, boot=None))
        # Number 3 was given before the backup.
        assert store.attestations()[0].id == 4


def test_what_was_given_out_before_does_not_count_after_a_restore(
    lite: Store, tmp_path: Path
) -> None:
    backup(lite, tmp_path / "backup")
    url = f"sqlite:///{tmp_path}/restored.db"
    bring_back(tmp_path / "backup", url)
    with Store.open(url, KEY) as store:
        assert store.derived_key("challenge token") != lite.derived_key("challenge token")
        # Another server of the same store must open what this one seals.
        with Store.open(url, KEY) as other:
            assert store.derived_key("challenge token") == other.derived_key("challenge token")
        (entry,) = store.audit_entries(limit=1)
    assert (entry.action, entry.subject) == ("store.restore", "restore")
    assert (entry.detail["seq"], entry.detail["forgotten"]) == (entry.seq - 1, None)
    assert [name for name, what in AFTER_RESTORE.items() if what == ENDED] == [
        "approval_persons", "approvals", "key_rebinds", "sessions",
    ]  # fmt: skip


def test_a_backup_is_one_moment_of_a_store_that_is_written(full: Store, tmp_path: Path) -> None:
    ends = threading.Event()

    def write() -> None:
        number = 0
        while not ends.is_set():
            number += 1
            full.audit(OPERATOR, "test.write", f"number {number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        headers = [backup(full, tmp_path / f"backup-{number}") for number in range(3)]
    finally:
        ends.set()
        writer.join()
    assert len({header.seq for header in headers}) > 1
    for number, header in enumerate(headers):
        url = f"sqlite:///{tmp_path}/restored-{number}.db"
        done = bring_back(tmp_path / f"backup-{number}", url)
        assert done.faults == ()
        assert len(contents(url)["audit"]) == header.seq + 1


def test_neither_a_secret_nor_a_master_key_is_in_it(lite: Store, tmp_path: Path) -> None:
    backup(lite, tmp_path / "backup")
    found = backups.opened(tmp_path / "backup")
    assert b"web-1 'Ger" in found
    for secret in (VALUE, MASTER):
        for form in (secret, secret.hex().encode(), as_base64(secret)):
            assert form not in found
    assert b"web-1" not in (tmp_path / "backup").read_bytes()


def as_base64(data: bytes) -> bytes:
    """As far as it does not depend on what follows."""
    return base64.b64encode(data).rstrip(b"=")[:-1]


def test_others_tools_open_it(lite: Store, tmp_path: Path) -> None:
    identity, recipient = age.new_identity()
    (tmp_path / "identity").write_text(identity)
    write_backup(
        lite.database, lite.keys, tmp_path / "backup", [age.parse_recipient(recipient)], print
    )
    out = run(["age", "--decrypt", "--identity", tmp_path / "identity", tmp_path / "backup"])
    assert out.splitlines()[-1].partition(b" ")[2].startswith(b'{"end":')


@pytest.mark.parametrize("size", [0, 100, 40_000, 200_000])
def test_a_disk_that_is_full_leaves_no_backup(lite: Store, tmp_path: Path, size: int) -> None:
    machine = enrolled(lite, 2)
    seen = replace(record(machine, None, boot=None), accepted=False, evidence=b"\xa5" * 300_000)
    lite.record_attestation(seen)
    place = tmp_path / "place"
    place.mkdir()
    with no_file_beyond(size), pytest.raises(OSError, match="backup") as caught:
        backup(lite, place / "backup")
    assert caught.value.filename == str(place / "backup")
    assert list(place.iterdir()) == []
    # Nothing hangs on to the database, and a disk with room takes it.
    backup(lite, place / "backup")
    assert [path.name for path in place.iterdir()] == ["backup"]


class Full(io.BytesIO):
    """A disk without room."""

    def write(self, data: object, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_write_that_fails_at_the_very_end_is_told() -> None:
    # So little that the library writes once, when it is done.
    with pytest.raises(OSError, match="No space left"):
        age.encrypt(iter([b"a"]), Full(), backups.RECIPIENTS)
    sealed = io.BytesIO()
    age.encrypt(iter([b"a"]), sealed, backups.RECIPIENTS)
    sealed.seek(0)
    with pytest.raises(OSError, match="No space left"):
        age.decrypt(sealed, backups.IDENTITIES, Full().write)


def test_what_is_there_is_not_written_over(lite: Store, tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("another")
    with pytest.raises(FileExistsError):
        backup(lite, tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "another"


def test_who_else_has_tables_there_is_told(
    lite: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(lite, "CREATE TABLE theirs (at TIMESTAMP)")
    backup(lite, tmp_path / "backup")
    assert "theirs: left out, it is no table of pykexec's" in capsys.readouterr().out
    bring_back(tmp_path / "backup", f"sqlite:///{tmp_path}/restored.db")


def test_a_forged_head_is_not_backed_up(lite: Store, tmp_path: Path) -> None:
    tamper(lite, "UPDATE audit_head SET seq = seq - 1")
    with pytest.raises(Tampered, match="head of the audit chain"):
        backup(lite, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("recipient", ["", "age1x", "AGE-SECRET-KEY-1ABC", "ssh-ed25519 AAAA"])
def test_what_is_no_recipient_is_refused_and_not_repeated(recipient: str) -> None:
    with pytest.raises(UsageError, match="a recipient is age1") as caught:
        age.parse_recipient(recipient)
    assert "AGE-SECRET-KEY" not in str(caught.value)


@pytest.mark.parametrize("identity", ["", "# only words\n", "AGE-SECRET-KEY-1ABC", "age1x"])
def test_what_is_no_identity_is_refused_and_not_repeated(identity: str) -> None:
    with pytest.raises(UsageError, match="an identity is") as caught:
        age.parse_identities(identity)
    assert "KEY-1ABC" not in str(caught.value)


def test_a_backup_has_a_recipient(lite: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a recipient"):
        write_backup(lite.database, lite.keys, tmp_path / "backup", [], print)


def test_a_database_of_another_schema_is_not_backed_up(lite: Store, tmp_path: Path) -> None:
    with lite.database.changing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(SchemaError, match="schema 0001"):
        backup(lite, tmp_path / "backup")
