# SPDX-License-Identifier: Apache-2.0
"""What goes on beside a disk that is served takes no disk away."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pykexec._native import ffi
from pykexec.bridge import Bridge, block, state
from pykexec.bridge.links import Links
from pykexec.errors import FirmwareError
from pykexec.firmware.devices import BlockInfo, decode_block_info
from tests.support.faults import FAULTS, inject

DISK = Bridge("block", 1, "disk-1")
EVENT = b"change@/block/null\0SUBSYSTEM=block\0"


def info() -> BlockInfo:
    """A disk that stays."""
    return decode_block_info(bytes(ffi.sizeof("struct pk_block_info")))


@dataclass(slots=True)
class Device:
    """Linux' side of the disk."""

    node: str = "null"
    done: list[str] = field(default_factory=list)

    def prepare(self) -> None: ...

    def start(self) -> None:
        self.done.append("start")

    def run(self) -> None: ...

    def stop(self) -> None:
        self.done.append("stop")

    def remove(self) -> None: ...


@dataclass(slots=True)
class Watched:
    """A disk with the thread that watches it."""

    device: Device
    watcher: block._Watcher
    events: socket.socket
    stop_fd: int

    def end(self) -> BaseException | None:
        """Have the bridge end; what its fault is."""
        os.write(self.stop_fd, b"\0")
        self.watcher.join(30)
        assert self.device.done == ["start", "stop"]
        return self.watcher.fault


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """One that is watched as soon as watcher.start() is called."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    monkeypatch.setattr(block, "open_uevents", lambda: theirs)
    monkeypatch.setattr(block, "list_handles", lambda *_: [])
    monkeypatch.setattr(block, "POLL_S", 0.01)
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # /dev/null has none.
    monkeypatch.setattr(state.Publisher.__init__, "__defaults__", (str(tmp_path), None, False))
    disk = ffi.new("struct pk_disk *")
    device = Device()
    watcher = block._Watcher(None, DISK, info(), disk, device, True, read)  # type: ignore[arg-type]
    yield Watched(device, watcher, ours, write)
    for end in (ours, theirs):
        end.close()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_what_the_last_sync_could_not_write_is_the_bridges_fault(
    fault: str, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, block, "os.fsync", fault)
    watched.watcher.start()
    error = watched.end()
    assert isinstance(error, FirmwareError)
    assert error.strerror == "not all that was written last has reached the disk"


def test_a_status_that_cannot_be_said_takes_no_disk_away(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    injected = inject(monkeypatch, state, "os.replace", "ENOSPC", times=3)
    watched.watcher.start()
    watched.events.send(EVENT)
    while injected.left or not state.records(str(tmp_path)):
        assert watched.watcher.is_alive()
    assert watched.end() is None


@pytest.mark.parametrize("fault", FAULTS)
def test_links_that_cannot_be_made_take_no_disk_away(
    fault: str, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def wanted(links: Links) -> Iterator[tuple[str, str]]:
        looked.append(links.name)
        raise FAULTS[fault]()

    monkeypatch.setattr(Links, "_wanted", wanted)
    watched.watcher.start()
    watched.events.send(EVENT)
    while len(looked) < 2:
        assert watched.watcher.is_alive()
    assert watched.end() is None


@pytest.mark.parametrize(
    ("window_mib", "nr_disks", "best_mib"),
    [(16, 0, 4), (16, 3, 4), (16, 4, 2), (16, 7, 1), (16, 40, 0.5), (64, 12, 4)],
)
def test_disks_share_the_window(window_mib: int, nr_disks: int, best_mib: float) -> None:
    sizes = block.data_sizes(window_mib << 20, nr_disks)
    assert sizes[0] == best_mib * (1 << 20)
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == block.DATA_SIZES[-1]
