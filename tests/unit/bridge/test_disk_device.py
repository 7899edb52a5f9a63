# SPDX-License-Identifier: Apache-2.0
"""By what a disk becomes a block device on which kernel."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pykexec._native import ffi
from pykexec.bridge import disk_device
from pykexec.bridge.disk_device import (
    UNUSABLE,
    NbdDevice,
    UblkDevice,
    has_faulty_ublk,
    open_device,
)
from pykexec.errors import FirmwareError


@pytest.mark.parametrize(
    ("release", "faulty"),
    [
        ("6.1.0-50-cloud-amd64", False),
        ("6.5.0", True),
        ("6.12.95+deb12-cloud-amd64", True),
        ("6.12.117+deb13-rt-amd64", True),
        ("6.14.11", True),
        ("6.15.0-rc1", False),
        ("6.19.3", False),
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


class Kernel:
    """Of the native calls those that make a device: has says what for, ublk what it answers."""

    def __init__(self, patch: pytest.MonkeyPatch, path: Path, has: set[str], ublk: int = 0) -> None:
        for name in has:
            (path / name).touch()
        self._has, self._ublk = has, ublk
        patch.setattr(disk_device, "UBLK_CONTROL", str(path / "ublk"))
        patch.setattr(disk_device, "_NBD_MODULE", str(path / "nbd"))
        patch.setattr(disk_device, "_ublk_devices", list)
        patch.setattr(disk_device, "_nbd_devices", lambda name: [])
        patch.setattr(disk_device, "_retry", lambda step, code: 0)
        patch.setattr(disk_device, "lib", self)
        patch.setattr("pykexec.linux.modules.load", lambda name: [f"{name}: not there"])

    def pk_ublk_add(self, disk: object, tag: int, added: Any) -> int:
        """A device, or -errno."""
        added[0] = 1
        return self._ublk

    def pk_nbd_connect(self, disk: object, name: bytes, fd: int, made: Any) -> int:
        """A device where there is NBD."""
        made[0] = 2
        return 0 if "nbd" in self._has else -errno.ENOENT


@pytest.mark.parametrize(
    ("release", "has", "node"),
    [
        ("6.1.0", {"nbd"}, "nbd2"),
        ("6.12.95", {"nbd", "ublk"}, "nbd2"),
        ("6.12.95", {"ublk"}, "ublkb1"),
        ("7.2.13", {"nbd", "ublk"}, "ublkb1"),
    ],
)
def test_a_disk_goes_by_what_can_be_trusted(
    release: str, has: set[str], node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(monkeypatch, tmp_path, has)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert open_device(ffi.NULL, "disk-1").node == node


@pytest.mark.parametrize("answer", UNUSABLE)
def test_ublk_that_cannot_be_used_leaves_the_disk_to_nbd(
    answer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Kernel(monkeypatch, tmp_path, {"nbd", "ublk"}, -answer)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="7.2.13"))
    assert open_device(ffi.NULL, "disk-1").node == "nbd2"
    assert caplog.messages == [f"ublk: new device: {os.strerror(answer)}: the disk goes by NBD"]


@pytest.mark.parametrize(
    ("has", "answer", "code"),
    [
        ({"ublk"}, errno.EPERM, errno.EPERM),
        ({"nbd", "ublk"}, errno.ENOSPC, errno.ENOSPC),
        (set(), 0, errno.ENODEV),
    ],
)
def test_a_disk_that_has_no_way_says_which_failed(
    has: set[str], answer: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(monkeypatch, tmp_path, has, -answer)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="7.2.13"))
    with pytest.raises(FirmwareError) as caught:
        open_device(ffi.NULL, "disk-1")
    assert caught.value.errno == code


@pytest.mark.parametrize("kind", [NbdDevice, UblkDevice])
def test_who_serves_a_disk_puts_nobody_aside(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    policies: list[int] = []

    def serve(*_: object) -> int:
        policies.append(os.sched_getscheduler(0))
        return 0

    monkeypatch.setattr(
        disk_device, "lib", SimpleNamespace(pk_ublk_serve=serve, pk_nbd_serve=serve)
    )
    device = kind(ffi.NULL, "disk-1")
    device._socket = socket.socket()
    # The policy is a thread's.
    thread = threading.Thread(target=device.run)
    thread.start()
    thread.join()
    assert policies == [os.SCHED_BATCH]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
