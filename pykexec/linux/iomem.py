# SPDX-License-Identifier: Apache-2.0
"""What Linux makes of physical memory, as /proc/iomem has it."""

from __future__ import annotations

import re

IOMEM = "/proc/iomem"
SET_ASIDE = "Soft Reserved"
"""What the firmware calls memory of specific purpose, and this kernel leaves alone."""
SYSTEM_RAM = "System RAM"
_LINE = re.compile(r"\s*([0-9a-f]+)-([0-9a-f]+) : (.*)")


def read_iomem(path: str = IOMEM) -> str:
    """All of it; root alone sees the addresses."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def names_at(address: int, iomem: str) -> list[str]:
    """The names of all resources that hold address, from the outermost inwards."""
    found = []
    for line in iomem.splitlines():
        match = _LINE.fullmatch(line)
        if match and int(match[1], 16) <= address <= int(match[2], 16):
            found.append(match[3])
    return found


def is_system_ram(address: int, iomem: str) -> bool:
    """Whether the kernel uses what is at address as its ordinary memory."""
    return SYSTEM_RAM in names_at(address, iomem)
