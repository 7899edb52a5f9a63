# SPDX-License-Identifier: Apache-2.0
"""`pykexec netboot serve` as firmware and iPXE see it, in a network of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.efi.device_path import DevicePath
from pykexec.vm import packages
from pykexec.vm.bootvars import PathEntry, write_boot_entries
from pykexec.vm.lan import TAP, Lan
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import Guest

SERVER = "10.77.0.1"
IPV6 = "fd77::1"
NIC = "PciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,0x1)"
# The paths of what OVMF offers to boot from.
WAYS = {
    "PXEv6": DevicePath.from_text(f"{NIC}/IPv6(::,0x0,Static,::,0x40,::)"),
    "HTTPv4": DevicePath.from_text(f"{NIC}/IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)/Uri()"),
}

# What iPXE does, and where our image then finds its configuration: on the server that gave iPXE its
# script, or among the files that iPXE has fetched.
IPXE = {
    "server": ("", rf"http://{SERVER}:8080/agent\.toml"),
    "fetched": ("imgfetch --name agent.toml beside.toml\n", r"\S*agent\.toml"),
}


@pytest.fixture
def lan() -> Iterator[Lan]:
    """A network with this machine in it."""
    with Lan([f"{SERVER}/24", f"{IPV6}/64"]) as network:
        yield network


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """What is served: hello.efi."""
    directory = tmp_path / "served"
    directory.mkdir()
    (directory / "hello.efi").write_bytes(images.hello().read_bytes())
    return directory


def test_firmware_boots_by_pxe_over_ipv6_and_by_http(
    boot: Boot, lan: Lan, tmp_path: Path, artefacts: Path, served: Path
) -> None:
    chosen = firmware("2025.02")
    variables = tmp_path / "variables.fd"
    entries = [PathEntry(way, path, "return=8000000000000015") for way, path in WAYS.items()]
    write_boot_entries(chosen.variables, variables, entries)
    machine = Machine(chosen, variables=variables, nic=Nic(tap=TAP), within=lan.within)
    with lan.serve(served, artefacts / "serve.log", "--boot-file", "hello.efi"):
        vm = boot(machine)
        for _ in WAYS:
            vm.expect_stage("payload", "started", within=120)
    said = (artefacts / "serve.log").read_text()
    assert said.index("/hello.efi to fd77::") < said.index('"GET /hello.efi HTTP/1.1" 200')


def test_proxy_adds_where_to_boot_from_to_another_dhcp_server(
    boot: Boot, artefacts: Path, served: Path
) -> None:
    # QEMU's user network gives addresses and knows of no boot file.
    with (
        Lan(["10.0.2.77/24"]) as lan,
        lan.serve(served, artefacts / "serve.log", "--proxy", "--boot-file", "hello.efi"),
    ):
        nic = Nic(tap=TAP, tap_and_user=True, bootindex=0)
        vm = boot(Machine(firmware("2022.11"), nic=nic, within=lan.within))
        vm.expect(r"Server IP address is 10\.0\.2\.77", within=60)
        vm.expect_stage("payload", "started")


@pytest.mark.parametrize("route", ["server", pytest.param("fetched", marks=pytest.mark.matrix)])
def test_ipxe_chains_to_our_image_which_finds_its_configuration(
    route: str, boot: Boot, lan: Lan, artefacts: Path, served: Path
) -> None:
    fetches, source = IPXE[route]
    ipxe = packages.fetch(packages.PAYLOADS["ipxe"]) / "usr/lib/ipxe/snponly.efi"
    (served / "snponly.efi").write_bytes(ipxe.read_bytes())
    (served / "boot.ipxe").write_text(f"#!ipxe\n{fetches}chain pykexec.efi\n")
    (served / "pykexec.efi").write_bytes(images.image().read_bytes())
    address = f"tftp://{SERVER}/hello.efi"
    name = "agent.toml" if route == "server" else "beside.toml"
    (served / name).write_text(f"[payload]\nurl = '{address}'\noptions = '{route}'\n")
    with lan.serve(served, artefacts / "serve.log", "--boot-file", "snponly.efi"):
        nic = Nic(tap=TAP, bootindex=0)
        guest = Guest(boot(Machine(firmware("2025.02"), nic=nic, within=lan.within)))
        guest.vm.expect(f"^configuration: {source}$", within=100)
        guest.vm.expect(f"^starting {address}$")
        guest.vm.expect_stage("payload", "started")
        guest.vm.expect(rf"PK:payload:options:{route}\n")
