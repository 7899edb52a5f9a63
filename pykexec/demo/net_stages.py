# SPDX-License-Identifier: Apache-2.0
"""What `pykexec demo --net` waits for, in order, and what each stage proves."""

from __future__ import annotations

import re

from pykexec.demo.local_stages import BOOT, FIRMWARE, PAYLOAD, SECOND_OS, to_payload_start
from pykexec.vm.stages import Stage

FETCH = "the network, from Linux"


def stages(host: str, web: str, kernel: str) -> list[Stage]:
    """The stages of a demo whose server is host, with HTTP at web; kernel is of both Linuxes."""
    return [*_to_agent(host, kernel), *_fetch(host, web), *to_payload_start(), *_payload(kernel)]


def _to_agent(host: str, kernel: str) -> list[Stage]:
    return [
        Stage(
            "firmware has an address", r"Station IP address is (?P<detail>\S+)", FIRMWARE, within=90
        ),
        Stage("firmware is told what to boot", r"NBP filename is (?P<detail>\S+)", FIRMWARE),
        Stage(
            "firmware has fetched and started our image",
            "PK:stub:start:0$",
            FIRMWARE,
            proves=f"firmware booted our image by PXE from {host}",
        ),
        Stage(
            f"Linux {kernel} entered, boot services stay",
            "PK:stub:exit_bs:0$",
            BOOT,
            proves=f"stock Linux {kernel} runs with the firmware's boot services alive",
        ),
        Stage("agent is ready", "PK:agent:ready:0$", BOOT, within=90, picture="agent"),
    ]


def _fetch(host: str, web: str) -> list[Stage]:
    return [
        Stage(
            "agent has found its configuration",
            rf"^configuration: (?P<detail>tftp://{re.escape(host)}/agent\.toml)$",
            FETCH,
            proves="the agent went on line through the firmware's NIC, with the firmware's lease,"
            " and found its configuration beside the image: {detail}",
        ),
        Stage("agent fetches its payload", rf"^starting (?P<detail>{re.escape(web)}/\S+)$", FETCH),
        Stage(
            "it has come whole, Linux ends",
            "PK:agent:resume:0$",
            FETCH,
            proves="it fetched its payload by HTTP over that NIC, and gave the NIC back",
        ),
    ]


def _payload(kernel: str) -> list[Stage]:
    return [
        Stage("GRUB is there", "PK:grub:start:0", PAYLOAD),
        Stage(
            "GRUB shows the menu from the server",
            r"GNU GRUB +version (?P<detail>\S+)",
            PAYLOAD,
            picture="grub",
            proves="GRUB {detail} uses the firmware's network, as if Linux had not been there",
        ),
        Stage("GRUB has fetched the second kernel", "PK:grub:linux:0$", PAYLOAD, within=90),
        Stage("it is up", rf"^OS:UP (?P<detail>{re.escape(kernel)})$", SECOND_OS, within=90),
        Stage("it has all memory", r"^OS:MEMORY (?P<detail>\d{6,} kB)$", SECOND_OS),
        Stage("it has used EFI variables", "^OS:EFIVAR (?P<detail>.+)$", SECOND_OS),
        Stage(
            "its own driver has the NIC",
            r"^OS:NET (?P<detail>\S+)$",
            SECOND_OS,
            proves="a second stock Linux has left boot services for real, and has the NIC by its"
            " own driver: {detail}",
        ),
        Stage("picture of its screen", "^OS:SCREEN", SECOND_OS, picture="second-os"),
        Stage("it powers the machine off", "^OS:DONE", SECOND_OS),
    ]
