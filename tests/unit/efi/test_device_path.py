# SPDX-License-Identifier: Apache-2.0
"""Device paths: bytes, text, both ways, and against virt-firmware."""

from __future__ import annotations

import struct

import pytest
from virt.firmware.efi import devpath as oracle

from pykexec.efi.device_path import DevicePath, parse
from pykexec.efi.device_path_node import (
    DevicePathError,
    Node,
    file_node,
    hard_drive_node,
    parse_node,
)
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError

PARTITION = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
END = bytes.fromhex("7fff0400")

TEXTS = [
    "PciRoot(0x0)/Pci(0x1f,0x2)/Sata(0x0,0xffff,0x0)",
    f"PciRoot(0x0)/Pci(0x3,0x0)/HD(1,GPT,{PARTITION},0x800,0x64000)/\\EFI\\debian\\grubx64.efi",
    "HD(2,MBR,0x90909090,0x3f,0x1000)",
    "PcieRoot(0x1)/Pci(0x4,0x0)/NVMe(0x1,00-25-38-01-02-03-04-05)",
    "Acpi(PNP0C0A,0x2)/Acpi(0x12345678,0x0)/AcpiAdr(0x80010100,0x2)",
    "PciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,0x1)/IPv4(0.0.0.0,TCP,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)",
    "MAC(525400123456,0x1)/IPv6(fe80::1,UDP,StatelessAutoConfigure,::,0x40,::)/Dns(10.0.2.3,8.8.8.8)",
    "MAC(525400123456,0x0)/Dns(2001:db8::1)/Uri(http://boot.example/a,b/pykexec.efi)",
    "PciRoot(0x0)/Pci(0x1,0x0)/Serial(0x0)/Uart(115200,8,N,1)/"
    "VenMsg(e0c14753-f9be-11d2-9a0c-0090273fc14d)",
    "VenHw(f9b94ae2-8ba6-409b-9d56-b9b417f53cb3,0001)/Scsi(0x1,0x2)/USB(0x3,0x0)/Ctrl(0x7)",
    "Fv(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(7c04a583-9e3e-4f1c-ad65-e05268d0b4d1)",
    "MemoryMapped(0xb,0x900000,0x10fffff)",
    "VirtualDisk(0x7f000000,0x7f0fffff,0)/CDROM(0x1,0x2d,0x1680)/Offset(0x0,0xfff)",
    f"RamDisk(0x1000,0x1fff,3,{PARTITION})",
    "VenMedia(5568e427-68fc-4f3d-ac74-ca555231cc68)",
    "VenHw(f9b94ae2-8ba6-409b-9d56-b9b417f53cb3)/Ata(Primary,Slave,0x0)",
    "UFS(0x0,0x1)/SD(0x0)/eMMC(0x1)/Vlan(0x5)/Unit(0x1)/Fibre(0x1,0x2)/PcCard(0x0)",
    "PciRoot(0x0)/Pci(0x2,0x0),VenHw(d3987d4b-971a-435f-8caf-4967eb627241)",
    "Path(5,1,ff00)",
    "BBS(HD,P0: Disk, the first,0x0)",
    "BBS(CDROM,,0x1)/BBS(0x80,x,0x0)",
    "\\EFI\\a(1).efi",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_bytes(text: str) -> None:
    assert str(parse(bytes(DevicePath.from_text(text)))) == text


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("PciRoot(0x0)", "02010c00d041030a00000000"),
        ("Pci(0x1f,0x2)", "01010600021f"),
        ("Sata(0x1,0xffff,0x0)", "03120a000100ffff0000"),
        ("Ata(Secondary,Master,0x2)", "0301080001000200"),
        ("MemoryMapped(0xb,0x1000,0x1fff)", "010318000b0000000010000000000000ff1f000000000000"),
        ("NVMe(0x1,00-25-38-01-02-03-04-05)", "03171000010000000504030201382500"),
        ("\\a", "04040a005c0061000000"),
        ("File(\\a)", "04040a005c0061000000"),
        ("BBS(HD,ab,0x0)", "05010b00020000006162" + "00"),
        ("MAC(525400123456,0x1)", "030b2500525400123456" + "00" * 26 + "01"),
    ],
)
def test_text_gives_the_bytes_of_the_specification(text: str, data: str) -> None:
    assert bytes(DevicePath.from_text(text)) == bytes.fromhex(data) + END


