# SPDX-License-Identifier: Apache-2.0
"""By what a disk becomes a block device on which kernel."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pykexec._native import ffi
from pykexec.bridge import disk_device
from pykexec.bridge.disk_device import NbdDevice, UblkDevice, has_faulty_ublk, open_device


@pytest.mark.parametrize(
    ("release", "faulty"),
    [
        ("6.1.0-50-cloud-amd64", False),
        ("6.5.0", True),
        ("6.12.95+deb12-cloud-amd64", True),
        ("6.12.117+deb13-rt-amd64", True),
        ("6.19.3", True),
        ("7.0.0-rc1", False),
        ("7.2.13+deb14-cloud-amd64", False),
        ("10.1", False),
        ("unknown", False),
    ],
)
def test_kernels_that_a_killed_ublk_server_takes_along_are_known(
    release: str, faulty: bool
) -> None:
    assert has_faulty_ublk(release) == faulty


@pytest.mark.parametrize(
    ("release", "has", "kind"),
    [
        ("6.1.0", {"nbd"}, NbdDevice),
        ("6.12.95", {"nbd", "ublk"}, NbdDevice),
        ("6.12.95", {"ublk"}, UblkDevice),
        ("7.2.13", {"nbd", "ublk"}, UblkDevice),
        ("7.2.13", set(), NbdDevice),
    ],
)
def test_a_disk_goes_by_what_can_be_trusted(
    release: str, has: set[str], kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in has:
        (tmp_path / name).touch()
    monkeypatch.setattr(disk_device, "UBLK_CONTROL", str(tmp_path / "ublk"))
    monkeypatch.setattr(disk_device, "_NBD_MODULE", str(tmp_path / "nbd"))
    monkeypatch.setattr("pykexec.linux.modules.load", lambda name: [])
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert isinstance(open_device(ffi.NULL, "disk-1"), kind)
