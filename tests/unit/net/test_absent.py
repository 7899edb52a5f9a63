# SPDX-License-Identifier: Apache-2.0
"""A machine whose firmware has no Simple Network is told what PCI has, and what helps."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from pykexec.abi import Op, pack
from pykexec.efi.device_path import DevicePath
from pykexec.errors import FirmwareError
from pykexec.firmware.handles import Handle
from pykexec.firmware.mailbox import Mailbox, Reply, Request
from pykexec.firmware.pci import functions
from pykexec.net.absent import no_nic
from tests.unit.firmware.test_firmware import handle_entry

NIC, DISK, GONE = "PciRoot(0x0)/Pci(0x2,0x0)", "PciRoot(0x0)/Pci(0x3,0x0)", 7
FUNCTIONS = {
    3: (0x8086, 0x10C9, 0x020000),
    5: (0x1AF4, 0x1042, 0x010000),
    11: (0x8086, 0x10C9, 0x020000),
}
OTHER_SEGMENT = "PciRoot(0x30)/Pci(0x2,0x0)"
"""Of the same bus, device and function as NIC: a root bridge of another PCI segment."""
NOT_FOUND = 1 << 63 | 14


class Firmware(Mailbox):
    """A firmware with functions on PCI, one of which has just gone."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def ask(self, request: Request) -> bytes:
        """Its handles."""
        paths = {3: NIC, 5: DISK, GONE: "", 11: OTHER_SEGMENT}
        entries = [handle_entry(number, ["pci_io"], paths[number]) for number in self.numbers]
        return struct.pack("<II", len(entries), len(entries)) + b"".join(entries)

    def call(self, requests: Sequence[Request]) -> list[Reply]:
        """What each function is."""
        return [self._function(request) for request in requests]

    def _function(self, request: Request) -> Reply:
        (number,) = struct.unpack_from("<I", request.body)
        if number not in FUNCTIONS:
            return Reply(Op.PCI_INFO, NOT_FOUND, b"")
        vendor, device, class_code = FUNCTIONS[number]
        body = pack("struct pk_pci_info", vendor=vendor, device=device, class_code=class_code)
        return Reply(Op.PCI_INFO, 0, body)


def test_functions_are_told_but_for_those_that_have_gone() -> None:
    nic, disk = functions(Firmware(3, GONE, 5))
    assert nic.handle == Handle(3, ("pci_io",), DevicePath.from_text(NIC))
    assert (nic.is_nic, disk.is_nic) == (True, False)
    assert str(nic) == f"8086:10c9 (Ethernet) at {NIC}"
    assert str(disk) == f"1af4:1042 (class 010000) at {DISK}"


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((3, 5), f"knows, but PCI has 8086:10c9 (Ethernet) at {NIC}: switch the network stack on"),
        ((5,), "knows, and PCI has none"),
        ((), "knows, and PCI has none"),
    ],
)
def test_what_pci_has_and_what_helps_is_said(numbers: tuple[int, ...], words: str) -> None:
    assert words in str(no_nic(Firmware(*numbers)))


def test_nics_of_two_pci_segments_are_two() -> None:
    listed = f"at {NIC}, 8086:10c9 (Ethernet) at {OTHER_SEGMENT}: switch"
    assert listed in str(no_nic(Firmware(3, 11)))


def test_a_firmware_that_does_not_say_is_quoted() -> None:
    class Silent(Firmware):
        def ask(self, request: Request) -> bytes:
            raise FirmwareError(5, "Input/output error", "handles")

    assert "what PCI has is not known: handles: Input/output error" in str(no_nic(Silent()))
