# SPDX-License-Identifier: Apache-2.0
"""RAM disks of both shapes on the host: what a payload finds, and that nothing is left of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.efi.device_path import parse
from pykexec.efi.guid import named_guids
from pykexec.run import run

CSRC = Path(__file__).parents[3] / "csrc"
SOURCES = (
    "stub/services/ramdisk.c",
    "stub/services/block_disk.c",
    "stub/lib/call.c",
    "stub/lib/string.c",
    "common/memory_block.c",
    "common/device_path.c",
    "common/guids.c",
)
# Builds in which one protection is missing: csrc/stub/lib/test.h.
BUILDS = ("", "PK_TEST_NO_EXIT_WIPE", "PK_TEST_NO_EXIT_WIPE_OF_BLOCK", "PK_TEST_NO_RAMDISK_WIPE")
INVALID, PROTECTED, BAD_SIZE, CHANGED, DENIED = (1 << 63 | n for n in (2, 8, 4, 13, 15))


@pytest.fixture(scope="module", name="programs")
def programs_fixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("ramdisk")
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fshort-wchar", "-g"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    own = Path(__file__).parent / "ramdisk.c"
    sources = [own, *(CSRC / name for name in SOURCES)]
    programs = {build: directory / (build or "product") for build in BUILDS}
    for build, path in programs.items():
        defines = [f"-D{build}"] if build else []
        run(["gcc", *flags, *defines, *sources, "-o", path], timeout_s=120)
    return programs


def life(program: Path, driver: str, end: str, medium: str = "fixed") -> dict[str, str]:
    """What it says of a firmware's RAM disk (0) and one of our own (1), by name."""
    lines = run([program, driver, end, medium], timeout_s=60).decode().splitlines()
    return dict(line.split(" ", 1) for line in lines)


def test_a_payload_finds_a_disk_on_a_bus_that_it_cannot_write_to(
    programs: dict[str, Path],
) -> None:
    found = life(programs[""], "lets-go", "exit")
    guid = str(named_guids()["pykexec_disk"])[:-8] + "00000002"
    assert str(parse(bytes.fromhex(found["path"]))) == f"VenHw({guid})/Ata(Primary,Master,0x0)"
    assert found["media"] == "removable=0 present=1 logical=0 read_only=1 block=512 last=2"
    assert found["connected"] == "1"
    assert (found["whole"], found["last"], found["none"]) == ("0:1536", "0:512", "0:0")
    assert (found["write"], found["after"]) == (f"{PROTECTED:#x}", "0:1536")
    assert (found["flush"], found["reset"]) == ("0", "0")
    assert found["half"] == f"{BAD_SIZE:#x}:0"
    assert found["changed"] == f"{CHANGED:#x}:0"
    outside = {found[name] for name in ("beyond", "across", "around")}
    assert outside == {f"{INVALID:#x}:0"}


def test_its_medium_may_be_removable(programs: dict[str, Path]) -> None:
    found = life(programs[""], "lets-go", "exit", "removable")
    assert found["media"].startswith("removable=1 present=1")


@pytest.mark.parametrize(
    ("build", "left"),
    [
        ("", ("zeros", "zeros")),
        ("PK_TEST_NO_EXIT_WIPE", ("contents", "zeros")),
        ("PK_TEST_NO_EXIT_WIPE_OF_BLOCK", ("zeros", "contents")),
    ],
)
def test_nothing_is_left_when_boot_services_end_unless_a_wipe_is_missing(
    build: str, left: tuple[str, str], programs: dict[str, Path]
) -> None:
    found = life(programs[build], "lets-go", "exit")
    assert (found["left0"], found["left1"]) == left


@pytest.mark.parametrize("end", ["remove", "release"])
def test_a_disk_that_goes_is_wiped_and_its_memory_given_back(
    end: str, programs: dict[str, Path]
) -> None:
    found = life(programs[""], "lets-go", end)
    assert (found["freed0"], found["freed1"], found["served"]) == ("zeros", "zeros", "00")
    assert "left0" not in found and "left1" not in found
    assert found.get("released", "0") == found.get("removed1", "0") == "0"


def test_one_that_a_driver_holds_stays_and_can_be_removed_later(
    programs: dict[str, Path],
) -> None:
    found = life(programs[""], "holds", "remove")
    assert (found["removed1"], found["left1"]) == (f"{DENIED:#x}", "contents")
    assert (found["freed0"], found["served"]) == ("zeros", "01")


@pytest.mark.parametrize(
    ("build", "left"), [("", "zeros"), ("PK_TEST_NO_RAMDISK_WIPE", "contents")]
)
def test_at_our_end_one_that_a_driver_holds_is_empty_and_keeps_us_there(
    build: str, left: str, programs: dict[str, Path]
) -> None:
    found = life(programs[build], "holds", "release")
    assert (found["released"], found["left1"], found["served"]) == (f"{DENIED:#x}", left, "01")
