# SPDX-License-Identifier: Apache-2.0
"""What is refused before anything is written, and what takes force."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykexec.efi.guid import Guid
from pykexec.efi.variables import global_name
from pykexec.errors import FormatError, UsageError
from pykexec.install import change
from pykexec.install.change import Machine
from pykexec.install.nvram import Nvram
from pykexec.install.slots import FALLBACK, InSlot
from tests.support.boot_manager import NEW, OLD, World, identity
from tests.support.own_images import own_image
from tests.unit.install.doing import install, restart, slots, update


def unchanged(world: World, act: Callable[[], None]) -> bool:
    """Was nothing written?"""
    world.power.writes.clear()
    act()
    return not world.power.writes


def refused(world: World, act: Callable[[], None], kind: type[Exception], words: str) -> None:
    """With nothing written."""

    def run() -> None:
        with pytest.raises(kind, match=words):
            act()

    assert unchanged(world, run)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (own_image("0.9"), "pykexec 0.9, 1.0 is in use"),
        (own_image("1.0", "6.12.0"), "Linux 6.12.0, 6.12.1 is in use"),
        (own_image("1.1", "6.12.2", sbat=b"sbat,1\npykexec,0\n"), "pykexec is of generation 0"),
        (own_image("1.1", "6.12.2", sbat=b"sbat,1\n"), "pykexec has none, 1 is in use"),
    ],
)
def test_a_downgrade_is_refused_before_anything_is_written(
    data: bytes, why: str, world: World
) -> None:
    install(world)
    refused(world, lambda: update(world, data), FormatError, f"a downgrade: .*{why}")
    update(world, data, force=True)
    assert slots(world).trial == InSlot("b", identity(data).sha256, str(identity(data)))


def test_a_kernel_of_an_older_generation_is_a_downgrade(world: World) -> None:
    install(world, own_image("1.0", kernel_sbat=b"sbat,1\nlinux,2\n"))
    older = own_image("1.1", "6.13", kernel_sbat=b"sbat,1\nlinux,1\n")
    refused(world, lambda: update(world, older), FormatError, "linux is of generation 1, 2")


def test_an_update_that_cannot_be_compared_needs_force(world: World) -> None:
    install(world)
    world.esp.remove("EFI/pykexec/a.efi")
    refused(world, lambda: update(world), FormatError, "cannot be compared")
    update(world, force=True)
    assert restart(world) == "new"


def test_a_full_partition_is_found_before_anything_is_written(world: World) -> None:
    world.esp.size_max = 16 << 10
    refused(world, lambda: install(world), OSError, "the EFI system partition is full")
    world.esp.size_max = 4 << 20
    install(world)
    update(world)
    restart(world)
    free, cluster = world.esp.room()
    world.esp.size_max -= free - cluster
    refused(world, lambda: update(world, own_image("1.2", initrd_size=99999)), OSError, "full")


def test_variables_that_would_not_fit_are_found_before_anything_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Nvram, "room", lambda nvram: 2000)
    refused(world, lambda: install(world), OSError, "has room for 2000 bytes of variables")
    monkeypatch.setattr(Nvram, "room", lambda nvram: None)
    install(world)


def test_a_disk_that_does_not_give_back_what_was_written_changes_nothing(world: World) -> None:
    install(world)
    world.esp.spoils = True
    with pytest.raises(OSError, match="does not give back"):
        update(world)
    assert world.get("BootNext") == b""
    assert world.esp.read("EFI/pykexec/b.efi") is None
    assert restart(world) == "old"


def test_the_fallback_is_taken_where_it_is_free_or_ours(world: World) -> None:
    world.esp.add(FALLBACK, b"of another")
    refused(world, lambda: install(world, fallback=True), UsageError, "is another's")
    world.esp.remove(FALLBACK)
    install(world, fallback=True)
    assert world.esp.read(FALLBACK) == OLD
    for name in ("BootOrder", "Boot0000", "Boot0003"):
        world.machine.nvram.drop(global_name(name))
    assert restart(world) == "old"


def test_what_would_leave_nothing_to_boot_needs_force(world: World) -> None:
    install(world)
    world.set("BootOrder", b"\0\0")
    refused(
        world, lambda: change.remove(world.machine, force=False), UsageError, "nothing would boot"
    )
    change.remove(world.machine, force=True)
    assert world.order == []


@pytest.mark.parametrize("act", [update, lambda world: change.rollback(world.machine)])
def test_nothing_can_be_done_to_what_is_not_installed(
    act: Callable[[World], None], world: World
) -> None:
    refused(world, lambda: act(world), UsageError, "no image of pykexec is installed")


def test_a_second_installation_is_an_update(world: World) -> None:
    install(world)
    refused(world, lambda: install(world), UsageError, "installed already")


def test_another_partition_than_the_one_of_the_installation_is_refused(world: World) -> None:
    install(world)
    other = Guid.parse("11111111-0000-4000-8000-eeeeeeeeeeee")
    elsewhere = Machine(world.esp, world.machine.nvram, world.machine.drive, other, print)
    with pytest.raises(UsageError, match="on the partition eeeeeeee-0000"):
        change.update(elsewhere, NEW, identity(NEW), force=False)
