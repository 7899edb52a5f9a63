# SPDX-License-Identifier: Apache-2.0
"""What `pykexec demo --windows` waits for, in order, and what each stage proves."""

from __future__ import annotations

from pykexec.demo.attest_stages import DELIVER, to_acceptance, to_quote, to_start
from pykexec.demo.local_stages import FIRMWARE, KEXEC
from pykexec.vm.stages import Stage

MANAGER = "Windows' boot manager, to the key"
LOADER = "Windows' loader, to power off"


def unlocked(kernel: str) -> list[Stage]:
    """The whole way, to the boot manager's stand-in that has opened the volume and ended boot
    services.
    """
    return [
        *_to_check(kernel),
        Stage(
            "agent: the key opens the volume",
            r"^windows: fine .*: (?P<detail>BitLocker volume .* opens it)$",
            DELIVER,
            proves="the agent looked at the disk before it started anything: {detail}",
        ),
        Stage(
            "agent: nothing keeps Windows from starting",
            "PK:windows:fits:0$",
            DELIVER,
            picture="agent",
        ),
        Stage(
            "this boot is spent, the .BEK is on a disk of the firmware's",
            "PK:attest:released:0$",
            DELIVER,
            proves="the server released the startup key, once for this boot; the agent put it on a"
            " disk in the firmware's memory, as a .BEK file",
        ),
        *to_start(),
        *_boot_manager(),
        *_loader(),
    ]


def mismatch(kernel: str) -> list[Stage]:
    """To a key that is of another volume, and to the failure action."""
    return [
        *_to_check(kernel),
        Stage(
            "agent says what Windows would do",
            r"^windows: fault .*: (?P<detail>BitLocker volume .*: no secret at hand fits .*)$",
            DELIVER,
            proves="with the key of another volume the agent says beforehand: {detail}",
        ),
        Stage("that is a mismatch", "PK:windows:mismatch:0$", DELIVER),
        Stage(
            "Windows is not started: the machine is reset, as configured",
            "PK:stub:action:0x3$",
            KEXEC,
            proves="and takes its failure action, where Windows would wait in its recovery screen"
            " for somebody",
        ),
    ]


def _to_check(kernel: str) -> list[Stage]:
    return [
        Stage("firmware finds our image on the disk", "BdsDxe: loading Boot0001", FIRMWARE),
        Stage(
            "firmware has verified, measured and started it",
            "PK:stub:start:0$",
            FIRMWARE,
            proves="firmware started our image under Secure Boot",
        ),
        *to_quote(kernel),
        *to_acceptance(),
        Stage(
            "agent looks at the disk: boot manager, configuration, volume",
            r"^windows: fine .*: (?P<detail>db allows it, .*)$",
            DELIVER,
            shown=True,
        ),
    ]


def _boot_manager() -> list[Stage]:
    return [
        Stage(
            "a stand-in for Windows' boot manager is there, and finds the firmware as it should be",
            "PK:wbm:02:0x0$",
            MANAGER,
        ),
        Stage(
            "it calls the firmware from page tables of its own, as Windows does",
            "PK:wbm:03:0x0$",
            MANAGER,
        ),
        Stage("it has read disks and partitions, block by block", "PK:wbm:05:0x0$", MANAGER),
        Stage("its boot configuration names a loader, which is there", "PK:wbm:06:0x0$", MANAGER),
        Stage(
            "PCR 11 is as after a reset",
            "^WBM:07:pcr11:0{64}$",
            MANAGER,
            proves="the TPM's PCR 11 is zero, as BitLocker's key wants it",
        ),
        Stage("it has measured what Windows measures", "PK:wbm:07:0x0$", MANAGER),
        Stage("it has found the .BEK", "^WBM:08:found:", MANAGER),
        Stage(
            "it has opened the volume's master key",
            r"^WBM:08:vmk:(?P<detail>[0-9a-f]{16})",
            MANAGER,
            proves="the stand-in found the .BEK there, and opened with it the master key of a"
            " volume that Windows 11 has encrypted (SHA-256 {detail}...)",
        ),
        Stage("picture of its screen", "PK:wbm:13:0x0$", MANAGER, picture="boot-manager"),
    ]


def _loader() -> list[Stage]:
    return [
        Stage(
            "boot services have ended, where the key was are zeros",
            "PK:wbm:10:0x0$",
            LOADER,
            proves="boot services ended, and wiped the key disk",
        ),
        Stage(
            "runtime services work where Windows wants them",
            "PK:wbm:11:0x0$",
            LOADER,
            proves="runtime services went to Windows' addresses, and work there",
        ),
        Stage("it powers the machine off", "PK:wbm:12:0x0$", LOADER),
    ]
