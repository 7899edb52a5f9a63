# SPDX-License-Identifier: Apache-2.0
"""WinPE without a boot server of Windows: every file reaches the boot manager."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.vm import hives
from pykexec.vm.machine import Nic
from pykexec.vm.ovmf import Firmware, firmware
from pykexec.vm.vm import Vm
from tests.support.installer import make_installer
from tests.support.wims import hollow_wim
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import machine_with
from tests.vm.snapshots import AgentReady
from tests.vm.web import served
from tests.vm.windows import bootmgr, transcript

STEPS = ("00", "01", "02", "03", "04", "05", "06", "07", "13", "10", "11", "12")
OPTIONS = f"installer=1 pcr11=zero BCDOBJECT={{{hives.BOOT_MANAGER}}}"
# What the stand-in calls what it has read, and the file that it must be.
FILES = {
    "bootx64": "bootmgfw.efi",
    "bootmgfw": "bootmgfw.efi",
    "bcd": "BCD",
    "sdi": "boot.sdi",
    "stl": "boot.stl",
    "wim": "boot.wim",
}
WIM_MIB = 400


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the installer's files are served from."""
    path = tmp_path / "winpe"
    path.mkdir()
    return path


@pytest.fixture
def web(directory: Path) -> Iterator[str]:
    """The address of these files, as guests see it."""
    with served(directory) as address:
        yield address


def make(directory: Path, *options: str, size: int = 3_000_000) -> None:
    make_installer(directory, bootmgr().read_bytes(), *options, size=size)


def every_file_was_read(vm: Vm, directory: Path) -> None:
    """Wait for the stand-in's end; it has read all that is in directory from the disk."""
    for step in STEPS:
        vm.expect_stage("wbm", step, within=200)
    found = transcript(vm)
    for name, original in FILES.items():
        digest = hashlib.sha256((directory / original).read_bytes()).hexdigest()
        assert set(found.values(f"06:{name}")) == {digest}, name
    assert found.values("06:fat")[0].startswith("20:")
    assert vm.wait_exit(60) == "guest-shutdown"


def test_winpe_starts_from_a_web_server(
    firmware: Firmware, agent_ready: AgentReady, directory: Path, web: str
) -> None:
    make(directory, "--check")
    whole = (directory / "boot.wim").read_bytes()
    (directory / "cut.wim").write_bytes(whole[:-1000])
    guest = agent_ready(images.image(), firmware)
    command = f"pykexec exec {web}/bootmgfw.efi --stl boot.stl"
    refused = guest.run(f"{command} --wim cut.wim")
    assert refused.status == FormatError.exit_code
    assert f"pykexec: {web}/cut.wim: is cut off: its " in refused.output
    digest = hashlib.sha256(whole).hexdigest()
    refused = guest.run(f"{command} --wim boot.wim --wim-sha256 {'ab' * 32}")
    assert f"{web}/boot.wim: its SHA-256 is {digest}, not abab" in refused.output
    assert guest.ok("pykexec ramdisk list") == ""
    guest.send(f"{command} --wim boot.wim --wim-sha256 {digest} --options '{OPTIONS}'")
    guest.vm.expect(r"boot\.wim: 100 % of 2\.9 MiB")
    every_file_was_read(guest.vm, directory)


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_a_wim_larger_than_linux_lies_above_4_gib(
    boot: Boot, directory: Path, web: str, tmp_path: Path
) -> None:
    # Neither has the arena room for the wim, nor what the arena leaves of the memory below 4 GiB.
    assert WIM_MIB > images.ARENA_MIB
    make(directory, "--compress=none", size=WIM_MIB << 20)
    text = f"[payload]\nurl = '{web}/bootmgfw.efi'\noptions = '{OPTIONS}'\n"
    text += "[wim]\nwim = 'boot.wim'\nstl = 'boot.stl'\n"
    machine = machine_with(
        tmp_path,
        firmware("2025.02"),
        images.image(),
        files={"EFI/pykexec/agent.toml": text.encode()},
        memory_mib=2048,
        tpm="tis",
        nic=Nic(),
        extra=("-machine", "max-ram-below-4g=512M"),
    )
    vm = boot(machine, limit_s=800)
    vm.expect(rf"boot\.wim: 100 % of {WIM_MIB}", within=400)
    every_file_was_read(vm, directory)


@pytest.mark.matrix
def test_without_room_a_line_says_how_much_is_wanted(
    firmware: Firmware, agent_ready: AgentReady, directory: Path, web: str
) -> None:
    make(directory)
    hollow_wim(directory / "boot.wim", 900 << 20)
    guest = agent_ready(images.image(), firmware)
    refused = guest.run(f"pykexec exec {web}/bootmgfw.efi --wim boot.wim")
    assert "MiB of the firmware's memory are needed in one piece, and the largest" in refused.output
    assert guest.ok("pykexec ramdisk list") == ""
