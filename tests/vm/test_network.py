# SPDX-License-Identifier: Apache-2.0
"""The firmware's own network boot: it works after Linux was there, and it can bring our image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.vm.bootvars import BootEntry, UriEntry, boot_entry, write_boot_entries
from pykexec.vm.disk import DiskLayout
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import Firmware, firmware
from tests.vm import images
from tests.vm import web as web_server
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with
from tests.vm.payloads import PAYLOADS
from tests.vm.through import agent_toml, expect_kexec

_IPXE_SCRIPT = b"""\
#!ipxe
echo PK:ipxe:start:0
dhcp && imgfetch tftp://10.0.2.2/fetched.txt && echo PK:ipxe:fetched:0 || echo PK:ipxe:fetched:1
exit 1
"""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address, as guests see it, at which tmp_path/served is served over HTTP."""
    with web_server.served(tmp_path / "served") as address:
        yield address


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A directory that machines reach by TFTP and HTTP; hello.efi and a text are in it."""
    directory = tmp_path / "served"
    directory.mkdir()
    (directory / "hello.efi").write_bytes(images.hello().read_bytes())
    (directory / "fetched.txt").write_bytes(b"hello from the network\n")
    return directory


def _machine(
    firmware: Firmware, disk: DiskLayout, entries: list[BootEntry | UriEntry], nic: Nic
) -> Machine:
    variables = disk.path.with_suffix(".fd")
    write_boot_entries(firmware.variables, variables, entries)
    return Machine(firmware, variables=variables, disks=(Disk(disk.path),), nic=nic)


@pytest.mark.parametrize("route", ["pxe", pytest.param("http", marks=pytest.mark.matrix)])
def test_firmware_boots_from_the_network_after_a_payload_that_used_it(
    route: str, firmware: Firmware, boot: Boot, tmp_path: Path, served: Path, web: str
) -> None:
    files = {
        "EFI/pykexec/agent.toml": agent_toml(PAYLOADS["ipxe"].path, failure="boot-next"),
        **PAYLOADS["ipxe"].files(),
        "autoexec.ipxe": _IPXE_SCRIPT,
    }
    disk = disk_with(tmp_path, images.image(), files)
    entries: list[BootEntry | UriEntry] = [boot_entry(disk, IMAGE_PATH)]
    entries += [UriEntry("web", f"{web}/hello.efi")] if route == "http" else []
    nic = Nic(tftp=served, bootfile="hello.efi" if route == "pxe" else None)
    guest = Guest(boot(_machine(firmware, disk, entries, nic)))
    expect_kexec(guest.vm)
    guest.vm.expect_stage("ipxe", "start")
    guest.vm.expect_stage("ipxe", "fetched")
    guest.vm.expect_stage("stub", "action", 2)
    guest.vm.expect("PXEv4" if route == "pxe" else "web")
    guest.vm.expect_stage("payload", "started", within=120)
    guest.vm.expect("PK:payload:ticks:0x[1-9ab]$")


@pytest.mark.parametrize("route", [pytest.param("pxe", marks=pytest.mark.matrix), "http"])
def test_image_from_the_network_starts_the_payload_of_a_disk(
    route: str, boot: Boot, tmp_path: Path, served: Path, web: str
) -> None:
    image = images.image(config=agent_toml(HELLO_PATH, "from disk", volume="ESP").decode())
    (served / "pykexec.efi").write_bytes(image.read_bytes())
    disk = disk_with(tmp_path, images.hello())
    entries: list[BootEntry | UriEntry] = []
    entries += [UriEntry("web", f"{web}/pykexec.efi")] if route == "http" else []
    nic = Nic(tftp=served, bootfile="pykexec.efi" if route == "pxe" else None)
    machine = _machine(firmware(), disk, entries, nic)
    if route == "pxe":
        machine = replace(machine, nic=replace(nic, bootindex=0))
    guest = Guest(boot(machine))
    expect_kexec(guest.vm)
    guest.payload_ran("from disk")