@pytest.mark.parametrize(
    "node",
    [
        Node(1, 1, b"\0"),  # Pci, too short
        Node(3, 1, b"\2\0\0\0"),  # Ata with a third channel
        Node(3, 11, b"\1" * 33),  # MAC with more than six bytes set
        Node(3, 12, bytes(8) + b"\x50" + bytes(14)),  # IPv4 with a port
        Node(3, 24, b"\xff"),  # Uri, not ASCII
        Node(3, 24, b"a)/b(c"),  # Uri with stray parentheses
        Node(4, 4, b"a"),  # File, odd
        Node(4, 4, "File(a)\0".encode("utf-16-le")),  # File that reads as another file
        Node(5, 1, b"\2\0\0\0a"),  # BBS, not terminated
        Node(5, 1, b"\2\0\0\0a)/b(\0"),  # BBS with stray parentheses
        Node(4, 4, "Pci(0x0,0x0)\0".encode("utf-16-le")),  # File that reads as another node
        Node(4, 4, "a/b\0".encode("utf-16-le")),  # File with the separator
        Node(4, 4, "\\a(\0".encode("utf-16-le")),  # File with half a pair
        Node(4, 4, b""),
        Node(4, 1, bytes(38)),  # HD without signature
        Node(9, 9, b"\1\2"),
    ],
)
def test_a_node_that_has_no_exact_text_becomes_a_generic_one(node: Node) -> None:
    path = DevicePath((node, file_node("\\x.efi")))
    assert str(path) == f"Path({node.type},{node.subtype},{node.data.hex()})/\\x.efi"
    assert DevicePath.from_text(str(path)) == path


@pytest.mark.parametrize("length", [0, 3, 5, 0xFFFF])
def test_node_length_must_fit_the_path(length: int) -> None:
    with pytest.raises(DevicePathError, match="offset 0: bad length"):
        parse_node(struct.pack("<BBH", 4, 4, length), 0)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "offset 0: truncated header"),
        (bytes(Node(4, 4, b"ab")), "offset 6: truncated header"),
        (bytes(Node(4, 4, b"ab")) + b"\x7f\xff", "offset 6: truncated header"),
        (END + b"\0", "offset 4: 1 bytes behind the end node"),
    ],
)
def test_bytes_that_are_no_path_are_refused_with_the_offset(data: bytes, fault: str) -> None:
    with pytest.raises(DevicePathError, match=fault):
        parse(data)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("Pci(0x1)", 0),
        ("PciRoot(0x0)/Pci(zz,0)", 13),
        ("PciRoot(0x0)//Pci(0x0,0x0)", 13),
        ("PciRoot(0x0", 11),
        ("PciRoot)", 7),
        ("Nonsense(1)", 0),
        ("HD(1,GPT,1234,0x0,0x1)", 0),
        ("Pci(0x100,0x0)", 0),
        ("\\a/\U0001f600", 3),
    ],
)
def test_text_that_is_no_path_is_refused_with_the_offset(text: str, offset: int) -> None:
    with pytest.raises(DevicePathError) as caught:
        DevicePath.from_text(text)
    assert caught.value.offset == offset


def test_append_file_adds_one_file_node() -> None:
    path = DevicePath.from_text("PciRoot(0x0)/Pci(0x3,0x0)").append_file("\\EFI\\BOOT\\BOOTX64.EFI")
    assert str(path) == "PciRoot(0x0)/Pci(0x3,0x0)/\\EFI\\BOOT\\BOOTX64.EFI"
    assert path.file_path == "\\EFI\\BOOT\\BOOTX64.EFI"


def test_file_path_joins_file_nodes() -> None:
    assert DevicePath.from_text("\\EFI/grub.efi").file_path == "\\EFI\\grub.efi"


def test_partition_guid_is_found_in_the_path() -> None:
    assert DevicePath.from_text(TEXTS[1]).partition_guid == Guid.parse(PARTITION)
    assert DevicePath.from_text(TEXTS[2]).partition_guid is None


def test_virt_firmware_builds_the_same_bytes() -> None:
    drive = oracle.DevicePathElem()
    drive.set_gpt(1, 2048, 409600, PARTITION)
    name = oracle.DevicePathElem()
    name.set_filepath("\\EFI\\BOOT\\BOOTX64.EFI")
    theirs = oracle.DevicePath()
    theirs.extend([drive, name])
    ours = DevicePath((hard_drive_node(1, 2048, 409600, Guid.parse(PARTITION)),))
    assert bytes(ours.append_file("\\EFI\\BOOT\\BOOTX64.EFI")) == bytes(theirs)


def test_virt_firmware_reads_what_we_write() -> None:
    theirs = oracle.DevicePath(bytes(DevicePath.from_text(TEXTS[1])))
    assert str(theirs[2].get_partuuid()) == PARTITION
    assert str(theirs[3].get_filepath()) == "\\EFI\\debian\\grubx64.efi"


def test_a_guid_is_its_registry_text() -> None:
    guid = Guid.parse(PARTITION.upper())
    assert str(guid) == PARTITION
    assert guid.data.hex() == "28732ac11ff8d211ba4b00a0c93ec93b"


@pytest.mark.parametrize(
    "text",
    ["", PARTITION[:-1], PARTITION.replace("-", ""), "z" + PARTITION[1:], "  " + PARTITION[2:]],
)
def test_a_guid_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="is not a GUID"):
        Guid.parse(text)
