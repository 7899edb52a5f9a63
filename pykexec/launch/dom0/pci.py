# SPDX-License-Identifier: Apache-2.0
"""Which PCI functions can be told apart by an IOMMU, read from sysfs: dom0 has no IOMMU groups.

Below a port without Access Control Services functions may talk past the IOMMU, and so may those of
one device that has none: they go to one domain together, or to none (PCI Express Base 5.0, 6.12;
Linux, drivers/iommu/iommu.c, pci_device_group()). What is on a conventional bus bears its bridge's
name: all of it goes together, too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pykexec.errors import FormatError

ROOT = "/sys/bus/pci/devices"
_CAPABILITIES, _EXPRESS_ID = 0x34, 0x10
_HEADER_TYPE, _MULTIFUNCTION, _BRIDGE = 0x0E, 0x80, 1
_STATUS, _HAS_CAPABILITIES = 0x06, 0x10
_EXTENDED, _ACS_ID = 0x100, 0x000D
_ACS_WANTED = 0b11101
"""Source validation; redirection of requests and completions; upstream forwarding."""
ROOT_PORT, DOWNSTREAM, INTEGRATED = 4, 6, 9
_PLAIN = -1
"""Not PCI Express."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function; parent is the bridge that leads to it, "" on a root bus. kind is its type of port
    (PCI Express Base 5.0, 7.5.3.2), acs: it keeps apart what it can.
    """

    address: str
    parent: str
    kind: int
    is_bridge: bool
    acs: bool

    @property
    def slot(self) -> str:
        """The device that it is a function of."""
        return self.address.rpartition(".")[0]


Topology: TypeAlias = Mapping[str, Function]
"""By address."""


def decode(address: str, parent: str, space: bytes) -> Function:
    """A function by its configuration space, of which root reads 4096 bytes and others 64;
    FormatError where that is none, or not enough of it.
    """
    if len(space) < 256:
        raise FormatError(f"{address}: {len(space)} bytes of configuration space: who is not root "
                          "sees no more")  # fmt: skip
    is_bridge = space[_HEADER_TYPE] & ~_MULTIFUNCTION == _BRIDGE
    express = _find(space, _EXPRESS_ID)
    kind = struct.unpack_from("<H", space, express + 2)[0] >> 4 & 0xF if express else _PLAIN
    return Function(address, parent, kind, is_bridge, _has_acs(space))


def _find(space: bytes, wanted: int) -> int:
    """The offset of a capability, 0 if there is none."""
    if not space[_STATUS] & _HAS_CAPABILITIES:
        return 0
    at, seen = space[_CAPABILITIES] & ~3, set[int]()
    while 0x40 <= at <= 252 and at not in seen:
        seen.add(at)
        if space[at] == wanted:
            return at
        at = space[at + 1] & ~3
    return 0


def _has_acs(space: bytes) -> bool:
    at, seen = _EXTENDED, set[int]()
    while _EXTENDED <= at <= len(space) - 8 and at not in seen:
        seen.add(at)
        head, capable, control = struct.unpack_from("<IHH", space, at)
        if head & 0xFFFF == _ACS_ID:
            # What it is not capable of is hard-wired; what it is has to be switched on.
            return not capable & _ACS_WANTED & ~control
        at = head >> 20 & ~3
    return False


def read_topology(root: str = ROOT) -> dict[str, Function]:
    """All functions of this machine; OSError, FormatError."""
    found = {}
    for address in sorted(os.listdir(root)):
        path = os.path.realpath(os.path.join(root, address))
        above = os.path.basename(os.path.dirname(path))
        with open(os.path.join(path, "config"), "rb") as file:
            space = file.read()
        found[address] = decode(address, "" if above.startswith("pci") else above, space)
    return found


def group(topology: Topology, address: str) -> frozenset[str]:
    """What has to go where the function goes, itself included; bridges are none of it."""
    highest = function = _function(topology, address)
    for bridge in _above(topology, function):
        if bridge.kind in (ROOT_PORT, DOWNSTREAM) and bridge.acs:
            break
        highest = bridge
    if highest.acs:
        tops = {highest.address}
    else:
        tops = {f.address for f in topology.values() if f.slot == highest.slot and not f.acs}
    return frozenset(
        f.address
        for f in topology.values()
        if not f.is_bridge and tops & {f.address, *(b.address for b in _above(topology, f))}
    )


def _function(topology: Topology, address: str) -> Function:
    if address not in topology:
        raise FormatError(f"{address}: this machine has no such PCI function")
    return topology[address]


def _above(topology: Topology, function: Function) -> Iterable[Function]:
    """The bridges that lead to it, the nearest first."""
    seen = set[str]()
    while function.parent and function.parent in topology and function.parent not in seen:
        seen.add(function.parent)
        function = topology[function.parent]
        yield function


def check_devices(topology: Topology, devices: Iterable[str]) -> None:
    """FormatError unless a domain may have these: each is there, no bridge, and all that cannot be
    told apart from it is among them.
    """
    wanted = frozenset(devices)
    for address in sorted(wanted):
        if _function(topology, address).is_bridge:
            raise FormatError(f"{address}: is a bridge")
        if others := sorted(group(topology, address) - wanted):
            raise FormatError(
                f"{address}: cannot be told apart from {', '.join(others)}: all or none"
            )
