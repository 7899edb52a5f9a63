# SPDX-License-Identifier: Apache-2.0
"""The mailbox under load, under attack, and what its world switches leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm import ovmf
from pykexec.vm.ovmf import Firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image
from tests.vm.snapshots import AgentReady

NR_CLIENTS = 4


@pytest.mark.parametrize("nr_calls", [500, pytest.param(2500, marks=pytest.mark.matrix)])
def test_thousands_of_calls_beside_a_busy_linux_lose_nothing(
    nr_calls: int, boot: Boot, tmp_path: Path
) -> None:
    machine = machine_with(
        tmp_path, ovmf.firmware("2025.02"), image(), pit=False, hpet=False, cpus=2
    )
    guest = Guest(boot(machine, limit_s=400)).ready()

    found = guest.script("hammer", NR_CLIENTS, nr_calls, within=300)
    assert found["codes"] == [0] * NR_CLIENTS
    assert found["burners_alive"] == [True, True]
    assert all(ticks > 0 for ticks in found["ticks"]), found
    # A write, and the size query and the read of its answer, which need no switch.
    assert found["nr_switches"] >= NR_CLIENTS * nr_calls
    assert guest.firmware_is_the_same()

    guest.send(f"pykexec exec '{HELLO_PATH}' --options rested")
    guest.payload_ran("rested")


def test_registers_of_a_process_survive_world_switches(
    agent_ready: AgentReady, firmware: Firmware
) -> None:
    guest = agent_ready(image("6.12-cloud"), firmware)
    mailbox = guest.script("message", "/tmp/message")
    guest.ok("grep -qw avx /proc/cpuinfo")
    holder = f"/inside/fpu {mailbox} /tmp/message 2000"
    guest.ok(f"{holder} & first=$!; {holder} && wait $first")


def test_malformed_messages_are_errors_and_harm_nothing(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(), ovmf.firmware("2025.02"))
    found = guest.script("malformed", within=120)
    messages = found.pop("messages")
    assert messages.pop("good") == ""
    assert set(messages.values()) <= {"EINVAL", "EIO", "ENOSPC", "ENOMEM"}, messages
    hostile = found.pop("hostile")
    assert hostile > 500
    assert found == {
        "unknown": ["UNSUPPORTED"],
        "handles": ["NOT_FOUND"],
        "batch": 256,
        "big batch": 256,
        "overfull batch": "E2BIG",
    }
    assert guest.script("timers")["firmware_ticks"] > 0
    assert guest.firmware_is_the_same()
