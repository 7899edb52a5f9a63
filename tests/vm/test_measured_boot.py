# SPDX-License-Identifier: Apache-2.0
"""With a TPM everything that runs is measured, as predicted; without one it runs all the same."""

from __future__ import annotations

import base64
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pykexec.efi import pe
from pykexec.image import measure
from pykexec.run import run
from pykexec.vm.guest_os import command_line
from pykexec.vm.kernels import kernel
from pykexec.vm.ovmf import Firmware, firmware
from pykexec.vm.vm import Vm
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.equipment import BARE
from tests.vm.guest import Guest, machine_with
from tests.vm.payloads import PAYLOADS
from tests.vm.snapshots import AgentReady
from tests.vm.through import expect_kexec, through_machine
from tests.vm.uki import make_uki

OS_OPTIONS = rf"initrd=\initrd.img {command_line(checks=('eventlog',))}"
LINUX = replace(PAYLOADS["linux-6.1-cloud"], options=OS_OPTIONS)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the firmware's log; text is what tpm2_eventlog says of it."""

    pcr: int
    type: str
    sha256: str
    text: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What the OS read: registers of the SHA-256 bank, and the firmware's log."""

    pcrs: dict[int, str]
    events: list[Event]
    replayed: dict[int, str]

    def of(self, pcr: int) -> list[Event]:
        """The events of one register."""
        return [event for event in self.events if event.pcr == pcr]


def _read_measured(vm: Vm, directory: Path) -> Measured:
    vm.expect("^OS:TPM", within=120)
    pcrs = {n: vm.expect(rf"^OS:PCR {n} ([0-9A-F]{{64}})$")[1].lower() for n in (4, 5, 7, 9, 11)}
    (directory / "log").write_bytes(base64.b64decode(vm.expect(r"^OS:EVENTLOG (\S+)\n")[1]))
    text = run(["tpm2_eventlog", directory / "log"], timeout_s=60).decode()
    listed, _, replayed = text.partition("\npcrs:")
    fields = r"PCRIndex: (\d+)\n  EventType: (\w+)\n(?s:.*?)sha256\n    Digest: \"(\w+)\"\n"
    events = [
        Event(int(match[1]), match[2], match[3], block)
        for block in listed.split("- EventNum:")[1:]
        if (match := re.search(fields, block))
    ]
    bank = re.search(r"sha256:\n((?:    .*\n?)+)", replayed)
    assert events and bank
    found = re.findall(r"(\d+) *: 0x(\w+)", bank[1])
    return Measured(pcrs, events, {int(n): value for n, value in found})


def _authenticode(path: Path) -> str:
    data = path.read_bytes()
    return pe.authenticode_digest(data, pe.parse(data, str(path))).hex()


def _predicted(path: Path) -> str:
    data = path.read_bytes()
    return measure.predict(measure.measured_sections(data, pe.parse(data, str(path)))).hex()


def _os_after(image: Path, firmware: Firmware, boot: Boot, directory: Path) -> Measured:
    machine = replace(through_machine(LINUX, firmware, image, directory), tpm="tis")
    vm = boot(machine)
    expect_kexec(vm)
    measured = _read_measured(vm, directory)
    vm.expect("^OS:DONE")
    return measured


def test_os_finds_what_build_predicted(firmware: Firmware, boot: Boot, tmp_path: Path) -> None:
    loader, image = kernel("6.1-cloud"), tmp_path / "pykexec.efi"
    words: list[str | Path] = [sys.executable, "-m", "pykexec", "build", "--output", image]
    words += ["--kernel", loader.image, "--modules", loader.modules]
    printed = run(words, timeout_s=120).decode()
    predicted = re.search(r"PCR 11 sha256 (\w{64})", printed)
    digest = re.search(r"Authenticode sha256 (\w{64})", printed)
    assert predicted and digest

    measured = _os_after(image, firmware, boot, tmp_path)

    assert measured.pcrs[11] == predicted[1]
    assert measured.replayed[11] == predicted[1]
    assert {event.type for event in measured.of(11)} == {"EV_IPL"}
    sections = [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"]
    assert len(measured.of(11)) == 2 * len(sections)
    applications = [e for e in measured.of(4) if e.type == "EV_EFI_BOOT_SERVICES_APPLICATION"]
    linux = LINUX.files()["vmlinuz"]
    assert isinstance(linux, Path)
    assert [event.sha256 for event in applications] == [digest[1], _authenticode(linux)]
    assert "vmlinuz".encode("utf-16-le").hex() in applications[1].text
    assert measured.replayed[4] == measured.pcrs[4]
    assert measured.replayed[9] == measured.pcrs[9]


@pytest.mark.matrix
def test_another_command_line_gives_another_pcr_11(boot: Boot, tmp_path: Path) -> None:
    image = images.image(cmdline="console=ttyS0,115200 quiet changed")
    measured = _os_after(image, firmware(), boot, tmp_path)
    assert measured.pcrs[11] == _predicted(image) != _predicted(images.image())


def test_image_by_ukify_boots_and_is_measured(boot: Boot, tmp_path: Path) -> None:
    initrd = tmp_path / "initrd.img"
    initrd.write_bytes(images.sections(images.image())[".initrd"])
    options = "console=ttyS0,115200 quiet pykexec.arena=256M"
    image = make_uki(images.stub(), kernel("6.1-cloud"), initrd, options)
    measured = _os_after(image, firmware(), boot, tmp_path)
    assert measured.pcrs[11] == _predicted(image)


def test_status_says_that_it_was_measured(boot: Boot, tmp_path: Path) -> None:
    guest = Guest(boot(machine_with(tmp_path, firmware(), images.image(), tpm="crb"))).ready()
    assert "measured: yes" in guest.ok("pykexec status").splitlines()
    assert "TPM: none" not in guest.vm.console.text


def test_status_says_that_there_was_nothing_to_measure_by(agent_ready: AgentReady) -> None:
    guest = agent_ready(images.image(), firmware(), **BARE)
    assert "measured: no" in guest.ok("pykexec status").splitlines()
    assert "TPM: none" in guest.vm.console.text
