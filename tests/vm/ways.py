# SPDX-License-Identifier: Apache-2.0
"""How Linux gets at the firmware's devices: the kernels that the same tests run on, and by what."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.vm import ovmf


@dataclass(frozen=True, slots=True)
class Way:
    """A kernel of pykexec.vm.kernels, and what serves the devices there.

    firmware is the version that it is tried on where one is enough. disk and odd_disk are what
    nodes begin with, the latter of disks with blocks that are larger than a page; by is what their
    records say. config is an agent.toml. lacks are modules.
    """

    name: str
    kernel: str
    firmware: str
    disk: str
    odd_disk: str
    by: str = "window"
    config: str = ""
    lacks: frozenset[str] = frozenset()

    @property
    def native(self) -> bool:
        """Do drivers of the kernel itself serve what they can?"""
        return self.by == "native"

    def __str__(self) -> str:
        return self.name


NBD = Way("6.1-cloud", "6.1-cloud", "2025.02", "/dev/nbd", "/dev/nbd", lacks=frozenset({"ntfs3"}))
# Where nobody says otherwise its disks go by NBD: pykexec/bridge/disk_device.py.
UBLK = Way("6.12-cloud", "6.12-cloud", "2025.02", "/dev/ublkb", "/dev/ublkb")
STOCK = (NBD, UBLK)
NEWEST = Way(
    "sid-cloud",
    "sid-cloud",
    ovmf.NEWEST,
    "/dev/ublkb",
    "/dev/ublkb",
    lacks=frozenset({"ntfs3"}),
)
