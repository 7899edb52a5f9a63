# SPDX-License-Identifier: Apache-2.0
"""The firmware's NICs as Linux' interfaces: frames both ways, leases, faults, and back again."""

from __future__ import annotations

import functools
import hashlib
import http.server
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pykexec.vm.bootvars import write_boot_entries
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.equipment import BARE, NETWORK_PATH, network
from tests.vm.guest import Guest
from tests.vm.snapshots import AgentReady
from tests.vm.ways import NBD, UBLK, Way

MAC = "52:54:00:12:34:56"
SERVER = "10.0.2.2"
SERVER6 = "fec0::2"
FULL_FRAME = "-s 1472"  # and 42 of headers: 1514
EXEC = f"pykexec exec '{NETWORK_PATH}'"
# What a download of the issue is, scaled to a machine without hardware support.
DOWNLOAD_SIZE = 8 << 20
REFUSED = {"INVALID_PARAMETER", "BAD_BUFFER_SIZE", "NOT_FOUND"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a directory without a word."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A directory with a large file of noise."""
    directory = tmp_path / "served"
    directory.mkdir()
    (directory / "noise").write_bytes(random.Random(1).randbytes(DOWNLOAD_SIZE))
    return directory


@pytest.fixture
def web(served: Path) -> Iterator[str]:
    """The address, as guests see it, at which served is served over HTTP."""
    handler = functools.partial(_Quiet, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{SERVER}:{server.server_port}"
        server.shutdown()
        thread.join()


def on_line(guest: Guest, *words: str) -> dict[str, Any]:
    """Bring the only NIC on line; what `pykexec net` says of it."""
    (nic,) = guest.json(" ".join(["pykexec net up --json", *words]), within=90)
    assert isinstance(nic, dict)
    return nic


def bridge_of(guest: Guest) -> dict[str, Any]:
    """What the supervisor says of the only NIC's bridge."""
    rows = guest.json("pykexec bridge status --json")
    (row,) = (row for row in rows if row["kind"] == "net")
    assert isinstance(row, dict)
    return row


def looked_at(guest: Guest, command: str) -> list[str]:
    """What a payload finds of the network."""
    guest.send(command)
    return guest.vm.expect(r"((?:PK:network:(?:snp|pxe):.*\s+)*)PK:network:end:0\n", 90)[1].split()


def downloads(guest: Guest, web: str, served: Path) -> None:
    """A file comes over the network as it is."""
    digest = hashlib.sha256((served / "noise").read_bytes()).hexdigest()
    found = guest.ok(f"wget -q -O - {web}/noise | sha256sum", within=200)
    assert found.split()[0] == digest


@pytest.mark.parametrize(
    ("way", "nic"),
    [
        pytest.param(NBD, Nic(), id="virtio"),
        pytest.param(UBLK, Nic(model="e1000", rom=True), id="e1000", marks=pytest.mark.matrix),
    ],
)
def test_linux_is_on_line_through_the_firmware(
    way: Way, nic: Nic, agent_ready: AgentReady, served: Path, web: str
) -> None:
    check_on_line(way, nic, way.firmware, agent_ready, served, web)


def check_on_line(
    way: Way, nic: Nic, version: str, agent_ready: AgentReady, served: Path, web: str
) -> None:
    chosen = images.image(way.kernel, config=way.config)
    guest = agent_ready(chosen, firmware(version), nic=nic, limit_s=400)

    found = looked_at(guest, EXEC)
    guest.ready()
    said = on_line(guest)
    assert (said["mac"], said["link"], said["mtu"]) == (MAC, True, 1500)
    assert (said["interface"], said["state"]) == ("efi0", "initialized")
    assert said["addresses"][0] == "10.0.2.15/24"
    assert (said["firmware_lease"], said["boot_url"]) == (None, "")
    (lease, *_) = said["leases"]
    assert lease["source"] == f"DHCP from {SERVER}"
    assert guest.ok("cat /sys/class/net/efi0/address").strip() == MAC
    assert "nameserver 10.0.2.3" in guest.ok("cat /etc/resolv.conf")

    assert " 0% packet loss" in guest.ok(f"ping -c 20 -i 0.1 {FULL_FRAME} {SERVER}")
    # The kernel's own configuration by router advertisement needs multicast both ways.
    guest.ok(f"until ping -6 -c 1 {SERVER6}; do :; done", within=30)
    downloads(guest, web, served)
    counts = guest.json("pykexec net --json")[0]["statistics"]
    assert counts["received"] > DOWNLOAD_SIZE // 1514
    assert counts["transmitted"] > 20
    errors = {name: counts[name] for name in ("transmit_errors", "receive_errors", "dropped")}
    assert errors == {"transmit_errors": 0, "receive_errors": 0, "dropped": 0}

    # As busy or quiet as it was without us: a NIC left running would write into a payload's memory.
    assert looked_at(guest, EXEC) == found
    guest.ready()
    assert on_line(guest)["addresses"][0] == "10.0.2.15/24"


def test_a_fault_of_bridge_or_link_costs_frames_alone(agent_ready: AgentReady) -> None:
    check_faults(UBLK, agent_ready)


def check_faults(way: Way, agent_ready: AgentReady) -> None:
    guest = agent_ready(images.image(way.kernel, config=way.config), firmware(way.firmware))

    found = guest.script("net_hostile", within=120)
    for entrance in ("window", "mailbox"):
        said = found[entrance]
        good = ("good", "all slots", "opened again", "good afterwards")
        assert [said.pop(name) for name in good] == ["SUCCESS"] * len(good)
        assert set(said.values()) <= REFUSED, said
    assert found["requests"].pop("close twice") == "no fault"
    assert set(found["requests"].values()) == {"NOT_FOUND"}

    guest.vm.qmp("set_link", name="n0", up=False)
    refused = guest.run("pykexec net up --timeout 5", within=60)
    assert refused.status == 9
    assert "efi0: no link; is the cable plugged in?" in refused.output
    assert "link down" in guest.ok("pykexec net")
    guest.vm.qmp("set_link", name="n0", up=True)
    on_line(guest)

    if not way.native:
        check_killed(guest)
    assert guest.json("pykexec net --json")[0]["addresses"][0] == "10.0.2.15/24"

    guest.vm.qmp("set_link", name="n0", up=False)
    guest.ok("until [ $(cat /sys/class/net/efi0/carrier) = 0 ]; do :; done", within=30)
    guest.vm.qmp("set_link", name="n0", up=True)
    guest.ok(f"until ping -c 1 -w 1 {SERVER}; do :; done", within=30)

    assert guest.ok("pykexec net down") == "efi0 is down"
    assert guest.json("pykexec net --json")[0]["addresses"] == []
    guest.ok("pykexec bridge stop net")
    assert guest.json("pykexec net --json")[0]["interface"] == ""
    assert guest.firmware_is_the_same()


def check_killed(guest: Guest) -> None:
    """A bridge that is killed is followed by another one, and the interface stays."""
    guest.send(f"ping {SERVER} > /tmp/ping & echo")
    guest.prompt()
    bridge = bridge_of(guest)
    guest.ok(f"kill -9 {bridge['pid']}")
    guest.ok(f"until ping -c 1 -w 1 {SERVER}; do :; done", within=30)
    after = bridge_of(guest)
    assert (after["state"], after["interface"]) == ("up", "efi0")
    assert after["pid"] != bridge["pid"]
    guest.ok("kill %1; wait; grep -q 'seq=0' /tmp/ping")


def test_a_nic_that_the_firmware_has_no_driver_for_is_named(agent_ready: AgentReady) -> None:
    bare = agent_ready(images.image(), firmware("2025.02"), **BARE)
    assert "no network device that its firmware knows, and PCI has none" in refused(bare)
    # Its driver is in the option ROM that it does not have.
    nic = Nic(model="e1000")
    guest = agent_ready(images.image(), firmware("2025.02"), **{**BARE, "nic": nic})
    said = refused(guest)
    assert "knows, but PCI has 8086:100e (Ethernet) at PciRoot(0x0)/Pci(" in said
    assert "`[firmware] drivers` in agent.toml" in said


def refused(guest: Guest) -> str:
    """What a machine without network says."""
    shown, up = (guest.run(command, within=60) for command in ("pykexec net", "pykexec net up"))
    assert (shown.status, up.status) == (9, 9)
    assert shown.output == up.output
    return up.output


def test_without_disks_the_lease_of_the_firmware_is_used_on_and_left_to_the_payload(
    boot: Boot, tmp_path: Path, served: Path, web: str
) -> None:
    variables = tmp_path / "variables.fd"
    write_boot_entries(firmware().variables, variables, [])
    (served / "network.efi").write_bytes(network().read_bytes())
    (served / "pykexec.efi").write_bytes(images.image().read_bytes())
    nic = Nic(tftp=served, bootfile="pykexec.efi", bootindex=0)
    guest = Guest(boot(replace(Machine(firmware()), variables=variables, nic=nic))).ready()
    assert "block devices: none\n" in guest.vm.console.text
    assert "no disk" in guest.ok("pykexec bridge start block")

    # The network that brought the image is the firmware's until somebody asks for it.
    said = on_line(guest)
    assert said["interface"] == "efi0"
    guest.ok(f"ping -c 3 {SERVER}")
    assert said["boot_url"] == f"tftp://{SERVER}/pykexec.efi"
    assert said["addresses"][0] == "10.0.2.15/24"
    assert [lease["source"] for lease in said["leases"]] == ["the firmware's PXE boot"]
    assert said["leases"] == [said["firmware_lease"]]
    downloads(guest, web, served)

    size = (served / "pykexec.efi").stat().st_size
    guest.ok(f"wget -q -O /tmp/network.efi {web}/network.efi")
    # 10.0.2.15 as it lies in memory, the status of TFTP, the size that the server says.
    pxe = f"PK:network:pxe:f02000a:0:{size:x}"
    assert pxe in looked_at(guest, "pykexec exec /tmp/network.efi")
    guest.ready()
    assert on_line(guest, "--dhcp")["leases"][0]["source"] == f"DHCP from {SERVER}"
