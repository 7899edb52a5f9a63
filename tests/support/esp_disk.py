# SPDX-License-Identifier: Apache-2.0
"""An EFI system partition that knows what is on the disk and what is on its way there, and what may
be left when the power goes: anything that was not synced has reached it or not, whole or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, combinations

from pykexec.disk import fat

CLUSTER = 4096
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Change:
    """Of a directory: a name gets a file, or loses it (None)."""

    path: str
    content: int | None


@dataclass(slots=True)
class EspDisk:
    """A Volume. step is told of each write before it happens, and may stop it."""

    step: Step
    files: dict[str, int] = field(default_factory=dict)
    contents: list[bytes] = field(default_factory=list)
    synced: set[int] = field(default_factory=set)
    on_disk: dict[str, int] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)
    directories: set[str] = field(default_factory=lambda: {"", "EFI"})
    size_max: int = 4 << 20
    spoils: bool = False
    """What is written is not what can be read back."""

    def __post_init__(self) -> None:
        self.on_disk = dict(self.files)

    def add(self, path: str, data: bytes) -> None:
        """It is there, and has been for long."""
        number = self._keep(data)
        self.synced.add(number)
        self.files[path] = self.on_disk[path] = number
        self.directories.add(path.rpartition("/")[0])

    def read(self, path: str) -> bytes | None:
        return self.contents[self.files[path]] if path in self.files else None

    def sha256(self, path: str) -> str:
        data = self.read(path)
        return "" if data is None else hashlib.sha256(data).hexdigest()

    def write(self, path: str, data: bytes) -> None:
        self.step(f"write {path}")
        assert path.rpartition("/")[0] in self.directories
        assert path not in self.files
        if sum(map(_whole, map(self.size, self.files))) + _whole(len(data)) > self.size_max:
            raise OSError(28, "No space left on device", path)
        self._change(path, self._keep(data[:-1] + b"?" if self.spoils else data))

    def sync(self, path: str) -> None:
        self.step(f"sync {path}")
        self.synced.add(self.files[path])

    def rename(self, old: str, new: str) -> None:
        self.step(f"rename {old} to {new}")
        self._change(new, self.files[old])
        self._change(old, None)

    def remove(self, path: str) -> None:
        if path in self.files:
            self.step(f"remove {path}")
            self._change(path, None)

    def make_directory(self, path: str) -> None:
        if path not in self.directories:
            self.step(f"mkdir {path}")
            self.directories.add(path)

    def sync_directory(self, path: str) -> None:
        self.step(f"sync directory {path}")
        inside = [each for each in self.pending if each.path.rpartition("/")[0] == path]
        self._apply(self.on_disk, inside)
        self.pending = [each for each in self.pending if each not in inside]

    def room(self) -> tuple[int, int]:
        return self.size_max - sum(map(_whole, map(self.size, self.files))), CLUSTER

    def size(self, path: str) -> int:
        return len(self.contents[self.files[path]]) if path in self.files else 0

    def after_power_cuts(self) -> Iterator[dict[str, bytes]]:
        """All that the disk may hold: each set of what was on its way, its bytes there or not."""
        indices = range(len(self.pending))
        for chosen in chain.from_iterable(
            combinations(indices, n) for n in range(len(indices) + 1)
        ):
            left = dict(self.on_disk)
            self._apply(left, [self.pending[index] for index in chosen])
            for torn in (True, False):
                yield {
                    path: self.contents[number] if number in self.synced or not torn
                    else bytes(len(self.contents[number]))
                    for path, number in left.items()
                }  # fmt: skip

    def _keep(self, data: bytes) -> int:
        self.contents.append(data)
        return len(self.contents) - 1

    def _change(self, path: str, content: int | None) -> None:
        change = Change(path, content)
        self.pending.append(change)
        self._apply(self.files, [change])

    @staticmethod
    def _apply(files: dict[str, int], changes: list[Change]) -> None:
        for change in changes:
            if change.content is None:
                files.pop(change.path, None)
            else:
                files[change.path] = change.content


def fat_image(files: dict[str, bytes]) -> bytes:
    """The same as a FAT volume."""
    volume = fat.plan({path: memoryview(data) for path, data in files.items()}, "ESP")
    out = bytearray(volume.size)
    volume.write(memoryview(out))
    return bytes(out)


def _whole(size: int) -> int:
    return -(-size // CLUSTER) * CLUSTER
