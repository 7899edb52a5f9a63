# SPDX-License-Identifier: Apache-2.0
"""What the firmware answers, decoded: info, memory map, handles, devices, state, handoff."""

from __future__ import annotations

import struct

import pytest

from pykexec._native import ffi, lib
from pykexec.abi import Op, StateFlag, pack
from pykexec.efi.device_path import DevicePath
from pykexec.efi.guid import named_guids
from pykexec.errors import FirmwareError, FormatError, UsageError
from pykexec.firmware.devices import decode_block_info, decode_net_info, decode_volume_info
from pykexec.firmware.handles import Handle, decode_handles, find_volume
from pykexec.firmware.handoff import parse_handoff
from pykexec.firmware.info import decode_info, decode_memory_map
from pykexec.firmware.snapshot import Difference, compare, decode_state
from pykexec.memory import Range

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
DISK = "PciRoot(0x0)/Pci(0x3,0x0)"
ESP_PATH = f"{DISK}/HD(1,GPT,{ESP},0x800,0x64000)"


def ucs2(text: str) -> list[int]:
    """The units of text."""
    return [ord(char) for char in text]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"kind": 1, "number": Op.BLOCK_READ}, "the firmware did not come back from block-read"),
        ({"kind": 1}, "the firmware did not come back from a runtime service"),
        (
            {"kind": 2, "number": 3, "detail": 0xBD00 << 48, "address": 0x7F000},
            "machine check in the firmware at 0x7f000, bank 3 says 0xbd00000000000000",
        ),
        ({"kind": 3, "address": 0x7F000}, "double fault in the firmware at 0x7f000"),
    ],
)
def test_an_accident_is_told(found: dict[str, int], said: str) -> None:
    accident = decode_info(pack("struct pk_info", accident=found)).accident
    assert accident and str(accident) == said


def test_no_accident_is_none() -> None:
    assert not decode_info(pack("struct pk_info")).accident


def test_info_is_decoded() -> None:
    info = decode_info(
        pack(
            "struct pk_info",
            flags=lib.PK_INFO_TPM | lib.PK_INFO_SHELL,
            uefi_revision=2 << 16 | 100,
            boot_volume=4,
            outcome={"nr_runs": 2, "stage": 12, "status": 1 << 63 | 26, "action": 2},
            vendor=ucs2("EDK II"),
            image_path=ucs2("\\EFI\\BOOT\\BOOTX64.EFI"),
        )
    )
    assert (info.vendor, info.uefi_revision, info.boot_volume) == ("EDK II", "2.10", 4)
    assert (info.tpm, info.shell, info.secure_boot) == (True, True, False)
    assert info.image_path == "\\EFI\\BOOT\\BOOTX64.EFI"
    assert str(info.outcome) == "load: SECURITY_VIOLATION, action boot-next"


def test_a_memory_map_steps_by_its_descriptor_size_and_is_sorted() -> None:
    rows = [(7, 0x100000, 0x10, 0xF), (3, 0x0, 0x1, 1 << 63)]
    body = struct.pack("<II", 48, 2)
    body += b"".join(struct.pack("<I4xQ8xQQ8x", *row) for row in rows)
    first, second = decode_memory_map(body)
    assert (first.range, first.type_name) == (Range(0x0, 0x1000), "boot services code")
    assert (second.range, second.attribute) == (Range(0x100000, 0x110000), 0xF)


@pytest.mark.parametrize("head", [(48, 1), (39, 0), (0, 5)])
def test_a_memory_map_that_lies_about_its_size_is_refused(head: tuple[int, int]) -> None:
    with pytest.raises(FirmwareError, match="bad answer"):
        decode_memory_map(struct.pack("<II", *head))


def handle_entry(number: int, protocols: list[str], path: str) -> bytes:
    """A pk_handle_entry."""
    guids = b"".join(named_guids()[name].data for name in protocols)
    raw = bytes(DevicePath.from_text(path)) if path else b""
    size = (16 + len(guids) + len(raw) + 7) & ~7
    head = struct.pack("<IIHHI", size, number, len(protocols), len(raw), 0)
    return (head + guids + raw).ljust(size, b"\0")


def test_handles_are_decoded_with_names_and_paths() -> None:
    body = struct.pack("<II", 9, 2)
    body += handle_entry(3, ["device_path", "block_io"], DISK) + handle_entry(5, ["tcg2"], "")
    assert decode_handles(body) == (
        [
            Handle(3, ("device_path", "block_io"), DevicePath.from_text(DISK)),
            Handle(5, ("tcg2",), None),
        ],
        2,
        9,
    )


def test_only_handles_with_a_protocol_are_decoded_when_one_is_named() -> None:
    body = struct.pack("<II", 9, 2)
    body += handle_entry(3, ["device_path", "block_io"], DISK) + handle_entry(5, ["tcg2"], "")
    assert decode_handles(body, "tcg2") == ([Handle(5, ("tcg2",), None)], 2, 9)


def test_a_handle_entry_that_overflows_the_answer_is_refused() -> None:
    body = struct.pack("<II", 1, 1) + struct.pack("<IIHHI", 16, 1, 1, 0, 0)
    with pytest.raises(FirmwareError, match="offset 8: entry of 16 bytes"):
        decode_handles(body)


@pytest.mark.parametrize(
    ("protocols", "path", "kind"),
    [
        (("block_io",), DISK, "disk"),
        (("block_io",), ESP_PATH, "partition"),
        (("block_io", "simple_file_system"), ESP_PATH, "volume"),
        (("simple_network",), DISK, "nic"),
        (("tcg2",), "", "tpm"),
        (("simple_text_output",), DISK, "console"),
        (("driver_binding",), "", ""),
    ],
)
def test_a_handle_is_classified(protocols: tuple[str, ...], path: str, kind: str) -> None:
    assert Handle(1, protocols, DevicePath.from_text(path) if path else None).kind == kind


