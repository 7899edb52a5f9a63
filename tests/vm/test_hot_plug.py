# SPDX-License-Identifier: Apache-2.0
"""Sticks that come and go while Linux runs: what is there is what is served, under its name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pykexec.vm.ovmf import firmware
from tests.vm.equipment import BARE
from tests.vm.guest import Guest
from tests.vm.images import image
from tests.vm.snapshots import AgentReady
from tests.vm.test_block import MIB, filled
from tests.vm.ways import NBD, NEWEST, UBLK, Way

HOST = ("-device", "qemu-xhci,id=xhci")
SIZE = 2 * MIB


class Port:
    """A USB port of the machine."""

    def __init__(self, guest: Guest, number: int) -> None:
        self.guest, self.number, self.nr_plugged = guest, number, 0

    def plug(self, path: Path) -> None:
        """Put a stick in."""
        self.nr_plugged += 1
        name = f"stick{self.number}-{self.nr_plugged}"
        file = {"driver": "file", "filename": str(path)}
        self.guest.vm.qmp("blockdev-add", driver="raw", node_name=name, file=file)
        where = {"bus": "xhci.0", "port": str(self.number)}
        self.guest.vm.qmp(
            "device_add", driver="usb-storage", id=f"usb{self.number}", drive=name, **where
        )

    def pull(self) -> None:
        """Pull it out, without a word to anybody."""
        self.guest.vm.qmp("device_del", id=f"usb{self.number}")


def sticks(guest: Guest) -> dict[str, dict[str, Any]]:
    """The bridges of sticks by name, once somebody has asked."""
    rows = guest.json("pykexec bridge start block --json", within=120)
    return {row["name"]: row for row in rows if "/USB(" in row.get("path", "")}


def served(guest: Guest, name: str) -> str:
    """The digest of what a stick's link leads to."""
    guest.ok("echo 3 > /proc/sys/vm/drop_caches")
    return guest.ok(f"sha256sum /dev/pykexec/{name}", within=120).split()[0]


@pytest.mark.parametrize(
    "way", [NBD, *(pytest.param(way, marks=pytest.mark.matrix) for way in (UBLK, NEWEST))], ids=str
)
def test_sticks_come_go_and_are_exchanged(
    way: Way, agent_ready: AgentReady, tmp_path: Path
) -> None:
    chosen = image(way.kernel, config=way.config)
    guest = agent_ready(chosen, firmware(way.firmware), **BARE, extra=HOST)
    paths = [tmp_path / f"{n}.img" for n in range(3)]
    one, two, three = (
        hashlib.sha256(filled(path, SIZE, seed)).hexdigest() for seed, path in enumerate(paths)
    )
    left, right = Port(guest, 1), Port(guest, 2)
    assert sticks(guest) == {}

    left.plug(paths[0])
    ((name, row),) = sticks(guest).items()
    assert served(guest, name) == one

    # Another one has another name; this one stays what it is.
    right.plug(paths[1])
    both = sticks(guest)
    (other,) = both.keys() - {name}
    assert {key: both[name][key] for key in ("handle", "pid", "node")} == {
        key: row[key] for key in ("handle", "pid", "node")
    }
    assert [served(guest, each) for each in (name, other)] == [one, two]

    # Exchanged between two looks: the port's name leads to the new one, the number is another.
    left.pull()
    left.plug(paths[2])
    exchanged = sticks(guest)
    assert exchanged.keys() == both.keys()
    assert exchanged[name]["handle"] > row["handle"]
    assert exchanged[other]["pid"] == both[other]["pid"]
    assert [served(guest, each) for each in (name, other)] == [three, two]

    # Pulled out: nothing is left of them.
    right.pull()
    assert sticks(guest).keys() == {name}
    left.pull()
    assert sticks(guest) == {}
    assert guest.run(f"ls /dev/pykexec/{name} /dev/pykexec/{other}").status != 0
    assert guest.firmware_is_the_same()
