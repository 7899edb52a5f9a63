# SPDX-License-Identifier: Apache-2.0
"""The bridges together: up by themselves, one killed, all ended before a payload starts."""

from __future__ import annotations

from typing import Any

import pytest

from pykexec.vm.ovmf import firmware
from tests.vm.guest import HELLO_PATH, Guest
from tests.vm.images import image
from tests.vm.snapshots import AgentReady
from tests.vm.ways import NBD, UBLK, Way


def rows(guest: Guest, do: str = "start") -> dict[str, Any]:
    """The bridges by kind, once they have settled."""
    return {row["kind"]: row for row in guest.json(f"pykexec bridge {do} --json")}


def guest_on(way: Way, agent_ready: AgentReady) -> Guest:
    """A machine that has booted way, with a device of each kind."""
    return agent_ready(image(way.kernel, config=way.config), firmware(way.firmware))


def come_up(guest: Guest) -> dict[str, Any]:
    """The rows of all kinds, which are up."""
    up = rows(guest)
    assert {kind: row["state"] for kind, row in up.items()} == dict.fromkeys(
        ("block", "net", "tpm"), "up"
    )
    return up


@pytest.mark.parametrize("way", [NBD, pytest.param(UBLK, marks=pytest.mark.matrix)], ids=str)
def test_bridges_come_up_and_come_back(way: Way, agent_ready: AgentReady) -> None:
    guest = guest_on(way, agent_ready)
    check_killed(guest, come_up(guest))
    check_new_disk(guest)
    check_hand_over(guest)


def check_killed(guest: Guest, up: dict[str, Any]) -> None:
    """Bridges that die come back, and nobody waits for ever."""
    node = up["block"]["node"]
    whole = guest.ok(f"sha256sum {node}", within=120)

    # Whoever reads while the bridge dies comes to an end: with all of it, or with an error.
    guest.ok("echo 3 > /proc/sys/vm/drop_caches")
    killed = " ".join(str(row["pid"]) for row in up.values())
    # Not for want of memory, though: then the shell goes first.
    spared = " ".join(f"/proc/{pid}/oom_score_adj" for pid in killed.split())
    assert guest.ok(f"cat {spared} /proc/self/oom_score_adj").split() == ["-1000"] * 3 + ["0"]
    reader = f"sha256sum {node} > /tmp/read 2>&1 & reader=$!; sleep 0.1; kill -9 {killed}"
    ended = guest.run(f"{reader}; wait $reader", within=120)
    assert ended.status == 1 or whole in guest.ok("cat /tmp/read")
    again = rows(guest)
    assert {row["state"] for row in again.values()} == {"up"}
    assert all(again[kind]["pid"] != up[kind]["pid"] for kind in up)
    assert again["block"]["node"] == node
    assert guest.ok(f"sha256sum {node}", within=120) == whole


def check_new_disk(guest: Guest) -> None:
    """A disk that appears later is there without being asked for, and goes without a word."""
    guest.ok("dd if=/dev/urandom of=/tmp/disk bs=64k count=32")
    guest.ok("pykexec ramdisk add /tmp/disk")
    (disk,) = guest.json("pykexec ramdisk list --json")
    appeared = f"grep -l 'handle.: {disk['handle']},.*present' /run/pykexec/bridges/*.json"
    record = guest.ok(f"until {appeared}; do sleep 0.2; done", within=30)
    node = guest.json(f"cat {record}")["node"]
    guest.ok(f"cmp {node} /tmp/disk", within=60)
    removed = guest.ok(f"pykexec ramdisk remove {disk['number']}")
    assert "error" not in removed.lower()
    assert node not in guest.ok("pykexec bridge status")


def check_hand_over(guest: Guest) -> None:
    """All of them end before the payload starts, and are there again afterwards."""
    guest.send(f"pykexec exec '{HELLO_PATH}' --options bridged")
    guest.payload_ran("bridged")
    guest.ready()
    assert rows(guest)["block"]["state"] == "up"
    assert guest.firmware_is_the_same()
