# SPDX-License-Identifier: Apache-2.0
"""Debian's other kernels, real-time ones among them: devices, and payloads by both routes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pykexec.vm.machine import Nic
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image
from tests.vm.test_round_trip import came_back

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(500)]

HEAD = 1 << 20


@pytest.mark.parametrize(
    ("kernel", "by"),
    [
        ("trixie-cloud", "window"),
        ("trixie-generic", "window"),
        ("sid-generic", "window"),
        # Real-time kernels can map no such memory (CONFIG_DEV_DAX).
        ("6.1-rt", "mailbox"),
        ("6.12-rt", "mailbox"),
        ("trixie-rt", "mailbox"),
        ("sid-rt", "mailbox"),
    ],
)
def test_a_kernel_of_debians_has_the_devices_and_starts_payloads(
    kernel: str, by: str, boot: Boot, tmp_path: Path
) -> None:
    machine = machine_with(
        tmp_path, firmware("2025.02"), image(kernel), cpus=2, tpm="tis", nic=Nic()
    )
    guest = Guest(boot(machine, limit_s=480)).ready(within=180)
    assert ("PREEMPT_RT" in guest.ok("uname -v")) == kernel.endswith("-rt")

    rows = guest.json("pykexec bridge start --json", within=90)
    assert {row["kind"]: row["state"] for row in rows} == dict.fromkeys(
        ("block", "net", "tpm"), "up"
    )
    (disk,) = (row for row in rows if row["kind"] == "block")
    assert disk["by"] == by
    digest = guest.ok(f"head -c {HEAD} {disk['node']} | sha256sum").split()[0]
    with open(machine.disks[0].path, "rb") as file:
        assert digest == hashlib.sha256(file.read(HEAD)).hexdigest()

    for number, route in enumerate(("kexec", "leave"), 1):
        guest.send(f"pykexec exec '{HELLO_PATH}' --via {route} --options {route}")
        guest.payload_ran(route)
        came_back(guest, number)
