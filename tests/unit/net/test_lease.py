# SPDX-License-Identifier: Apache-2.0
"""Leases: found in what the firmware left, noted, and made into resolv.conf."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from pykexec import abi
from pykexec.abi_devices import PxeFlag
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import Node
from pykexec.linux.interface import Interface
from pykexec.net import dhcp6_message, record
from pykexec.net.configure import write_resolv_conf
from pykexec.net.dhcp_packet import Option, Packet, build_packet
from pykexec.net.firmware import lease_from_path, lease_from_pxe
from pykexec.net.lease import Lease, Route, default_route

ROUTER = ipaddress.ip_address("10.0.2.2")
ADDRESS = ipaddress.ip_interface("10.0.2.15/24")
NIC = "PciRoot(0x0)/Pci(0x3,0x0)/MAC(525400123456,0x1)"
DNS = Node(3, 31, b"\0" + ipaddress.ip_address("10.0.2.3").packed + bytes(12))
ACK = build_packet(
    Packet(
        transaction=1,
        client_address=bytes(4),
        your_address=ADDRESS.ip.packed,
        server_address=ROUTER.packed,
        hardware=bytes(6),
        server_name="",
        boot_file="pykexec.efi",
        options={
            Option.SUBNET_MASK: bytes([255, 255, 255, 0]),
            Option.ROUTER: ROUTER.packed,
            Option.LEASE_TIME: bytes([0, 1, 81, 128]),
        },
    )
)
IPV6_ACK = dhcp6_message.build_packet(
    dhcp6_message.Packet(
        dhcp6_message.Message.REPLY,
        1,
        (
            (
                dhcp6_message.Option.IA_NA,
                bytes(12)
                + dhcp6_message.pack_options(
                    [(5, ipaddress.ip_address("fd00::7").packed + bytes(8))]
                ),
            ),
        ),
    )
)


def pxe(flags: int, ack: bytes = b"") -> abi.Struct:
    return abi.unpack(
        "struct pk_net_pxe",
        abi.pack("struct pk_net_pxe", flags=flags, dhcp_ack=ack.ljust(1472, b"\0")),
    )


def test_the_ack_of_pxe_is_a_lease() -> None:
    assert lease_from_pxe(pxe(PxeFlag.STARTED | PxeFlag.DHCP_ACK, ACK)) == Lease(
        source="the firmware's PXE boot",
        addresses=(ADDRESS,),
        routes=(default_route(ROUTER),),
        seconds=86400,
    )


def test_the_reply_of_pxe_over_ipv6_is_a_lease() -> None:
    lease = lease_from_pxe(pxe(PxeFlag.STARTED | PxeFlag.DHCP_ACK | PxeFlag.IPV6, IPV6_ACK))
    assert lease is not None
    assert lease.addresses == (ipaddress.ip_interface("fd00::7/128"),)


@pytest.mark.parametrize(
    ("flags", "ack"),
    [
        (PxeFlag.STARTED, ACK),
        (PxeFlag.DHCP_ACK, b""),
        (PxeFlag.DHCP_ACK, b"\xff" * 1472),
        (PxeFlag.DHCP_ACK | PxeFlag.IPV6, b""),
        (PxeFlag.DHCP_ACK | PxeFlag.IPV6, b"\xff" * 1472),
    ],
)
def test_packets_that_are_absent_or_broken_are_no_lease(flags: int, ack: bytes) -> None:
    assert lease_from_pxe(pxe(flags, ack)) is None


def test_the_path_of_http_boot_is_a_lease() -> None:
    http = "IPv4(0.0.0.0,0x0,DHCP,10.0.2.15,10.0.2.2,255.255.255.0)"
    nodes = DevicePath.from_text(f"{NIC}/{http}").nodes
    assert lease_from_path(DevicePath((*nodes, DNS))) == Lease(
        source="the firmware's HTTP boot",
        addresses=(ADDRESS,),
        routes=(default_route(ROUTER),),
        name_servers=("10.0.2.3",),
    )


@pytest.mark.parametrize(
    "path",
    [
        NIC,
        f"{NIC}/IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)",
        f"{NIC}/IPv4(0.0.0.0,0x0,DHCP,10.0.2.15,10.0.2.2,0.0.0.0)",
        f"{NIC}/IPv4(0.0.0.0,0x0,DHCP,10.0.2.15,10.0.2.2,255.0.255.0)",
    ],
)
def test_a_path_without_usable_address_is_no_lease(path: str) -> None:
    assert lease_from_path(DevicePath.from_text(path)) is None


def test_what_was_noted_is_read_again(tmp_path: Path) -> None:
    routes = (default_route(ROUTER), Route(ipaddress.ip_network("fd00::/8"), None))
    leases = (Lease("one", (ADDRESS,), routes, ("a", "b"), ("c",), 1400, 60), Lease("two"))
    record.write("efi0", leases, str(tmp_path))
    assert record.read("efi0", str(tmp_path)) == leases
    record.forget("efi0", str(tmp_path))
    record.forget("efi0", str(tmp_path))
    assert record.read("efi0", str(tmp_path)) == ()


def test_resolv_conf_has_the_first_servers_and_all_domains(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "resolv.conf"
    leases = (
        Lease("one", name_servers=("10.0.2.3", "fe80::1"), domains=("a.org",)),
        Lease("two", name_servers=("10.0.2.4", "10.0.2.5"), domains=("b.org",)),
    )
    write_resolv_conf(Interface("efi0"), leases, str(path))
    expected = "nameserver 10.0.2.3\nnameserver fe80::1%efi0\nnameserver 10.0.2.4\n"
    assert path.read_text() == f"{expected}search a.org b.org\n"
    write_resolv_conf(Interface("efi0"), (Lease("none"),), str(path))
    assert path.read_text().startswith(expected)
