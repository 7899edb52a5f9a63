# SPDX-License-Identifier: Apache-2.0
"""Which of the firmware's handles are NICs, and what they are called."""

from __future__ import annotations

import pytest

from pykexec.bridge.net import name_nics
from pykexec.efi.device_path import DevicePath
from pykexec.firmware.devices import NetInfo
from pykexec.firmware.handles import Handle

MAC = "525400123456"
PCI = "PciRoot(0x0)/Pci(0x3,0x0)"
NIC = f"{PCI}/MAC({MAC},0x1)"
SECOND = f"PciRoot(0x0)/Pci(0x4,0x0)/MAC({MAC},0x1)"
IPV4 = f"{NIC}/IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)"
IPV6 = f"{NIC}/IPv6(::,0x0,Static,::,0x40,::)"
HTTP = f"{IPV4}/Uri(http://10.0.2.2/a.efi)"


def handle(number: int, path: str) -> Handle:
    return Handle(number, ("simple_network",), DevicePath.from_text(path) if path else None)


@pytest.mark.parametrize(
    ("handles", "names"),
    [
        ({5: NIC}, {5: f"net-{MAC}"}),
        ({5: NIC, 6: IPV4, 7: IPV6, 8: HTTP}, {5: f"net-{MAC}"}),
        ({6: IPV4, 9: NIC}, {9: f"net-{MAC}"}),
        ({5: NIC, 6: f"{NIC}/MAC({MAC},0x1)", 7: IPV4}, {6: f"net-{MAC}"}),
        ({5: PCI, 6: NIC}, {6: f"net-{MAC}"}),
        ({5: NIC, 6: NIC}, {6: f"net-{MAC}"}),
        ({6: SECOND, 5: NIC}, {5: f"net-{MAC}", 6: f"net-{MAC}-2"}),
        ({5: ""}, {5: f"net-{MAC}"}),
    ],
)
def test_each_nic_is_taken_once(handles: dict[int, str], names: dict[int, str]) -> None:
    info = NetInfo(bytes.fromhex(MAC), 0, True, 1500)
    named = name_nics([(handle(number, path), info) for number, path in handles.items()])
    assert {nic.number: name for name, nic, _ in named} == names


@pytest.mark.parametrize("address", [b"", bytes(6), bytes(range(20))])
def test_only_ethernet_is_taken(address: bytes) -> None:
    assert name_nics([(handle(5, NIC), NetInfo(address, 0, True, 1500))]) == []
