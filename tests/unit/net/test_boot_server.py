# SPDX-License-Identifier: Apache-2.0
"""From where our image came: the addresses in device paths and in the packets that PXE leaves."""

from __future__ import annotations

import struct

import pytest

from pykexec.abi import Struct, pack, unpack
from pykexec.abi_devices import PxeFlag
from pykexec.efi.device_path import DevicePath
from pykexec.net.boot_server import is_pxe, nic_of, url_of, url_of_packets

NIC = "PciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,0x1)"
IP = "IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)"
MAC = bytes.fromhex("525400123456")
HD = "HD(1,GPT,c12a7328-f81f-11d2-ba4b-00a0c93ec93b,0x800,0x64000)"


@pytest.mark.parametrize(
    ("path", "mac", "url", "by_pxe"),
    [
        (f"{NIC}/{IP}/Uri(http://10.0.2.2:8000/a.efi)", MAC, "http://10.0.2.2:8000/a.efi", False),
        (f"{NIC}/{IP}/Uri()/{IP}/Uri(https://boot/x/a.efi)", MAC, "https://boot/x/a.efi", False),
        (f"{NIC}/{IP}", MAC, None, True),
        (NIC, MAC, None, True),
        (f"{NIC}/{IP}/Uri(file:///a.efi)", MAC, None, False),
        (f"{NIC}/\\pykexec.efi", MAC, None, False),
        (f"{NIC}/{IP}/{HD}/\\EFI\\a.efi", None, None, False),
        (f"PciRoot(0x0)/{HD}/\\EFI\\a.efi", None, None, False),
    ],
)
def test_a_device_path_names_nic_and_address(
    path: str, mac: bytes | None, url: str | None, by_pxe: bool
) -> None:
    parsed = DevicePath.from_text(path)
    found = url_of(parsed)
    assert (nic_of(parsed), found and str(found), is_pxe(parsed)) == (mac, url, by_pxe)


def dhcp(
    file: bytes = b"", server: bytes = bytes(4), options: bytes = b"", name: bytes = b""
) -> bytes:
    """A DHCP packet of a server."""
    head = struct.pack(">BBBB", 2, 1, 6, 0) + bytes(16) + server + bytes(4) + MAC.ljust(16, b"\0")
    return head + name.ljust(64, b"\0") + file.ljust(128, b"\0") + b"\x63\x82\x53\x63" + options


def option(code: int, value: bytes) -> bytes:
    """A DHCP option."""
    return bytes([code, len(value)]) + value


def pxe(flags: int, **packets: bytes) -> Struct:
    """What the stub kept of PXE."""
    members = {name: packet.ljust(1472, b"\0") for name, packet in packets.items()}
    return unpack("struct pk_net_pxe", pack("struct pk_net_pxe", flags=flags, **members))


SERVER = bytes([10, 0, 2, 2])
ACK = PxeFlag.STARTED | PxeFlag.DHCP_ACK


@pytest.mark.parametrize(
    ("packet", "url"),
    [
        (dhcp(b"boot/a.efi", SERVER), "tftp://10.0.2.2/boot/a.efi"),
        (dhcp(b"/srv/a.efi", SERVER), "tftp://10.0.2.2//srv/a.efi"),
        (dhcp(b"Boot\\x64\\a b.efi", SERVER), "tftp://10.0.2.2/Boot%5Cx64%5Ca%20b.efi"),
        (dhcp(b"a.efi", options=option(54, SERVER)), "tftp://10.0.2.2/a.efi"),
        (dhcp(server=SERVER, options=option(67, b"o.efi")), "tftp://10.0.2.2/o.efi"),
        (dhcp(server=SERVER, options=option(67, b"http://b/x.ipxe")), "http://b/x.ipxe"),
        (
            dhcp(option(67, b"long.efi") + b"\xff", SERVER, option(52, b"\1") + b"\xff"),
            "tftp://10.0.2.2/long.efi",
        ),
        (dhcp(b"", SERVER), None),
        (dhcp(b"a.efi"), None),
        (dhcp(b"gopher://b/x", SERVER), None),
        (b"", None),
    ],
)
def test_a_dhcp_packet_names_server_and_file(packet: bytes, url: str | None) -> None:
    found = url_of_packets(pxe(ACK, dhcp_ack=packet))
    assert (found and str(found)) == url


def test_the_boot_servers_reply_counts_before_the_proxy_before_dhcp() -> None:
    packets = {
        "dhcp_ack": dhcp(b"ack", SERVER),
        "proxy_offer": dhcp(b"proxy", SERVER),
        "pxe_reply": dhcp(b"reply", SERVER),
    }
    flags = [ACK, ACK | PxeFlag.PROXY_OFFER, ACK | PxeFlag.PROXY_OFFER | PxeFlag.REPLY]
    found = [str(url_of_packets(pxe(flag, **packets))) for flag in flags]
    assert [url.rpartition("/")[2] for url in found] == ["ack", "proxy", "reply"]


def test_a_proxy_that_names_no_file_leaves_it_to_dhcp() -> None:
    packets = {"dhcp_ack": dhcp(b"ack", SERVER), "proxy_offer": dhcp(b"", SERVER)}
    url = url_of_packets(pxe(ACK | PxeFlag.PROXY_OFFER, **packets))
    assert str(url) == "tftp://10.0.2.2/ack"


def dhcp6(*options: tuple[int, bytes], kind: int = 7) -> bytes:
    """A DHCPv6 message of a server."""
    body = b"".join(struct.pack(">HH", code, len(value)) + value for code, value in options)
    return bytes([kind, 1, 2, 3]) + body


@pytest.mark.parametrize(
    ("packet", "url"),
    [
        (dhcp6((2, b"id"), (59, b"tftp://[fd00::1]/b/a.efi")), "tftp://[fd00::1]/b/a.efi"),
        (dhcp6((59, b"http://[fd00::1]:80/a.efi\0")), "http://[fd00::1]/a.efi"),
        (dhcp6((2, b"id")), None),
        (dhcp6((59, b"nonsense")), None),
        (dhcp6((59, b"tftp://[fd00::1]/a"), kind=1), None),
        (dhcp6((2, b"id")) + b"\0\x3b\xff\xff", None),
    ],
)
def test_a_dhcpv6_packet_names_an_address(packet: bytes, url: str | None) -> None:
    found = url_of_packets(pxe(ACK | PxeFlag.IPV6, dhcp_ack=packet))
    assert (found and str(found)) == url
