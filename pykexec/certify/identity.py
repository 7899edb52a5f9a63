# SPDX-License-Identifier: Apache-2.0
"""What identifies a machine: what its mainboard says (SMBIOS), and addresses in device paths."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator

from pykexec.certify.disguise import Disguise
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import (
    HARD_DRIVE,
    HARD_DRIVE_FORMAT,
    MESSAGING,
    SIGNATURE_GUID,
    Node,
)
from pykexec.efi.guid import Guid
from pykexec.efi.ucs2 import decode_ucs2
from pykexec.errors import FormatError
from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import Mailbox

DMI = "/sys/class/dmi/id"
NAMES = (
    "sys_vendor", "product_name", "product_version", "product_family", "board_vendor", "board_name",
    "board_version", "chassis_vendor", "chassis_type", "bios_vendor", "bios_version", "bios_date",
    "bios_release", "ec_firmware_release",
)  # fmt: skip
"""What tells one kind of machine from another."""
SERIALS = (
    "product_serial",
    "board_serial",
    "chassis_serial",
    "board_asset_tag",
    "chassis_asset_tag",
    "product_uuid",
)
"""What tells one machine from all others of its kind."""
_ETHERNET = (0, 1)
_MAC_SIZE = 6
# Where in a messaging node's data, and how long, an identifier is (UEFI 2.10, 10.3.4).
_IDENTIFIERS = {
    3: (4, 8),  # Fibre Channel: WWN
    21: (4, 8),
    22: (0, 8),  # SAS
    23: (4, 8),  # NVMe: EUI-64
    27: (0, 6),  # Bluetooth
    30: (0, 6),
    34: (4, 16),  # NVMe over fabric: NIDT, NID
}
_USB_WWID, _MAC, _WIFI, _WWID_HEAD = 16, 11, 28, 6


def read_dmi(names: Iterable[str], root: str = DMI) -> dict[str, str]:
    """Those of the SMBIOS fields that Linux knows and may be read, by name."""
    found = {}
    for name in names:
        try:
            with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
                found[name] = file.read().strip()
        except OSError:
            continue
    return found


def learn_identity(disguise: Disguise, mailbox: Mailbox, root: str = DMI) -> tuple[str, ...]:
    """Have disguise learn all that identifies this machine; the words that it is known by again.

    Nothing but the list of handles is asked of the firmware. What handles there are depends on what
    it has connected so far, so the machine is known by its mainboard.
    """
    serials = read_dmi(SERIALS, root)
    learn_serials(disguise, serials)
    for handle in list_handles(mailbox):
        if handle.path:
            learn_path(disguise, handle.path)
    kind = read_dmi(("sys_vendor", "product_name", "board_name"), root)
    return (*kind.values(), *serials.values())


def learn_serials(disguise: Disguise, serials: dict[str, str]) -> None:
    """Have it learn those of SMBIOS' fields that are one machine's alone."""
    for name, value in serials.items():
        if name not in SERIALS:
            continue
        if name.endswith("uuid"):
            try:
                disguise.learn_bytes(Guid.parse(value).data)
            except FormatError:
                disguise.learn_text(value)
        else:
            disguise.learn_text(value)


def learn_path(disguise: Disguise, path: DevicePath) -> None:
    """Have it learn the addresses and serial numbers that a device path leads through."""
    for node in path.nodes:
        for value in _identifiers(node):
            if isinstance(value, str):
                disguise.learn_text(value)
            else:
                disguise.learn_bytes(value)


def _identifiers(node: Node) -> Iterator[bytes | str]:
    data = node.data
    if node.kind == HARD_DRIVE and len(data) == struct.calcsize(HARD_DRIVE_FORMAT):
        *_, signature, _, kind = struct.unpack(HARD_DRIVE_FORMAT, data)
        yield signature if kind == SIGNATURE_GUID else signature[:4]
    elif node.kind == (MESSAGING, _MAC):
        yield data[: _MAC_SIZE if data[-1] in _ETHERNET else -1]
    elif node.kind == (MESSAGING, _USB_WWID):
        yield decode_ucs2(data[_WWID_HEAD : len(data) // 2 * 2])
    elif node.kind == (MESSAGING, _WIFI):
        yield data.rstrip(b"\0").decode("utf-8", "replace")
    elif node.type == MESSAGING and node.subtype in _IDENTIFIERS:
        start, size = _IDENTIFIERS[node.subtype]
        yield data[start : start + size]
