# SPDX-License-Identifier: Apache-2.0
"""The cpio writer: fixed bytes, understood by cpio(1), no contradictions."""

from __future__ import annotations

import pytest

from pykexec.errors import UsageError
from pykexec.image import cpio
from pykexec.run import run
from tests.unit.image.inputs import TREE


def test_order_of_entries_does_not_matter() -> None:
    assert cpio.archive(reversed(TREE)) == cpio.archive(TREE)


def test_cpio_lists_parents_first() -> None:
    listing = run(["cpio", "--list", "--quiet"], stdin=cpio.archive(TREE)).decode()
    assert listing.split() == [
        "bin", "bin/busybox", "bin/sh", "bin.d", "bin.d/x", "dev", "dev/console", "etc", "etc/a",
        "init", "tmp",
    ]  # fmt: skip


def test_cpio_sees_owner_mode_date_and_device() -> None:
    command = ["cpio", "--list", "--verbose", "--numeric-uid-gid", "--quiet"]
    listing = run(command, stdin=cpio.archive(TREE), env={"TZ": "UTC", "LC_ALL": "C"}).decode()
    assert listing.splitlines()[1].split() == "-rwxr-xr-x 1 0 0 4 Jan 1 1970 bin/busybox".split()
    assert listing.splitlines()[6].split() == "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console".split()


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (cpio.file("etc/a", b"even"), "two different files are to become /etc/a"),
        (cpio.file("etc/a/b", b""), "/etc/a is no directory, but /etc/a/b lies in it"),
    ],
)
def test_contradicting_entries_are_refused(other: cpio.Entry, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        cpio.archive([*TREE, other])
