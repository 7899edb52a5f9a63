# SPDX-License-Identifier: Apache-2.0
"""Ports to the window: what the dead leave behind is nobody's; a file is the window."""

from __future__ import annotations

import errno
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pykexec._native import ffi, lib

if TYPE_CHECKING:
    from pykexec._native import CData

COUNTERS = ffi.offsetof("struct pk_window", "counters")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Window:
    """The file, and what is in it."""

    path: Path
    data: mmap.mmap

    def open(self, size: int) -> CData:
        """A port with size bytes of data area."""
        result, port = self.try_open(size)
        assert result == 0
        return port

    def try_open(self, size: int) -> tuple[int, CData]:
        """What pk_port_open() returns, and the port if there is one."""
        port = ffi.new("struct pk_port **")
        path = str(self.path).encode()
        return lib.pk_port_open(path, path, b"/dev/null", size, port), port[0]

    @contextmanager
    def opened(self, size: int) -> Iterator[CData]:
        """open() until the end of a block."""
        port = self.open(size)
        yield port
        lib.pk_port_close(port)

    def counters(self, channel: int) -> tuple[int, int]:
        """What was posted to a channel, and what of it served."""
        posted, served = struct.unpack_from("<II", self.data, COUNTERS + 8 * channel)
        return posted, served

    def post(self, channel: int, posted: int) -> None:
        """What a process does before it rings."""
        struct.pack_into("<I", self.data, COUNTERS + 8 * channel, posted)


def make_window(path: Path, size: int, said: int | None = None) -> Window:
    """One that nobody uses; said is the size that its header tells."""
    told = size if said is None else said
    head = struct.pack("<QIIQ", lib.PK_WINDOW_MAGIC, lib.PK_WINDOW_VERSION, 0, told)
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(size)
        return Window(path, mmap.mmap(file.fileno(), size))


@pytest.fixture
def window(tmp_path: Path) -> Window:
    """One that nobody uses."""
    return make_window(tmp_path / "window", lib.PK_WINDOW_SIZE)


def test_what_the_dead_have_posted_is_not_served_with_the_data_of_the_living(
    window: Window,
) -> None:
    first, dead = window.open(2 * MIB), window.open(2 * MIB)
    window.post(1, 3)
    # As the kernel does at the end of a process: the locks go, memory stays what it is.
    lib.pk_port_close(first)
    lib.pk_port_close(dead)
    with window.opened(4 * MIB):
        assert window.counters(1) == (0, 0)


def test_what_the_living_have_posted_stays(window: Window) -> None:
    with window.opened(2 * MIB), window.opened(2 * MIB):
        window.post(0, 2)
        window.post(1, 3)
        with window.opened(2 * MIB):
            assert [window.counters(n)[0] for n in range(3)] == [2, 3, 0]


def test_a_channel_that_was_looked_at_is_free(window: Window) -> None:
    with window.opened(MIB), window.opened(MIB), window.opened(MIB):
        window.post(2, 1)
    with window.opened(MIB), window.opened(MIB), window.opened(MIB):
        window.post(2, 1)
        with window.opened(MIB):
            assert window.counters(2)[0] == 1


@pytest.mark.parametrize(("size", "nr_ports"), [(16 * MIB, 3), (32 * MIB, 7)])
def test_a_window_has_room_for_as_many_as_it_is_large(
    size: int, nr_ports: int, tmp_path: Path
) -> None:
    window = make_window(tmp_path / "window", size)
    for number in range(nr_ports):
        area = ffi.buffer(lib.pk_port_data(window.open(4 * MIB)), 4 * MIB)
        area[-1:] = bytes([number + 1])
    assert window.try_open(4 * MIB)[0] == -errno.EBUSY
    ends = [lib.PK_WINDOW_DATA + 4 * MIB * n - 1 for n in range(1, nr_ports + 1)]
    assert [window.data[end] for end in ends] == list(range(1, nr_ports + 1))


@pytest.mark.parametrize("said", [0, 8 * MIB, 17 * MIB, 512 * MIB, 1 << 63])
def test_a_window_of_a_size_that_cannot_be_is_none(said: int, tmp_path: Path) -> None:
    window = make_window(tmp_path / "window", 32 * MIB, said)
    assert window.try_open(MIB)[0] == -errno.EPROTO
