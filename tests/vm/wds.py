# SPDX-License-Identifier: Apache-2.0
"""The stand-in for Windows' wdsmgfw.efi, what a boot server has for it, and what it says."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pykexec import _freestanding
from pykexec.vm import child
from pykexec.vm.lan import TAP, Lan
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware
from pykexec.vm.vm import Vm
from tests.vm import images
from tests.vm.boot import Boot

STEPS = ("0", "1", "2", "3", "4")
CONTENT = random.Random(1).randbytes(300_001)
FETCHED = f"WDS:file:{len(CONTENT):x}:{zlib.crc32(CONTENT):x}"
DIRECTLY, THROUGH = "boot/wdsmgfw.efi", "boot/pykexec.efi"


def serve(directory: Path, image: Path) -> Path:
    """A directory for a boot server: the stand-in, what it fetches, and image, which starts it."""
    boot = directory / "boot"
    boot.mkdir(parents=True)
    _freestanding.build_payload(images.CSRC, "wdsmgfw", boot / "wdsmgfw.efi")
    (boot / "boot.sdi").write_bytes(CONTENT)
    (boot / "pykexec.efi").write_bytes(image.read_bytes())
    (boot / "agent.toml").write_text("[payload]\nurl = 'wdsmgfw.efi'\n")
    return directory


def machine(version: str, nic: Nic, lan: Lan | None = None) -> Machine:
    """A machine that boots by PXE and by nothing else."""
    return Machine(firmware(version), nic=nic, within=lan.within if lan else ())


def user_nic(served: Path, boot_file: str) -> Nic:
    """A NIC whose DHCP and TFTP are QEMU's."""
    return Nic(tftp=served, bootfile=boot_file, bootindex=0)


def said(vm: Vm) -> list[str]:
    """What the stand-in has said so far."""
    return re.findall(r"^(?:WDS|PK:wds):.*$", vm.console.text, re.MULTILINE)


def expect_steps(boot: Boot, what: Machine) -> list[str]:
    """Boot until the stand-in has gone through all steps; what it said."""
    vm = boot(what)
    for step in STEPS:
        vm.expect_stage("wds", step, within=240)
    return said(vm)


def expect_failure(boot: Boot, what: Machine) -> tuple[str, str]:
    """Boot until the stand-in has failed; in which step, and what was not so."""
    vm = boot(what)
    step = vm.expect(r"PK:wds:(\d):0x8[0-9a-f]{15}$", within=240)[1]
    (fault,) = (line for line in said(vm) if line.startswith("WDS:failed:"))
    return step, fault.removeprefix("WDS:failed:")


@contextmanager
def behind_router(lan: Lan, served: Path, log_file: Path, boot_file: str) -> Iterator[None]:
    """DHCP from 10.77.0.1, the router to where the boot file is: 10.78.0.1, an address of lan's."""
    options = f"""\
port=0
interface={TAP}
except-interface=lo
bind-interfaces
dhcp-range=10.77.0.100,10.77.0.200,255.255.255.0
dhcp-leasefile={log_file.with_suffix(".leases")}
dhcp-option=option:router,10.77.0.1
dhcp-boot={boot_file},,10.78.0.1
enable-tftp
tftp-root={served}
"""
    configuration = log_file.with_suffix(".conf")
    configuration.write_text(options)
    words = [*lan.within, "dnsmasq", f"--conf-file={configuration}", "--keep-in-foreground"]
    process = child.start([*words, "--log-facility=-", "--user=root"], log_file)
    try:
        yield
    finally:
        child.stop(process)
