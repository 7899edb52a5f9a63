# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` does to a database itself leaves nothing behind when it fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pykexec.cli import main
from pykexec.server.keys.masterkey import LocalMasterKey, create_master_key, open_master_key
from pykexec.server.store.accounts import Accounts
from pykexec.server.store.logins import Logins
from pykexec.server.store.store import Store

PASSWORD = "correct horse battery staple"


@pytest.fixture(name="place")
def place_fixture(tmp_path: Path) -> Path:
    """A directory with a server's database, its key and an administrator."""
    (tmp_path / "password").write_text(PASSWORD)
    assert init(tmp_path) == 0
    return tmp_path


def store(place: Path, key: str = "key") -> tuple[str, ...]:
    return ("--database", f"sqlite:///{place}/s.db", "--master-key", f"file:{place}/{key}")


def init(place: Path, key: str = "key", *more: str) -> int:
    words = ("server", "init", *store(place, key), "--password-file", f"{place}/password")
    return main([*words, *more])


def names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir() if not path.name.startswith("s.db-")}


def test_rewrap_by_a_wrong_old_key_leaves_no_new_one(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_master_key(place / "wrong")
    before = names(place)
    words = ["server", "rewrap", *store(place, "wrong"), "--new-key", f"file:{place}/new"]
    assert main(words) != 0
    assert names(place) == before
    assert "wrapped by" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["absent", "loose", "other database"])
def test_rewrap_that_cannot_begin_leaves_no_new_key(place: Path, fault: str) -> None:
    words = ["server", "rewrap", *store(place), "--new-key", f"file:{place}/new"]
    if fault == "absent":
        words[5] = f"file:{place}/absent"
    elif fault == "loose":
        (place / "key").chmod(0o644)
    else:
        words[3] = f"sqlite:///{place}/absent/s.db"
    before = names(place)
    assert main(words) != 0
    assert names(place) == before


def test_rewrap_makes_the_new_key(place: Path) -> None:
    words = ["server", "rewrap", *store(place), "--new-key", f"file:{place}/new"]
    assert main(words) == 0
    with Store.open(f"sqlite:///{place}/s.db", open_master_key(f"file:{place}/new")) as opened:
        assert opened.health().faults == ()


def test_init_by_another_key_leaves_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(place)
    assert init(place, "wrong") != 0
    assert names(place) == before
    assert "new master key" not in capsys.readouterr().out


def test_init_does_nothing_where_the_token_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "token").write_text("somebody's")
    for token in ("token", "absent/token"):
        assert init(tmp_path, "key", "--token-file", f"{tmp_path}/{token}") == 2
        assert names(tmp_path) == {"password", "token"}


def test_a_token_that_nobody_has_counts_for_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = names(place)
    words = ["server", "local-token", "ci", *store(place), "--role", "admin"]
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert main([*words, "--output", f"{place}/token"]) != 0
    assert names(place) == before
    with Store.open(f"sqlite:///{place}/s.db", key_of(place)) as opened:
        (token,) = opened.tokens()
        assert token.name == "ci" and token.revoked


def key_of(place: Path) -> LocalMasterKey:
    """Its master key."""
    key = open_master_key(f"file:{place}/key")
    assert isinstance(key, LocalMasterKey)
    return key


def test_an_administrator_is_recovered_by_who_has_database_and_key(place: Path) -> None:
    (place / "password").write_text("another fine password")
    words = ("server", "local-admin", "admin", *store(place))
    assert main([*words, "--password-file", f"{place}/password"]) == 0
    with Store.open(f"sqlite:///{place}/s.db", open_master_key(f"file:{place}/key")) as opened:
        logins = Logins(Accounts(opened.database, opened.keys))
        assert logins.login("admin", PASSWORD, "192.0.2.1", None) is None
        assert logins.login("admin", "another fine password", "192.0.2.1", None)
        (entry,) = opened.audit_entries(action="operator.recover")
        assert (entry.actor, entry.subject) == ("local", "operator:admin")


def test_a_weak_password_recovers_nobody(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "password").write_text("short")
    words = ("server", "local-admin", "admin", *store(place))
    assert main([*words, "--password-file", f"{place}/password"]) != 0
    assert "a password has from 12" in capsys.readouterr().err
