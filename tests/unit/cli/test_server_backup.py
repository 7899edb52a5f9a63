# SPDX-License-Identifier: Apache-2.0
"""`pykexec server backup-key`, `backup` and `restore`, as an operator uses them."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from pykexec.cli import _progress, main
from pykexec.server.keys.masterkey import MasterKey, create_master_key, open_master_key
from pykexec.server.store.store import Store
from tests.support.store_samples import OPERATOR


@pytest.fixture(name="place")
def place_fixture(tmp_path: Path) -> Path:
    """A directory with a server's database, its master key and a key for backups."""
    create_master_key(tmp_path / "key")
    with Store.open(f"sqlite:///{tmp_path}/s.db", master(tmp_path), migrate=True) as store:
        store.put_policy("a", "version = 1", OPERATOR)
    assert main(["server", "backup-key", "--output", f"{tmp_path}/identity"]) == 0
    return tmp_path


def master(place: Path) -> MasterKey:
    return open_master_key(f"file:{place}/key")


def recipient(place: Path) -> str:
    return (place / "identity").read_text().splitlines()[0].removeprefix("# ")


def backup(place: Path, *more: str) -> int:
    words = ["server", "backup", "--database", f"sqlite:///{place}/s.db"]
    words += ["--master-key", f"file:{place}/key", "--output", f"{place}/b"]
    return main([*words, *more])


def restore(place: Path, *more: str) -> int:
    words = ["server", "restore", f"{place}/b", "--identity", f"{place}/identity"]
    words += ["--master-key", f"file:{place}/key", "--database", f"sqlite:///{place}/new.db"]
    return main([*words, *more])


def test_a_backup_comes_back_once_the_operator_has_agreed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "identity").unlink()
    assert main(["server", "backup-key", "--output", f"{place}/identity"]) == 0
    assert f"--recipient {recipient(place)}" in capsys.readouterr().out
    assert backup(place, "--recipient", recipient(place)) == 0
    said = capsys.readouterr().out
    assert "ends with entry 1, hash " in said and "needs the master key local:" in said
    with Store.open(f"sqlite:///{place}/s.db", master(place)) as store:
        store.put_policy("b", "version = 1", OPERATOR)
    old = ("--old-database", f"sqlite:///{place}/s.db")
    assert restore(place, *old) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing was changed" in line and "(1 policy.put)" in line
    assert not (place / "new.db").exists()
    assert restore(place, *old, "--accept", "rollback") == 0
    assert "forgotten: 1 entries of the audit trail (1 policy.put)" in capsys.readouterr().out
    with Store.open(f"sqlite:///{place}/new.db", master(place)) as store:
        assert [policy.name for policy in store.policies()] == ["a"]


def test_nobody_else_can_read_keys_and_backups(place: Path) -> None:
    assert backup(place, "--recipient", recipient(place)) == 0
    for name in ("identity", "b"):
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o600


def test_what_cannot_be_is_said_in_a_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert backup(place, "--recipient", "age1nobody") == 2
    (place / "b").write_text("another file")
    assert backup(place, "--recipient", recipient(place)) == 2
    assert restore(place, "--seq", "1") == 2
    assert restore(place) == 3
    words = capsys.readouterr().err.splitlines()
    assert len(words) == 4
    assert words[3].startswith("pykexec: not as it was written")


def test_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 2.5, 2.5, 3.0, 5.0, 5.0])
    monkeypatch.setattr(_progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    progress = _progress.Progress()
    for number in range(4):
        progress(f"step {number}")
    assert capsys.readouterr().err.splitlines() == ["step 1", "step 3"]
