# SPDX-License-Identifier: Apache-2.0
"""A machine that goes on from a snapshot is the one that was frozen, and its own master."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pykexec.vm.bootvars import read_variables
from pykexec.vm.machine import MIB, Disk, Machine
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.equipment import HARDWARE, HIDDEN, NEXT_OPTIONS, VENDOR
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image
from tests.vm.snapshots import AgentReady, Kind

KEPT = f"/sys/firmware/efi/efivars/PkKept-{VENDOR}"
PCRS = "pykexec eventlog --json"


def sha256(path: Path) -> str:
    """What a file has in it now."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_the_machine_that_was_frozen(boot: Boot, tmp_path: Path) -> None:
    machine = machine_with(
        tmp_path, firmware(), image(), next_options=NEXT_OPTIONS, memory_file=True, **HARDWARE
    )
    first = Guest(boot(machine)).ready()
    first.ok("echo before >/tmp/here")
    first.ok(f"printf '\\007\\0\\0\\0kept' | dd of={KEPT}")
    log = first.json(PCRS)
    first.ok("pykexec net up", within=90)
    said = first.vm.console.text
    snapshot = first.vm.freeze(tmp_path / "snapshot")

    # What QEMU itself decides may be another: here, that a reset does not end the machine.
    guest = Guest(boot(Machine(firmware(), disks=(Disk(Path()),), reboot=True, **HARDWARE),
                       snapshot=snapshot))  # fmt: skip
    assert guest.vm.console.text.startswith(said)
    assert guest.ok("cat /tmp/here") == "before"
    assert log["tpm"] == log["replayed"] == guest.json(PCRS)["tpm"]
    assert read_variables(guest.vm.files.variables.read_bytes(), VENDOR) == {"PkKept": b"kept"}
    node = guest.json("pykexec bridge status --json")[0]["node"]
    (disk,) = guest.vm.machine.disks
    digest = guest.ok(f"sha256sum <{node}", within=120).split()[0]
    assert digest == sha256(disk.path)
    guest.ok("ping -c 3 10.0.2.2")
    assert guest.script("timers")["firmware_ticks"] > 0
    assert guest.firmware_is_the_same()

    guest.send(f"pykexec exec '{HELLO_PATH}' --options thawed")
    guest.payload_ran("thawed")
    guest.ready()


def test_two_of_one_snapshot_do_not_disturb_each_other(agent_ready: AgentReady) -> None:
    one, other = (agent_ready(image(), firmware()) for _ in range(2))
    # Where the kernel put itself, by chance.
    placed = "grep -w _text /proc/kallsyms"
    assert one.ok(placed) == other.ok(placed)
    (mine,), (yours,) = one.vm.machine.disks, other.vm.machine.disks
    before = sha256(yours.path)
    node = one.json("pykexec bridge start block --json")[0]["node"]
    behind_files = mine.path.stat().st_size // MIB - 3
    one.ok(f"dd if=/dev/urandom of={node} bs=1M count=1 seek={behind_files} conv=fsync")
    one.ok(f"printf '\\007\\0\\0\\0one' | dd of={KEPT}; echo mine >/tmp/here")
    pcrs = other.json(PCRS)["tpm"]
    one.send(f"pykexec exec '{HELLO_PATH}'")
    one.payload_ran()
    one.ready()

    assert sha256(mine.path) != before == sha256(yours.path)
    assert other.run(f"ls /tmp/here {KEPT}").status == 1
    assert read_variables(other.vm.files.variables.read_bytes(), VENDOR) == HIDDEN
    assert one.json(PCRS)["tpm"] != pcrs == other.json(PCRS)["tpm"]
    assert other.firmware_is_the_same()

    # What they did is not in the next one either.
    third = agent_ready(image(), firmware(), memory_file=True)
    assert sha256(third.vm.machine.disks[0].path) == before
    assert third.run(f"ls /tmp/here {KEPT}").status == 1
    third.vm.stop()
    assert b"IBI SYST" in third.vm.read_memory(0, third.vm.machine.memory_mib << 20)


def test_whatever_a_machine_is_made_of_makes_another_snapshot(tmp_path: Path) -> None:
    changed = tmp_path / "changed.efi"
    changed.write_bytes(image().read_bytes()[:-1] + b"x")
    kinds = [
        Kind(image(), firmware()),
        Kind(changed, firmware()),
        Kind(image(), firmware("2022.11")),
        Kind(image(), firmware(variant="snakeoil")),
        Kind(image(), firmware(), {**HARDWARE, "cpus": 1}),
    ]
    assert len({kind.key for kind in kinds}) == len(kinds)
    assert Kind(image(), firmware(), {**HARDWARE, "reboot": True}).key == kinds[0].key
