# SPDX-License-Identifier: Apache-2.0
"""Files are there whole or not at all: whoever writes them, and whatever stops it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pykexec import whole

TMPFILE = os.O_TMPFILE
# A writer that is killed when it calls one function of os; without O_TMPFILE if so told.
KILLED = """
import errno, os, signal, sys
from pathlib import Path
from pykexec import whole
way, call, nameless, target = sys.argv[1:]
opened = os.open
def refused(path, flags, *rest, **more):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, "")
    return opened(path, flags, *rest, **more)
if nameless == "False":
    os.open = refused
setattr(os, call, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
getattr(whole, way)(Path(target), b"new")
"""
CALLS = ("fchmod", "write", "fsync", "link", "replace")


def without_nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT, NFS or FUSE."""
    opened = os.open

    def refused(path: str, flags: int, *rest: int, **more: int) -> int:
        if flags & TMPFILE == TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refused)


@pytest.fixture(name="target", params=["nameless", "named"])
def target_fixture(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A file that is not there yet, on either kind of file system."""
    if request.param == "named":
        without_nameless(monkeypatch)
    return tmp_path / "target"


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_new_file_is_whole_and_private(target: Path) -> None:
    whole.create(target, b"secret")
    assert target.read_bytes() == b"secret"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(target.parent) == {"target"}


@pytest.mark.parametrize("there", ["file", "link", "dangling"])
def test_what_is_there_is_not_overwritten(target: Path, there: str) -> None:
    if there == "file":
        target.write_bytes(b"old")
    else:
        target.symlink_to(target.parent if there == "link" else "nowhere")
    before = names(target.parent)
    with pytest.raises(FileExistsError):
        whole.create(target, b"new")
    assert names(target.parent) == before and (there != "file" or target.read_bytes() == b"old")


@pytest.mark.parametrize("mode", [None, 0o600])
def test_a_file_takes_the_place_of_another(target: Path, mode: int | None) -> None:
    target.write_bytes(b"old")
    target.chmod(0o640)
    whole.replace(target, b"new", mode)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == (mode or 0o640)
    assert names(target.parent) == {"target"}


@pytest.mark.parametrize("write", [whole.create, whole.replace])
@pytest.mark.parametrize("call", CALLS)
def test_who_fails_leaves_nothing(
    target: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None], call: str
) -> None:
    reached = []

    def fails(*_: object, **__: object) -> None:
        reached.append(call)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fails)
    try:
        write(target, b"new")
    except OSError as error:
        assert error.errno == errno.ENOSPC
        assert names(target.parent) == set()
    assert bool(reached) != target.exists()


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("way", ["create", "replace"])
@pytest.mark.parametrize("call", CALLS)
def test_what_the_killed_leave_is_taken_away(
    tmp_path: Path, way: str, call: str, nameless: bool
) -> None:
    words = [sys.executable, "-c", KILLED, way, call, str(nameless), str(tmp_path / "target")]
    code = subprocess.run(words, check=False).returncode
    if code == 0:
        assert names(tmp_path) == {"target"}, "it has no need of that call"
        return
    assert code == -signal.SIGKILL
    assert "target" not in names(tmp_path)
    # Only in the instant between its name and its place is there one, where there need be none.
    assert len(names(tmp_path)) == (0 if nameless and call != "replace" else 1)
    whole.create(tmp_path / "other", b"new")
    assert names(tmp_path) == {"other"}


def test_what_is_being_written_is_left_alone(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, synced = target.parent / "other", os.fsync

    def meanwhile(fd: int) -> None:
        monkeypatch.setattr(os, "fsync", synced)
        whole.replace(other, b"other")
        synced(fd)

    monkeypatch.setattr(os, "fsync", meanwhile)
    whole.create(target, b"new")
    assert (target.read_bytes(), other.read_bytes()) == (b"new", b"other")
    assert names(target.parent) == {"target", "other"}


def test_what_is_somebody_elses_is_left_alone(target: Path) -> None:
    directory, link = ".pykexec-directory.tmp", ".pykexec-link.tmp"
    (target.parent / directory).mkdir()
    (target.parent / link).symlink_to("nowhere")
    os.mkfifo(target.parent / ".pykexec-fifo.tmp")
    (target.parent / ".pykexec-notes").write_bytes(b"")
    before = names(target.parent)
    whole.create(target, b"new")
    assert names(target.parent) == before | {"target"}


def test_a_directory_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        whole.create(tmp_path / "absent" / "target", b"new")
