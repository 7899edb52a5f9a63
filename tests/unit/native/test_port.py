# SPDX-License-Identifier: Apache-2.0
"""Ports to the window: what the dead leave behind is nobody's; a file is the window."""

from __future__ import annotations

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
        port = ffi.new("struct pk_port **")
        path = str(self.path).encode()
        assert lib.pk_port_open(path, path, b"/dev/null", size, port) == 0
        opened: CData = port[0]
        return opened

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


@pytest.fixture
def window(tmp_path: Path) -> Window:
    """One that nobody uses."""
    path = tmp_path / "window"
    head = struct.pack("<QII", lib.PK_WINDOW_MAGIC, lib.PK_WINDOW_VERSION, 0)
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(lib.PK_WINDOW_SIZE)
        return Window(path, mmap.mmap(file.fileno(), lib.PK_WINDOW_SIZE))


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
