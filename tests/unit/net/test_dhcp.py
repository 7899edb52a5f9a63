# SPDX-License-Identifier: Apache-2.0
"""DHCP packets of both kinds: what they say, and what is no packet at all."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from pykexec.errors import FormatError
from pykexec.net import dhcp6_message, dhcp_packet
from pykexec.net.dhcp_packet import Message, Option, Packet, boot_server, build_packet, lease_from
from pykexec.net.lease import BootServer, Lease, Route, default_route

MAC = bytes.fromhex("525400123456")
ROUTER = ipaddress.ip_address("10.0.2.2")


def packet(**changes: object) -> Packet:
    """An ACK for 10.0.2.15."""
    fields: dict[str, object] = {
        "transaction": 7,
        "client_address": bytes(4),
        "your_address": bytes([10, 0, 2, 15]),
        "server_address": bytes([10, 0, 2, 4]),
        "hardware": MAC,
        "server_name": "",
        "boot_file": "",
        **changes,
    }
    return Packet(**fields)  # type: ignore[arg-type]


def reparsed(made: Packet) -> Packet:
    return dhcp_packet.parse_packet(build_packet(made))


def test_a_packet_survives_the_way_there_and_back() -> None:
    options = {Option.MESSAGE_TYPE: bytes([Message.DISCOVER]), Option.HOST_NAME: b"pykexec"}
    made = packet(options=options, boot_file="a.efi", server_name="server", seconds=3)
    found = reparsed(made)
    assert (found.message, found.is_request) == (Message.DISCOVER, True)
    assert (found.hardware, found.transaction, found.seconds) == (MAC, 7, 3)
    assert (found.boot_file, found.server_name, found.options) == ("a.efi", "server", options)


def test_a_request_wants_broadcast_answers_and_has_the_least_size() -> None:
    data = build_packet(packet())
    assert struct.unpack_from("!H", data, 10) == (0x8000,)
    assert len(data) == 300


def test_an_ack_becomes_a_lease() -> None:
    options = {
        Option.SUBNET_MASK: bytes([255, 255, 255, 0]),
        Option.ROUTER: ROUTER.packed + bytes([10, 0, 2, 9]),
        Option.NAME_SERVER: bytes([10, 0, 2, 3, 8, 8, 8, 8]),
        Option.DOMAIN: b"example.org\0",
        Option.LEASE_TIME: struct.pack("!I", 600),
        Option.MTU: struct.pack("!H", 1400),
    }
    assert lease_from(reparsed(packet(options=options)), "test") == Lease(
        source="test",
        addresses=(ipaddress.ip_interface("10.0.2.15/24"),),
        routes=(default_route(ROUTER),),
        name_servers=("10.0.2.3", "8.8.8.8"),
        domains=("example.org",),
        mtu=1400,
        seconds=600,
    )


@pytest.mark.parametrize(("first", "prefix"), [(10, 8), (172, 16), (192, 24)])
def test_without_a_mask_the_class_of_the_address_counts(first: int, prefix: int) -> None:
    lease = lease_from(packet(your_address=bytes([first, 16, 2, 15])), "test")
    assert lease.addresses[0].network.prefixlen == prefix


def test_classless_routes_replace_the_router() -> None:
    routes = bytes([16, 172, 16, 10, 0, 2, 9, 0, 10, 0, 2, 2, 32, 169, 254, 1, 1, 0, 0, 0, 0])
    options = {Option.ROUTER: bytes([10, 0, 2, 1]), Option.CLASSLESS_ROUTES: routes}
    assert lease_from(packet(options=options), "test").routes == (
        Route(ipaddress.ip_network("172.16.0.0/16"), ipaddress.ip_address("10.0.2.9")),
        default_route(ROUTER),
        Route(ipaddress.ip_network("169.254.1.1/32"), None),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"boot_file": "a.efi"}, BootServer("10.0.2.4", "a.efi")),
        ({"boot_file": "a.efi", "options": {Option.BOOT_FILE: b"b.efi\0"}}, "b.efi"),
        ({"options": {Option.BOOT_FILE: b"http://h/a"}}, BootServer(uri="http://h/a")),
        (
            {"boot_file": "a", "server_address": bytes(4), "server_name": "h"},
            BootServer("h", "a"),
        ),
        (
            {"boot_file": "a", "server_address": bytes(4), "options": {54: bytes([1, 2, 3, 4])}},
            BootServer("1.2.3.4", "a"),
        ),
        ({}, BootServer()),
    ],
)
def test_the_boot_file_is_where_the_packet_has_it(
    changes: dict[str, object], expected: BootServer | str
) -> None:
    found = boot_server(packet(**changes))
    assert expected in (found, found.file)


def test_options_go_on_in_the_fields_of_the_header_and_in_pieces() -> None:
    data = bytearray(build_packet(packet()))
    data[240:] = bytes([52, 1, 3, 15, 2]) + b"ex" + bytes([255])
    data[108:118] = bytes([15, 5]) + b"ample" + bytes([0, 255, 9])
    data[44:52] = bytes([12, 4]) + b"host" + bytes([255, 9])
    found = dhcp_packet.parse_packet(bytes(data))
    assert (found.options[Option.DOMAIN], found.options[Option.HOST_NAME]) == (b"example", b"host")
    assert (found.boot_file, found.server_name) == ("", "")


GOOD = build_packet(packet(options={Option.SUBNET_MASK: bytes([255, 255, 0, 0])}))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "too few"),
        (GOOD[:239], "too few"),
        (GOOD[:236] + b"BOOT" + GOOD[240:], "no DHCP options"),
        (GOOD[:1] + b"\x06" + GOOD[2:], "not for Ethernet"),
        (GOOD[:240] + bytes([53]), "offset 240: option 53 is cut off"),
        (GOOD[:240] + bytes([53, 4, 1]), "offset 240: option 53 is cut off"),
    ],
)
def test_what_is_no_packet_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        dhcp_packet.parse_packet(data)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"your_address": bytes(4)}, r"0\.0\.0\.0 is no address of a host"),
        ({"your_address": bytes([127, 0, 0, 1])}, "no address of a host"),
        ({"options": {Option.SUBNET_MASK: bytes(4)}}, "no subnet mask"),
        ({"options": {Option.SUBNET_MASK: bytes([255, 0, 255, 0])}}, "no subnet mask"),
    ],
)
def test_an_ack_that_makes_no_sense_is_refused(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        lease_from(packet(**changes), "test")


@pytest.mark.parametrize("routes", [bytes([33, 1, 2, 3, 4, 5]), bytes([0, 10, 0, 2])])
def test_routes_that_make_no_sense_leave_the_router(routes: bytes) -> None:
    options = {Option.ROUTER: ROUTER.packed, Option.CLASSLESS_ROUTES: routes}
    assert lease_from(packet(options=options), "test").routes == (default_route(ROUTER),)


ADDRESS6 = ipaddress.ip_address("2001:db8::5")
SERVER6 = ipaddress.ip_address("2001:db8::1")
IA_ADDRESS = ADDRESS6.packed + struct.pack("!II", 100, 200)


def reply6(*options: tuple[int, bytes]) -> dhcp6_message.Packet:
    made = dhcp6_message.Packet(dhcp6_message.Message.REPLY, 9, options)
    return dhcp6_message.parse_packet(dhcp6_message.build_packet(made))


def test_a_dhcpv6_reply_becomes_a_lease() -> None:
    inner = dhcp6_message.pack_options([(dhcp6_message.Option.IA_ADDRESS, IA_ADDRESS)])
    reply = reply6(
        (dhcp6_message.Option.IA_NA, bytes(12) + inner),
        (dhcp6_message.Option.NAME_SERVERS, SERVER6.packed * 2),
        (dhcp6_message.Option.DOMAINS, b"\x07example\x03org\0\x01a\0"),
    )
    assert (reply.message, reply.transaction) == (dhcp6_message.Message.REPLY, 9)
    assert dhcp6_message.lease_from(reply, "test") == Lease(
        source="test",
        addresses=(ipaddress.ip_interface("2001:db8::5/128"),),
        name_servers=("2001:db8::1", "2001:db8::1"),
        domains=("example.org", "a"),
        seconds=200,
    )


def test_a_refusal_is_found_where_it_stands() -> None:
    status = struct.pack("!H", 2) + b"no addresses"
    inner = dhcp6_message.pack_options([(dhcp6_message.Option.STATUS, status)])
    refused = reply6((dhcp6_message.Option.IA_NA, bytes(12) + inner))
    assert dhcp6_message.status_of(refused) == (2, "no addresses")
    assert dhcp6_message.status_of(reply6()) == (0, "")


def test_zeros_behind_a_message_are_no_options() -> None:
    made = dhcp6_message.Packet(7, 9, ((dhcp6_message.Option.CLIENT_ID, b"me"),))
    data = dhcp6_message.build_packet(made)
    assert dhcp6_message.parse_packet(data + bytes(31)) == made


@pytest.mark.parametrize(
    "data", [b"", b"\x07\0\0", b"\x07\0\0\x01\0\x01\0", b"\x07\0\0\x01\0\x01\0\x05abc"]
)
def test_what_is_no_dhcpv6_message_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="DHCPv6 message"):
        dhcp6_message.parse_packet(data)
