# SPDX-License-Identifier: Apache-2.0
"""With a TPM everything that runs is measured, by the firmware; registers from 8 on are the
payload's. Without one it runs all the same.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pykexec.efi import pe
from pykexec.firmware import description
from pykexec.firmware.measure import config_event
from pykexec.image import measure
from pykexec.run import run
from pykexec.tpm.eventlog import parse_event_log
from pykexec.vm import packages
from pykexec.vm.guest_os import command_line, initramfs
from pykexec.vm.kernels import kernel
from pykexec.vm.ovmf import Firmware, firmware
from pykexec.vm.vm import Vm
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.equipment import BARE
from tests.vm.payloads import PAYLOADS, Payload
from tests.vm.snapshots import AgentReady
from tests.vm.through import agent_toml, expect_kexec, through_machine
from tests.vm.uki import make_uki

OS_OPTIONS = rf"initrd=\initrd.img {command_line(checks=('eventlog',))}"
LINUX = replace(PAYLOADS["linux-6.1-cloud"], options=OS_OPTIONS)
# What systemd 252 measures of a unified kernel image.
MEASURED_BY_252 = (".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey")
ZERO = "0" * 64
EV_EVENT_TAG = 6
READ = (4, 5, 7, 9, 11, 12, 13, 14)


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
    pcrs = {n: vm.expect(rf"^OS:PCR {n} ([0-9A-F]{{64}})$")[1].lower() for n in READ}
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


def _sections(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    return description.measured_sections(data, pe.parse(data, str(path)))


def _predicted(path: Path) -> str:
    return measure.predict(_sections(path)).hex()


def _uki(directory: Path) -> Payload:
    """Debian's systemd-stub 252 around a Linux that shows what was measured."""
    package = packages.fetch(packages.PAYLOADS["systemd-boot-252"])
    os_kernel = kernel("6.1-cloud")
    image = make_uki(
        package / "usr/lib/systemd/boot/efi/linuxx64.efi.stub",
        os_kernel,
        initramfs(os_kernel),
        command_line(checks=("eventlog",)),
    )
    return replace(PAYLOADS["uki-252"], files=lambda: {"EFI/Linux/os.efi": image})


def _os_after(
    image: Path, firmware: Firmware, boot: Boot, directory: Path, payload: Payload = LINUX
) -> Measured:
    machine = replace(through_machine(payload, firmware, image, directory), tpm="tis")
    vm = boot(machine)
    expect_kexec(vm)
    measured = _read_measured(vm, directory)
    vm.expect("^OS:DONE")
    return measured


def test_a_unified_kernel_image_finds_registers_as_if_nothing_was_before_it(
    firmware: Firmware, boot: Boot, tmp_path: Path
) -> None:
    loader, image = kernel("6.1-cloud"), tmp_path / "pykexec.efi"
    words: list[str | Path] = [sys.executable, "-m", "pykexec", "build", "--output", image]
    words += ["--kernel", loader.image, "--modules", loader.modules]
    printed = run(words, timeout_s=300).decode()
    digest = re.search(r"Authenticode sha256 (\w{64})", printed)
    assert digest
    assert "PCR 11" not in printed
    payload = _uki(tmp_path)

    measured = _os_after(image, firmware, boot, tmp_path, payload)

    (uki,) = payload.files().values()
    assert isinstance(uki, Path)
    parts = {name: data for name, data in _sections(uki).items() if name in MEASURED_BY_252}
    assert measured.pcrs[11] == measure.predict(parts).hex()
    assert [measured.pcrs[n] for n in (12, 13, 14)] == [ZERO] * 3
    applications = [e for e in measured.of(4) if e.type == "EV_EFI_BOOT_SERVICES_APPLICATION"]
    assert [event.sha256 for event in applications][:2] == [digest[1], _authenticode(uki)]
    # What the image says of itself, and the agent.toml that told it what to start.
    override = agent_toml(payload.path, payload.options)
    logged = [description.describe(_sections(image)), config_event(override)]
    events = parse_event_log((tmp_path / "log").read_bytes()).events
    found = [event for event in events if (event.pcr, event.type) == (5, EV_EVENT_TAG)]
    assert [event.data for event in found] == logged
    digests = [hashlib.sha256(data).digest() for data in logged]
    assert [event.digests["sha256"] for event in found] == digests
    for pcr in (4, 5, 9):
        assert measured.replayed[pcr] == measured.pcrs[pcr]


@pytest.mark.matrix
def test_linux_finds_them_so_too(boot: Boot, tmp_path: Path) -> None:
    measured = _os_after(images.image(), firmware(), boot, tmp_path)
    assert [measured.pcrs[n] for n in (11, 12, 13, 14)] == [ZERO] * 4
    linux = LINUX.files()["vmlinuz"]
    assert isinstance(linux, Path)
    applications = [e for e in measured.of(4) if e.type == "EV_EFI_BOOT_SERVICES_APPLICATION"]
    assert [e.sha256 for e in applications] == [
        _authenticode(images.image()),
        _authenticode(linux),
    ]
    assert "vmlinuz".encode("utf-16-le").hex() in applications[1].text


def test_an_image_by_ukify_boots_and_measures_its_sections_for_who_wants_that(
    boot: Boot, tmp_path: Path
) -> None:
    initrd = tmp_path / "initrd.img"
    initrd.write_bytes(images.sections(images.image())[".initrd"])
    options = "console=ttyS0,115200 quiet pykexec.arena=256M pykexec.measure=systemd"
    image = make_uki(images.stub(), kernel("6.1-cloud"), initrd, options)
    measured = _os_after(image, firmware(), boot, tmp_path)
    assert measured.pcrs[11] == measured.replayed[11] == _predicted(image)
    assert {event.type for event in measured.of(11)} == {"EV_IPL"}
    sections = [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"]
    assert len(measured.of(11)) == 2 * len(sections)


def test_status_says_that_it_was_measured(agent_ready: AgentReady) -> None:
    guest = agent_ready(images.image(), firmware())
    assert "measured: yes" in guest.ok("pykexec status").splitlines()
    assert "TPM: none" not in guest.vm.console.text


def test_status_says_that_there_was_nothing_to_measure_by(agent_ready: AgentReady) -> None:
    guest = agent_ready(images.image(), firmware(), **BARE)
    assert "measured: no" in guest.ok("pykexec status").splitlines()
    assert "TPM: none" in guest.vm.console.text
