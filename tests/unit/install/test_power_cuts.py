# SPDX-License-Identifier: Apache-2.0
"""Whatever is being done to our image, the power may go before any write, and a write may fail: the
machine boots the old or the new image, and what was begun can be done again.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pykexec.errors import UsageError
from pykexec.install import change, trial
from pykexec.install.change import Machine
from pykexec.install.nvram import read_slots
from pykexec.install.slots import FALLBACK
from tests.support.boot_manager import NEW, OLD, OLDER, Power, World, identity

Change = Callable[[Machine], None]


def install(machine: Machine, data: bytes = OLD, place: str = "first") -> None:
    change.install(machine, data, identity(data), place, fallback=False, force=False)


def install_with_fallback(machine: Machine) -> None:
    change.install(machine, OLD, identity(OLD), "first", fallback=True, force=False)


def install_on_trial(machine: Machine) -> None:
    install(machine, place="trial")


def update(machine: Machine, data: bytes = NEW) -> None:
    change.update(machine, data, identity(data), force=False)


def remove(machine: Machine) -> None:
    change.remove(machine, force=False)


def agent(here: str) -> Change:
    """What an agent of that slot does until its payload starts."""

    def act(machine: Machine) -> None:
        slots = read_slots(machine.nvram)
        assert slots is not None
        begun = trial.begin(machine.nvram, slots, here)
        trial.succeed(machine.nvram, begun, here)

    return act


def with_old(world: World) -> None:
    """Nothing else was ever here."""
    world.run(install)


def with_two(world: World) -> None:
    """Two updates have gone well: OLD is active, OLDER beside it."""
    world.run(lambda machine: install(machine, OLDER))
    world.run(lambda machine: update(machine, OLD))
    restarted(world)


def with_two_and_a_copy(world: World) -> None:
    """The copy for firmware without boot options is the first image still."""
    world.run(
        lambda machine: change.install(
            machine, OLDER, identity(OLDER), "first", fallback=True, force=False
        )
    )
    world.run(lambda machine: update(machine, OLD))
    restarted(world)


def with_no_room(world: World) -> None:
    """There is room for two images and no third."""
    with_two(world)
    free, cluster = world.esp.room()
    world.esp.size_max -= free - 6 * cluster


def on_trial(world: World) -> None:
    """NEW waits in slot a for its one start, OLD is active in slot b."""
    with_two(world)
    world.run(update)


def tried(world: World) -> None:
    """The firmware has used BootNext up."""
    on_trial(world)
    (world.variables / next(p.name for p in world.variables.iterdir() if "Next" in p.name)).unlink()


def nothing(world: World) -> None:
    """A machine as its vendor has made it."""


def restarted(world: World) -> None:
    """Nobody cuts the power."""
    *_, files = world.disks()
    world.start(files)


@dataclass(frozen=True, slots=True)
class Case:
    """What is there, what is done, which images may boot if it is not done to its end, and which
    does when it is.
    """

    before: Callable[[World], None]
    act: Change
    may: tuple[str, ...]
    then: str


CASES = {
    "install": Case(nothing, install, ("debian", "old"), "old"),
    "install-last": Case(nothing, lambda m: install(m, place="last"), ("debian",), "debian"),
    "install-fallback": Case(nothing, install_with_fallback, ("debian", "old"), "old"),
    "install-trial": Case(nothing, install_on_trial, ("debian", "old"), "old"),
    "first-update": Case(with_old, update, ("old", "new"), "new"),
    "update": Case(with_two, update, ("old", "new"), "new"),
    "update-copy": Case(with_two_and_a_copy, update, ("old", "new"), "new"),
    "update-no-room": Case(with_no_room, update, ("old", "new"), "new"),
    "update-again": Case(on_trial, update, ("old", "new"), "new"),
    "promoted": Case(tried, agent("a"), ("old", "new"), "new"),
    "given-up": Case(tried, agent("b"), ("old",), "old"),
    "called-off": Case(on_trial, change.rollback, ("old", "new"), "old"),
    "rollback": Case(with_two, change.rollback, ("old", "older"), "older"),
    "remove": Case(with_two, remove, ("debian", "old"), "debian"),
}


def world_of(case: Case, directory: Path) -> World:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    world = World(directory)
    case.before(world)
    return world


def nr_writes(case: Case, directory: Path) -> int:
    world = world_of(case, directory)
    world.power = Power()
    world.run(case.act)
    return len(world.power.writes)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_power_may_go_before_every_write(case: Case, tmp_path: Path) -> None:
    directory, kept = tmp_path / "efivars", tmp_path / "kept"
    for cut in range(nr_writes(case, directory) + 1):
        world = world_of(case, directory)
        world.power = Power(cut)
        world.run(case.act)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(directory, kept)
        for files in world.disks():
            shutil.rmtree(directory)
            shutil.copytree(kept, directory)
            booted = world.start(files)
            assert booted in case.may or booted == case.then, (cut, world.power.writes)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_was_cut_off_can_be_done_again(case: Case, tmp_path: Path) -> None:
    directory = tmp_path / "efivars"
    for cut in range(nr_writes(case, directory)):
        world = world_of(case, directory)
        world.power = Power(cut)
        world.run(case.act)
        *_, files = world.disks()
        world.power = Power()
        again(world, case)
        *_, files = world.disks()
        assert world.start(files) == case.then, (cut, world.order)


def again(world: World, case: Case) -> None:
    """Whoever did it does it again, where there is anything left to do."""
    world.esp.pending.clear()
    try:
        world.run(case.act)
    except UsageError as error:
        assert "already" in str(error) or "installed here" in str(error), error


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_write_may_fail(case: Case, fault: int, tmp_path: Path) -> None:
    directory = tmp_path / "efivars"
    for cut in range(nr_writes(case, directory)):
        world = world_of(case, directory)
        world.power = Power(cut, OSError(fault, "it fails"))
        with pytest.raises(OSError, match="it fails"):
            world.run(case.act)
        *_, files = world.disks()
        booted = world.start(files)
        assert booted in case.may or booted == case.then, (cut, world.power.writes)


def test_the_copy_for_firmware_without_options_is_never_on_trial(tmp_path: Path) -> None:
    world = world_of(CASES["update-copy"], tmp_path / "efivars")
    assert world.esp.read(FALLBACK) == OLDER
    world.run(update)
    assert world.esp.read(FALLBACK) == OLD