VOLUMES = [
    Handle(1, ("block_io",), DevicePath.from_text(DISK)),
    Handle(2, ("simple_file_system",), DevicePath.from_text(ESP_PATH)),
    Handle(3, ("simple_file_system",), DevicePath.from_text(f"{DISK}/CDROM(0x1,0x2d,0x1680)")),
    Handle(4, ("simple_file_system",), None),
]
LABELS = {2: "ESP", 3: "DATA", 4: "DATA"}


@pytest.mark.parametrize("name", [ESP, ESP.upper(), "esp", "ESP", ESP_PATH])
def test_a_volume_is_found_by_guid_label_or_path(name: str) -> None:
    assert find_volume(VOLUMES, LABELS, name).number == 2


def test_a_volume_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(UsageError) as caught:
        find_volume(VOLUMES[:2], LABELS, "NOPE")
    assert str(caught.value) == f"volume 'NOPE': not found among: ESP ({ESP_PATH})"


def test_an_ambiguous_label_lists_the_candidates() -> None:
    with pytest.raises(UsageError, match=r"is ambiguous among: DATA \(Pci.*\), DATA \(handle 4\)"):
        find_volume(VOLUMES, LABELS, "data")


def test_a_volume_is_decoded() -> None:
    body = pack("struct pk_volume_info", size=1 << 20, read_only=1, label=ucs2("ESP"))
    info = decode_volume_info(body)
    assert (info.label, info.size, info.read_only) == ("ESP", 1 << 20, True)


def test_a_block_device_is_decoded() -> None:
    flags = lib.PK_BLOCK_PRESENT | lib.PK_BLOCK_READ_ONLY
    info = decode_block_info(pack("struct pk_block_info", last_lba=7, block_size=512, flags=flags))
    assert (info.size, info.read_only, info.removable) == (4096, True, False)


def test_a_drive_without_medium_has_no_size() -> None:
    assert decode_block_info(pack("struct pk_block_info", last_lba=7, block_size=512)).size == 0


def test_a_network_device_is_decoded() -> None:
    mac = bytes.fromhex("525400123456")
    body = pack("struct pk_net_info", address=mac.ljust(32, b"\0"), address_size=6)
    assert decode_net_info(body).address == mac


def state(name: str, flags: int, before: int, during: int, left: int, after: int) -> bytes:
    """A pk_state_entry."""
    return struct.pack("<24sII4Q", name.encode(), flags, 0, before, during, left, after)


GATE, LEFT, VOLATILE = StateFlag.GATE, StateFlag.HAS_LEFT, StateFlag.VOLATILE


@pytest.mark.parametrize(
    ("entry", "differences"),
    [
        (state("cr4", GATE, 1, 1, 2, 3), ()),
        (state("cr4", GATE, 1, 2, 0, 0), (Difference("cr4", "during", 1, 2),)),
        (state("elcr", 0, 1, 2, 2, 1), ()),
        (state("elcr", LEFT, 1, 2, 2, 1), ()),
        (state("elcr", LEFT, 1, 1, 1, 2), (Difference("elcr", "after", 1, 2),)),
        (state("lapic.tmcct", GATE | LEFT | VOLATILE, 1, 2, 3, 4), ()),
    ],
)
def test_state_is_compared(entry: bytes, differences: tuple[Difference, ...]) -> None:
    assert compare(decode_state(entry)) == differences


def test_what_linux_changes_for_good_is_told_and_is_no_difference() -> None:
    entries = state("feat_ctl", LEFT | StateFlag.TOLD, 0, 5, 5, 5) + state("dr6", LEFT, 0, 1, 1, 1)
    items = decode_state(entries)
    assert compare(items) == (Difference("dr6", "after", 0, 1),)
    assert compare(items, told=True) == (Difference("feat_ctl", "after", 0, 5),)


def test_a_state_entry_that_is_cut_off_is_refused() -> None:
    with pytest.raises(FirmwareError, match="offset 64: entry is cut off"):
        decode_state(state("cr0", 0, 0, 0, 0, 0) + b"x")


def sealed_handoff() -> bytes:
    """A handoff as the stub seals it, with a trace that has wrapped."""
    raw = ffi.new("struct pk_handoff *")
    raw.stub = (0x100000, 0x40000)
    raw.resume_entry = 0x101000
    raw.arena = (0x1000000, 0x10000000)
    raw.nr_trace = 65
    raw.trace[0] = (1, 9, 65, 0, 0)
    raw.trace[1] = (1, 1, 2, 0, 0)
    lib.pk_handoff_seal(raw)
    return bytes(ffi.buffer(raw))


def test_a_handoff_is_decoded_with_its_trace_in_order() -> None:
    handoff = parse_handoff(sealed_handoff(), "handoff")
    assert handoff.arena == Range(0x1000000, 0x11000000)
    assert [entry.sequence for entry in handoff.trace[:1] + handoff.trace[-1:]] == [2, 65]
    assert str(handoff.trace[-1]) == "PK:stub:resume:0"


@pytest.mark.parametrize(
    ("offset", "fault"),
    [(0, "bad magic"), (8, "bad version"), (12, "bad size"), (40, "bad checksum")],
)
def test_a_damaged_handoff_is_refused(offset: int, fault: str) -> None:
    data = bytearray(sealed_handoff())
    data[offset] ^= 0x80
    with pytest.raises(FormatError, match=f"^x: {fault}"):
        parse_handoff(bytes(data), "x")
