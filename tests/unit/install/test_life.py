# SPDX-License-Identifier: Apache-2.0
"""An image's life on a machine: installed, tried, promoted, given up, taken back, removed."""

from __future__ import annotations

import pytest

from pykexec.efi.variables import global_name
from pykexec.errors import UsageError
from pykexec.install import change, trial
from pykexec.install.nvram import read_slots
from pykexec.install.status import status_lines
from tests.support.boot_manager import DEBIAN, NEW, OLD, OLDER, Power, World, identity
from tests.support.own_images import own_image
from tests.unit.install.doing import install, restart, slots, update, version


@pytest.mark.parametrize(
    ("place", "order", "boots"),
    [
        ("first", [0, 3], "old"),
        ("last", [3, 0], "debian"),
        ("none", [3], "debian"),
        ("trial", [0, 3], "old"),
    ],
)
def test_an_installation_goes_where_the_operator_says(
    place: str, order: list[int], boots: str, world: World
) -> None:
    install(world, place=place)
    assert restart(world) == boots
    assert world.order == order
    assert version(slots(world).active) == "1.0"


def test_a_first_installation_that_has_failed_can_be_done_again(world: World) -> None:
    world.fails = (OLD,)
    install(world, place="trial")
    assert restart(world) == "debian"
    install(world, NEW)
    assert restart(world) == "new"
    found = slots(world)
    assert (version(found.active), version(found.failed)) == ("1.1", "1.0")


def test_a_first_installation_that_hangs_leaves_the_machine_as_it_was(world: World) -> None:
    world.hangs = (OLD,)
    install(world, place="trial")
    assert restart(world) == "debian"
    assert world.order == [3]


def test_an_update_is_tried_and_takes_the_place_of_the_one_before(world: World) -> None:
    install(world, place="last")
    world.set("BootOrder", b"\0\0\3\0")
    update(world)
    assert world.order == [0, 3]
    assert restart(world) == "new"
    assert world.order == [1, 0, 3]
    assert restart(world) == "new"
    found = slots(world)
    assert (version(found.active), version(found.previous)) == ("1.1", "1.0")
    assert found.trial is found.failed is None


def test_an_update_of_what_is_in_no_order_comes_into_none(world: World) -> None:
    install(world, place="none")
    update(world)
    assert restart(world) == "new"
    assert world.order == [3]
    assert version(slots(world).active) == "1.1"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("hangs", "the firmware did not start it, or it ended before its agent was up"),
        ("fails", "it neither attested nor reached its payload"),
    ],
)
def test_an_update_that_fails_gives_way_and_it_is_known_why(
    how: str, why: str, world: World
) -> None:
    install(world)
    update(world)
    setattr(world, how, (NEW,))
    assert restart(world) == "old"
    assert world.order == [0, 3]
    found = slots(world)
    assert (version(found.failed), found.reason) == ("1.1", why)
    assert version(found.active) == "1.0" and found.trial is None
    facts = trial.facts(found, "a")
    assert facts == {
        "slot": "a",
        "failed": "pykexec 1.1 (Linux 6.12.1)",
        "failed_sha256": identity(NEW).sha256,
        "reason": why,
    }
    trial.told(world.machine.nvram)
    assert trial.facts(slots(world), "a") == {"slot": "a"}


def test_what_the_last_end_was_is_part_of_the_reason(world: World) -> None:
    install(world)
    update(world)
    world.machine.nvram.drop(global_name("BootNext"))
    found = trial.begin(world.machine.nvram, slots(world), "a", "policy.image: it is not that")
    assert found.reason.endswith("; last end: policy.image: it is not that")


def test_a_trial_that_is_still_to_come_has_not_failed(world: World) -> None:
    install(world)
    update(world)
    assert trial.begin(world.machine.nvram, slots(world), "a").trial is not None


def test_an_image_on_trial_says_so(world: World) -> None:
    install(world)
    update(world)
    assert trial.facts(slots(world), "b") == {"slot": "b", "trial": "yes"}
    assert trial.facts(slots(world), "") == {}


def test_only_the_slot_on_trial_is_promoted(world: World) -> None:
    install(world)
    update(world)
    for here in ("a", ""):
        trial.succeed(world.machine.nvram, slots(world), here)
        assert version(slots(world).active) == "1.0"


def test_a_failed_update_is_not_booted_where_the_active_image_fails_later(world: World) -> None:
    install(world, OLDER)
    update(world, OLD)
    assert restart(world) == "old"
    update(world)
    world.fails = (NEW,)
    world.esp.remove("EFI/pykexec/b.efi")
    assert restart(world) == "debian"


