# SPDX-License-Identifier: Apache-2.0
"""A stick that finds out what a machine is like; one that hangs goes on behind the step."""

from __future__ import annotations

from pathlib import Path

from pykexec.certify.plan import ABSENT, HUNG, OK, PLAN, TRIPS
from pykexec.certify.replay import replay
from pykexec.certify.report import Report, read_report
from pykexec.certify.settings import APPLICATION_FILE, Settings, encode_settings, slot_paths
from pykexec.config.agent import CERTIFY_PATH
from pykexec.image.stick import write_stick
from pykexec.run import run
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import Firmware
from tests.vm.boot import Boot
from tests.vm.images import QUICK_CMDLINE, hello, image

PARTITION = 128 * 512
MAC = "52:54:00:c0:ff:ee"
UUID = "6f1c5c0f-1234-5678-9abc-def012345678"
SERIAL = "PF2-SERIAL-1"
SMBIOS = f"type=1,manufacturer=Maker,product=Machine,serial={SERIAL},uuid={UUID}"
LIMIT_S = 300


def machine_with_stick(
    directory: Path, firmware: Firmware, settings: Settings, defines: tuple[str, ...] = ()
) -> Machine:
    """A machine that nothing but the stick can be booted from."""
    files = (
        (CERTIFY_PATH.lstrip("/"), encode_settings(settings)),
        (APPLICATION_FILE.lstrip("/"), hello().read_bytes()),
    )
    cmdline = f"{QUICK_CMDLINE} pykexec.certify=1"
    made = image(cmdline=cmdline, files=files, defines=defines)
    stick = directory / "stick.img"
    write_stick(stick, made.read_bytes(), hello().read_bytes())
    return Machine(
        firmware,
        disks=(Disk(stick, "usb", bootindex=0),),
        nic=Nic(mac=MAC),
        tpm="crb",
        reboot=True,
        extra=("-smbios", SMBIOS),
    )


def kept(machine: Machine, which: int) -> bytes:
    """Journal, report or page of the stick's first machine."""
    path = slot_paths(1)[which].lstrip("\\").replace("\\", "/")
    stick = machine.disks[0].path
    return run(["mtype", "-i", f"{stick}@@{PARTITION}", f"::/{path}"], timeout_s=60)


def outcomes(report: Report) -> dict[str, str]:
    """By step."""
    return {entry.name: entry.result.outcome for entry in report.entries}


def test_a_stick_leaves_a_report_that_replays(
    boot: Boot, firmware: Firmware, tmp_path: Path
) -> None:
    machine = machine_with_stick(tmp_path, firmware, Settings(round_trips=2, write_scratch=True))
    vm = boot(machine, limit_s=LIMIT_S)
    vm.expect("PK:certify:firmware:begin", within=120)
    vm.expect("PK:certify:report:0", within=LIMIT_S)
    vm.kill()

    report = read_report(kept(machine, 1), "report.json")
    (vm.directory / "report.json").write_bytes(kept(machine, 1).rstrip(b"\n") + b"\n")
    assert outcomes(report) == {step.name: OK for step in PLAN}, report.faults
    assert report.complete
    trips = report.result(TRIPS)
    assert trips is not None and len(trips.facts["trips"]) == 2  # type: ignore[arg-type]
    assert b"no step of" in kept(machine, 2)
    assert all(not check.fault for check in replay(report)), replay(report)

    everything = kept(machine, 0) + kept(machine, 1) + kept(machine, 2)
    for secret in (MAC, MAC.replace(":", ""), UUID, SERIAL):
        is_hidden = secret.lower().encode() not in everything.lower()
        assert is_hidden, secret


def test_a_stick_goes_on_behind_the_step_that_hung(
    boot: Boot, firmware: Firmware, tmp_path: Path
) -> None:
    machine = machine_with_stick(tmp_path, firmware, Settings(round_trips=0), ("PK_TEST_HANG",))
    vm = boot(machine, limit_s=LIMIT_S)
    vm.expect("PK:certify:acpi:begin", within=120)
    vm.reset()
    vm.expect("PK:certify:acpi:hung", within=120)
    vm.expect("PK:certify:report:0", within=LIMIT_S)
    vm.kill()

    found = outcomes(read_report(kept(machine, 1), "report.json"))
    expected = {step.name: OK for step in PLAN}
    assert found == {**expected, "acpi": HUNG, "scratch": ABSENT, TRIPS: ABSENT}
