# SPDX-License-Identifier: Apache-2.0
"""Linux starts an EFI payload through the firmware that started it, by every route, and returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.abi import Limit
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import RESUME_IN_GUEST, hello, image
from tests.vm.snapshots import AgentReady
from tests.vm.ways import NBD, UBLK, Way

EXEC = f"pykexec exec '{HELLO_PATH}'"
EFI_ERROR = 1 << 63
NR_ROUND_TRIPS = 20
BIG = 12 << 20
LIMIT_S = 800


def came_back(guest: Guest, nr_runs: int, status: int = 0, stage: str = "returned") -> None:
    """The agent runs again, knows how the payload ended, and finds the firmware as it was."""
    outcome = {"nr_runs": nr_runs, "stage": stage, "status": status, "action": "agent"}
    assert guest.ready().script("fate") == {
        "outcome": outcome,
        "differences": [],
        "handoff_fault": "",
    }


def leads_through_kexec(guest: Guest, way: Way) -> None:
    """The markers of the resume image, if there is one, of the stub and of LoadImage, in order."""
    for component, stage in [
        ("agent", "resume"),
        *([] if way.native else [("resume", "resume"), ("resume", "handoff")]),
        ("stub", "firmware"),
        ("stub", "load"),
        ("stub", "started"),
    ]:
        guest.vm.expect_stage(component, stage)


@pytest.mark.parametrize("way", [pytest.param(UBLK, marks=pytest.mark.matrix), NBD], ids=str)
def test_payload_starts_by_every_route(way: Way, agent_ready: AgentReady) -> None:
    check_routes(way, agent_ready(image(way.kernel, config=way.config), firmware(way.firmware)))


def check_routes(way: Way, guest: Guest) -> None:
    guest.send(f"{EXEC} --options 'from the ESP exit=8000000000000015'")
    leads_through_kexec(guest, way)
    guest.payload_ran("from the ESP exit=8000000000000015")
    came_back(guest, 1, EFI_ERROR | 0x15)

    guest.send("pykexec exec /inside/hello.efi --options 'from Linux return=7' --via kexec")
    guest.payload_ran("from Linux return=7")
    came_back(guest, 2, 7)

    guest.send(f"{EXEC} --via leave --options left --volume ESP")
    guest.vm.expect_stage("agent", "leave")
    guest.payload_ran("left")
    came_back(guest, 3)

    guest.ok("/inside/stage /inside/hello.efi agent mailbox rebooted")
    guest.send("reboot -f")
    guest.payload_ran("rebooted")
    came_back(guest, 4)

    guest.ok(f"{EXEC} --load-only --options 'loaded before'")
    assert guest.firmware_is_the_same()
    guest.send("kexec -e")
    guest.payload_ran("loaded before")
    came_back(guest, 5)

    guest.ok(
        f"kexec -s -l {RESUME_IN_GUEST} --initrd=/inside/hello.efi --command-line='plain tools'"
    )
    guest.send("kexec -e")
    guest.payload_ran("plain tools")
    came_back(guest, 6)

    guest.send("reboot -f")
    assert guest.vm.wait_exit(30) == "guest-reset"


@pytest.mark.matrix
@pytest.mark.timeout(LIMIT_S + 60)
def test_twenty_round_trips_leave_the_firmware_equal(boot: Boot, tmp_path: Path) -> None:
    big = {"EFI/big.efi": hello().read_bytes() + bytes(BIG)}
    machine = machine_with(tmp_path, firmware("2025.02"), image(), files=big, pit=False, hpet=False)
    guest = Guest(boot(machine, limit_s=LIMIT_S)).ready()
    first = guest.json("pykexec status --json")["firmware"]

    for number in range(1, NR_ROUND_TRIPS + 1):
        route = "leave" if number % 4 == 0 else "kexec"
        guest.send(f"{EXEC} --via {route} --options 'trip {number}'")
        guest.payload_ran(f"trip {number}")
        came_back(guest, number)

    guest.send(r"pykexec exec '\EFI\big.efi' --via kexec --options 'the last'")
    guest.payload_ran("the last")
    came_back(guest, NR_ROUND_TRIPS + 1)

    last = guest.json("pykexec status --json")
    assert last["firmware"]["arena_peak"] == first["arena_peak"]
    assert last["firmware"]["nr_handles"] == first["nr_handles"]
    trace = last["handoff"]["trace"]
    numbers = [entry["sequence"] for entry in trace]
    assert numbers == list(range(numbers[0], numbers[0] + Limit.TRACE_MAX))
    assert [entry["tsc"] for entry in trace] == sorted(entry["tsc"] for entry in trace)
    assert [entry["stage"] for entry in trace[-8:]] == [
        *("resume", "firmware", "load", "started", "returned", "kernel", "linux", "exit_bs")
    ]
    assert guest.script("timers")["firmware_ticks"] > 0