def test_what_fails_halfway_is_not_tried_either(world: World) -> None:
    install(world)
    update(world)
    world.power = Power(error=OSError(5, "broken disk"))
    world.power.cut = 3
    with pytest.raises(OSError, match="broken disk"):
        update(world, own_image("1.2"))
    assert world.get("BootNext") == b""


def test_a_promotion_that_was_cut_off_is_undone_where_the_image_cannot_be_loaded(
    world: World,
) -> None:
    install(world)
    update(world)
    world.machine.nvram.drop(global_name("BootNext"))
    world.set("BootOrder", b"\1\0\0\0\3\0")
    world.esp.remove("EFI/pykexec/b.efi")
    assert restart(world) == "old"
    assert world.order == [0, 3]


def test_of_two_good_ones_the_one_before_boots_where_the_active_one_is_gone(world: World) -> None:
    install(world)
    update(world)
    assert restart(world) == "new"
    world.esp.remove("EFI/pykexec/b.efi")
    assert restart(world) == "old"


def test_rollback_boots_the_one_before_and_again_the_other(world: World) -> None:
    install(world)
    update(world)
    restart(world)
    change.rollback(world.machine)
    assert restart(world) == "old"
    assert world.order == [0, 1, 3]
    found = slots(world)
    assert (version(found.failed), found.reason) == ("1.1", "taken back by the operator")
    change.rollback(world.machine)
    assert restart(world) == "new"


def test_rollback_calls_a_trial_off(world: World) -> None:
    install(world)
    update(world)
    change.rollback(world.machine)
    assert world.get("BootNext") == b""
    assert restart(world) == "old"
    assert slots(world).reason == "called off by the operator"


@pytest.mark.parametrize("data", [b"", OLD[:-600], OLDER])
def test_rollback_to_what_is_not_there_any_more_is_refused(data: bytes, world: World) -> None:
    install(world)
    update(world)
    restart(world)
    world.esp.remove("EFI/pykexec/a.efi")
    if data:
        world.esp.add("EFI/pykexec/a.efi", data)
    with pytest.raises(UsageError, match=r"cannot go back: EFI/pykexec/a\.efi"):
        change.rollback(world.machine)
    assert restart(world) == "new"


def test_rollback_of_a_first_installation_is_refused(world: World) -> None:
    install(world)
    with pytest.raises(UsageError, match="no image from before"):
        change.rollback(world.machine)


def test_what_a_power_cut_has_left_counts_as_room(world: World) -> None:
    install(world)
    free, cluster = world.esp.room()
    world.esp.add("EFI/pykexec/pykexec.tmp", bytes(free - cluster))
    update(world)
    assert restart(world) == "new"


def test_remove_leaves_what_was_there(world: World) -> None:
    before = dict(world.esp.files)
    install(world, fallback=True)
    update(world)
    restart(world)
    change.remove(world.machine, force=False)
    assert set(world.esp.files) == set(before) == {DEBIAN}
    assert world.order == [3]
    assert [path.name[:8] for path in world.variables.iterdir() if "Boot0" in path.name] == [
        "Boot0003"
    ]
    assert read_slots(world.machine.nvram) is None
    assert restart(world) == "debian"


def test_who_has_added_options_to_a_boot_entry_keeps_them(world: World) -> None:
    install(world)
    update(world)
    restart(world)
    world.set("Boot0000", world.get("Boot0000") + b"mine")
    update(world, own_image("1.2"))
    assert world.get("Boot0000").endswith(b"mine")


def test_nothing_is_written_twice(world: World) -> None:
    install(world)
    update(world)
    restart(world)
    world.power = Power()
    found = slots(world)
    trial.succeed(world.machine.nvram, trial.begin(world.machine.nvram, found, "b"), "b")
    assert world.power.writes == []


def test_the_status_says_all_of_it(world: World) -> None:
    install(world, fallback=True)
    update(world)
    lines = "\n".join(status_lines(world.machine))
    assert f"active: {identity(OLD).sha256[:16]} in slot a, pykexec 1.0 (Linux 6.12.1)" in lines
    assert "(Boot0000, place 1)" in lines
    assert "tried once at the next start" in lines
    world.esp.remove("EFI/pykexec/a.efi")
    world.fails = (NEW,)
    lines = "\n".join(status_lines(world.machine))
    assert "its file is gone" in lines
