# SPDX-License-Identifier: Apache-2.0
"""The builder's files: outputs appear whole or not at all, added trees come as they are."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pykexec.errors import FormatError, UsageError
from pykexec.image import bzimage, cpio, files, initrd
from tests.unit.image.inputs import kernel_bytes


def test_an_output_that_is_a_link_stays_one_and_a_file_keeps_who_may_read_it(
    tmp_path: Path,
) -> None:
    real, link = tmp_path / "real.efi", tmp_path / "link.efi"
    real.write_bytes(b"old")
    real.chmod(0o600)
    link.symlink_to(real.name)
    files.check_writable(link)
    files.write_atomically(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert set(tmp_path.iterdir()) == {real, link}


def test_a_new_output_is_as_readable_as_any_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    files.write_atomically(tmp_path / ("n" * 250), b"new")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1 and len(list(tmp_path.iterdir())) == 2


def test_a_failing_write_takes_away_its_own_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f".image.efi.{os.getpid()}.tmp").write_bytes(b"somebody else's")
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(os, "fsync", lambda fd: raise_no_space())
    with pytest.raises(UsageError, match="No space left"):
        files.write_atomically(tmp_path / "image.efi", b"x")
    assert set(tmp_path.iterdir()) == before


def raise_no_space() -> None:
    """The disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_is_no_file_is_no_output() -> None:
    with pytest.raises(UsageError, match="/dev/null: is no file"):
        files.check_writable(Path("/dev/null"))


@pytest.mark.parametrize("version", ["../../../etc", "/etc", "6.1\nID=evil", "", ".", "6.1/x", "é"])
def test_a_kernel_whose_version_is_none_is_refused(version: str) -> None:
    with pytest.raises(FormatError, match=r"vmlinuz: .* is no kernel version"):
        bzimage.parse(kernel_bytes(version=f"{version} (me) #1"), "vmlinuz")


def tree(root: Path) -> Path:
    """A directory to be added."""
    (root / "tree/sub").mkdir(parents=True)
    (root / "tree/sub").chmod(0o750)
    for name, mode in {"secret": 0o600, "suid": 0o4755, "sub/plain": 0o644}.items():
        (root / "tree" / name).write_bytes(b"x")
        (root / "tree" / name).chmod(mode)
    os.symlink("a//b/./c/", root / "tree/first")
    os.symlink("./x", root / "tree/second")
    return root / "tree"


def test_an_added_directory_comes_as_it_is(tmp_path: Path) -> None:
    added = initrd._addition(tree(tmp_path))
    found = {entry.path: (stat.S_IMODE(entry.mode), entry.data) for entry in added.entries}
    assert found == {
        "first": (0o777, b"a//b/./c/"),
        "second": (0o777, b"./x"),
        "secret": (0o600, b"x"),
        "sub": (0o750, b""),
        "sub/plain": (0o644, b"x"),
        "suid": (0o4755, b"x"),
    }
    assert added.unpacked_size == len(cpio.archive(added.entries))


def bad_name(directory: bytes) -> None:
    """A file whose name is no text."""
    open(directory + b"/\xff\xfe", "w").close()


def bad_target(directory: bytes) -> None:
    """A link that leads to such a name."""
    os.symlink(b"\xff\xfe", directory + b"/link")


def trailer(directory: bytes) -> None:
    """A file that ends the archive for the kernel."""
    open(directory + b"/TRAILER!!!", "w").close()


def pipe(directory: bytes) -> None:
    """What is no file."""
    os.mkfifo(directory + b"/pipe")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (bad_name, "not UTF-8"),
        (bad_target, "not UTF-8"),
        (trailer, "ends an archive"),
        (pipe, "neither file, directory nor symbolic link"),
    ],
)
def test_what_an_archive_cannot_hold_is_refused(
    make: Callable[[bytes], None], fault: str, tmp_path: Path
) -> None:
    root = tree(tmp_path)
    make(os.fsencode(root))
    with pytest.raises(UsageError, match=fault):
        initrd._addition(root)


def test_a_directory_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("sub"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return listed(path)

    root = tree(tmp_path)
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match="tree/sub: Permission denied"):
        initrd._addition(root)
