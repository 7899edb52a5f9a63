# SPDX-License-Identifier: Apache-2.0
"""What `pykexec demo` waits for, in order, and what each stage proves."""

from __future__ import annotations

import re

from pykexec.demo.local_stages import (
    BOOT,
    FIRMWARE,
    KEXEC,
    SECOND_OS,
    from_firmware_to_payload,
)
from pykexec.vm.stages import Stage

ATTEST = "attestation, to the verdict"
DELIVER = "the key, to the RAM disk"


def accepted(host: str, kernel: str, key_file: str, proof: str) -> list[Stage]:
    """The whole way, to the file that says proof on the volume which key_file opens."""
    return [
        *_by_network(host),
        *to_quote(kernel),
        *to_acceptance(),
        Stage(
            "this boot is spent, the key is on a RAM disk of the firmware",
            "PK:attest:released:0$",
            DELIVER,
            proves="it released the volume's key, once for this boot; the agent put it on a RAM"
            " disk of the firmware",
        ),
        *to_start(),
        *_second_os(kernel, key_file, proof),
    ]


def refused(host: str, kernel: str, code: str) -> list[Stage]:
    """To a verdict in which there is a finding of that code, and to the failure action."""
    return [
        *_by_network(host),
        *to_quote(kernel),
        Stage("the server refuses", "PK:attest:refused:0$", ATTEST),
        Stage(
            "the agent says why",
            rf"^pykexec: \S+ refuses: (?P<detail>.*{re.escape(code)}: .*)$",
            ATTEST,
            proves="on its console the agent says why: {detail}",
        ),
        Stage("the machine is reset, as configured", "PK:stub:action:0x3$", KEXEC),
    ]


def to_acceptance() -> list[Stage]:
    """The server's verdict, and what the agent says of it."""
    return [
        Stage("the server accepts", "PK:attest:accepted:0$", ATTEST),
        Stage(
            "the agent says so",
            "^attested by (?P<detail>.*)$",
            ATTEST,
            proves="the server accepted this machine, this boot and this payload: attested by"
            " {detail}",
        ),
    ]


def to_start() -> list[Stage]:
    """From the agent that has delivered to the firmware's StartImage."""
    return [
        Stage(
            "Linux ends through the mailbox: under Secure Boot kexec is off",
            "PK:agent:leave:0$",
            KEXEC,
        ),
        *from_firmware_to_payload(),
    ]


def _by_network(host: str) -> list[Stage]:
    return [
        Stage(
            "firmware has an address", r"Station IP address is (?P<detail>\S+)", FIRMWARE, within=90
        ),
        Stage(
            "firmware has fetched and started our image",
            "PK:stub:start:0$",
            FIRMWARE,
            proves=f"firmware booted by PXE what it was given by {host}",
        ),
    ]


def to_quote(kernel: str) -> list[Stage]:
    """From our image, which the firmware has started, to the agent's quote."""
    return [
        Stage("stub has logged what its image is made of", "PK:stub:measure:0$", BOOT),
        Stage(
            f"Linux {kernel} entered, boot services stay",
            "PK:stub:exit_bs:0$",
            BOOT,
        ),
        Stage("agent is ready", "PK:agent:ready:0$", BOOT, within=90),
        Stage("agent goes on line", "PK:attest:start:0$", ATTEST),
        Stage(
            "the TPM has opened the server's challenge and signs a quote",
            "PK:attest:quote:0$",
            ATTEST,
        ),
    ]


def _second_os(kernel: str, key_file: str, proof: str) -> list[Stage]:
    return [
        Stage(
            "the unified kernel image's Linux is up",
            rf"^OS:UP (?P<detail>{re.escape(kernel)})$",
            SECOND_OS,
            within=90,
        ),
        Stage("it has all memory", r"^OS:MEMORY (?P<detail>\d{6,} kB)$", SECOND_OS),
        Stage(
            "it finds the RAM disk",
            rf"^OS:KEY (?P<detail>\S+ has .*{re.escape(key_file)}.*)$",
            SECOND_OS,
            proves="a second stock Linux, in a unified kernel image, finds the RAM disk: {detail}",
        ),
        Stage(
            "it has unlocked its volume and wiped the RAM disk",
            rf"^OS:UNLOCKED (?P<detail>\S+ read '{re.escape(proof.strip())}', wrote)$",
            SECOND_OS,
            proves="with that key cryptsetup unlocked the LUKS2 volume; RAM disk wiped: {detail}",
        ),
        Stage("picture of its screen", "^OS:SCREEN", SECOND_OS, picture="second-os"),
        Stage("it powers the machine off", "^OS:DONE", SECOND_OS),
    ]
