# SPDX-License-Identifier: Apache-2.0
"""What an operator does, and what is known afterwards."""

from __future__ import annotations

from pykexec.install import change
from pykexec.install.nvram import read_slots
from pykexec.install.slots import InSlot, Slots
from tests.support.boot_manager import NEW, OLD, World, identity


def install(world: World, data: bytes = OLD, place: str = "first", fallback: bool = False) -> None:
    change.install(world.machine, data, identity(data), place, fallback=fallback, force=False)


def update(world: World, data: bytes = NEW, force: bool = False) -> None:
    change.update(world.machine, data, identity(data), force=force)


def restart(world: World) -> str:
    *_, files = world.disks()
    return world.start(files)


def slots(world: World) -> Slots:
    found = read_slots(world.machine.nvram)
    assert found is not None
    return found


def version(image: InSlot | None) -> str:
    return image.version.split()[1] if image else ""
