# SPDX-License-Identifier: Apache-2.0
"""What `pykexec demo` waits for, in order, and what each stage proves."""

from __future__ import annotations

import re

from pykexec.vm.stages import Stage

FIRMWARE = "firmware, to our image"
BOOT = "our image, to the agent"
KEXEC = "kexec, to the payload"
PAYLOAD = "the payload"
SECOND_OS = "the second kernel, to power off"
AGAIN = "Linux again, from memory"


def stages(path: str, payload: str, kernel: str) -> list[Stage]:
    """The stages of a demo whose agent starts path, which is GRUB or hello.

    kernel is the release of both Linux kernels.
    """
    after = _grub(kernel) if payload == "grub" else _hello()
    return [*_to_payload(path, kernel), *after]


def _to_payload(path: str, kernel: str) -> list[Stage]:
    return [
        Stage("firmware finds our image on the disk", "BdsDxe: loading Boot0001", FIRMWARE),
        Stage("firmware has loaded, measured and started it", "PK:stub:start:0$", FIRMWARE),
        Stage("stub has logged what its image is made of", "PK:stub:measure:0$", BOOT),
        Stage("stub has memory for Linux", r"pykexec: arena (?P<detail>\[[^)]*\))", BOOT),
        Stage(f"Linux {kernel} entered as an EFI application", "PK:stub:linux:0$", BOOT),
        Stage(
            "its ExitBootServices answered, not executed",
            "PK:stub:exit_bs:0$",
            BOOT,
            proves=f"stock Linux {kernel} runs with the firmware's boot services alive",
        ),
        Stage(
            "agent has asked the firmware for its disks",
            r"^ .* (?P<detail>PciRoot\(0x0\)\S*/HD\(1,\S*)$",
            BOOT,
            within=90,
            shown=True,
            proves="the agent in it sees the firmware's memory map and its disk: {detail}",
        ),
        Stage(
            "agent has asked the firmware for its TPM",
            r"^TPM: (?P<detail>2\.0, .*)$",
            BOOT,
            shown=True,
            proves="and its TPM: {detail}",
        ),
        Stage(
            "agent is ready",
            "PK:agent:ready:0$",
            BOOT,
            picture="agent",
        ),
        Stage("agent starts", rf"^starting (?P<detail>{re.escape(path)})", KEXEC),
        Stage("kexec_file_load took it, Linux ends", "PK:agent:resume:0$", KEXEC),
        *to_payload_start(),
    ]


def to_payload_start() -> list[Stage]:
    """From the end of Linux by kexec to the firmware's StartImage."""
    return [
        Stage("resume image knows the way back", "PK:resume:handoff:0$", KEXEC),
        *from_firmware_to_payload(
            "kexec led back into the firmware, which loaded an EFI application"
        ),
    ]


def from_firmware_to_payload(proves: str = "") -> list[Stage]:
    """From the firmware that has its machine again to its StartImage."""
    return [
        Stage("firmware is itself again", "PK:stub:firmware:0$", KEXEC),
        Stage("firmware has loaded and measured the payload", "PK:stub:load:0$", KEXEC),
        Stage(
            "firmware starts the payload",
            "PK:stub:started:0$",
            KEXEC,
            proves=proves,
        ),
    ]


def _grub(kernel: str) -> list[Stage]:
    return [
        Stage("GRUB is there", "Welcome to GRUB", PAYLOAD),
        Stage(
            "GRUB shows its menu",
            r"GNU GRUB +version (?P<detail>\S+)",
            PAYLOAD,
            picture="grub",
            proves="Debian's signed GRUB {detail} runs on that firmware and shows its menu",
        ),
        Stage("GRUB takes its first entry", "^The disk:$", PAYLOAD),
        Stage("GRUB lists the disk", r"(?P<detail>\(hd0,gpt1\))", PAYLOAD, shown=True),
        Stage(
            "GRUB boots the second kernel",
            "PK:grub:linux:0$",
            PAYLOAD,
            proves="it counted its menu down, listed the disk and read a kernel from it",
        ),
        Stage("it is up", rf"^OS:UP (?P<detail>{re.escape(kernel)})$", SECOND_OS, within=90),
        Stage("it has all processors", "^OS:CPUS (?P<detail>0-1)$", SECOND_OS),
        Stage(
            "it has all memory",
            r"^OS:MEMORY (?P<detail>\d{6,} kB)$",
            SECOND_OS,
            proves="a second stock Linux has left boot services for real: it owns {detail} of RAM",
        ),
        Stage(
            "it has mounted its disk",
            r"^OS:DISK (?P<detail>\S+ read .*, wrote)$",
            SECOND_OS,
            proves="it read and wrote its disk with its own driver",
        ),
        Stage(
            "it has used EFI variables",
            "^OS:EFIVAR (?P<detail>.+)$",
            SECOND_OS,
            proves="it wrote an EFI variable and read it back",
        ),
        Stage(
            "the registers of operating systems are as after a reset",
            "^OS:UNUSED PCR (?P<detail>11 12 13 14)$",
            SECOND_OS,
            proves="the TPM's PCR {detail} are zero: what seals to them finds them as without us",
        ),
        Stage("picture of its screen", "^OS:SCREEN", SECOND_OS, picture="second-os"),
        Stage("it powers the machine off", "^OS:DONE", SECOND_OS),
    ]


def _hello() -> list[Stage]:
    return [
        Stage("hello.efi is there", "PK:payload:started:0", PAYLOAD),
        Stage("it has read its own volume", "PK:payload:volume:(?P<detail>0x0)", PAYLOAD),
        Stage(
            "the firmware's timers tick",
            "PK:payload:ticks:(?P<detail>0x[1-9a-f])",
            PAYLOAD,
            picture="hello",
            proves="the payload's volume and timers work",
        ),
        Stage("it has returned to the stub", "PK:stub:returned:0$", PAYLOAD),
        Stage("the same Linux is started again", "PK:stub:linux:0$", AGAIN),
        Stage("agent is ready again", "PK:agent:ready:0$", AGAIN, within=90),
        Stage(
            "agent knows how the payload ended",
            "^last end: (?P<detail>returned: .*)",
            AGAIN,
            proves="Linux came back from the image in memory and knows: {detail}",
        ),
    ]
