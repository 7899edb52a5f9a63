# SPDX-License-Identifier: Apache-2.0
"""A few valid inputs for each driver, in the form that the driver takes apart."""

from __future__ import annotations

import struct

from pykexec import abi
from pykexec._native import lib
from tests.fuzz import samples
from tests.fuzz.firmware_side import handoff
from tests.fuzz.sequences import LIVES, SEQUENCES
from tests.support.samples import (
    END_NODE,
    INITRD_NODE,
    TEXT,
    bzimage_file,
    descriptor,
    device_node,
    message,
    pe_file,
    request,
)
from tests.support.samples_event_log import AGILE_LOG, LAST, SHA1_LAST, SHA1_LOG

# Ethernet, IPv4 and TCP with 200 bytes; checksums are the driver's to find out.
_TCP = (
    bytes.fromhex("525400123456525400654321 0800 450000f0000140004006 0000 0a000001 0a000002")
    + bytes.fromhex("0050 1234 00000001 00000001 5010 ffff 0000 0000")
    + bytes(200)
)
_FRAME_SIZE = len(_TCP)


def seeds(driver: str) -> list[bytes]:
    """Inputs to start from; an unknown driver starts from nothing."""
    return {
        "arena": [
            bytes([0, 4, 0, 100, 0, 200, 0, 50, 1, 255, 255, 9, 0x12, 8, 0, 3, 3, 8, 0, 1]),
            bytes([0, 0, 0, 255, 0x41, *b"\xff\xff", 1, *bytes(7), 0x83, 0, 0, 1, *bytes(8)]),
        ],
        "memory_map": [_memory_map(48), _memory_map(40)],
        "pe": [pe_file(), pe_file([TEXT])],
        "bzimage": [bzimage_file(), bzimage_file(kernel_version=0)],
        "dhcp": [b"\x03" + packet for packet in samples.dhcp_packets()],
        "device_path": [
            _device_path(device_node(1, 1, b"\0\x1f") + END_NODE),
            _device_path(INITRD_NODE + END_NODE),
        ],
        "message": [
            b"\xff\x0f\0" + message([request(1, 2), request(2, 3, b"body!")]),
            b"\x40\x00\x01" + message([request(1, 2, b"12345678")] * 3),
        ],
        "handoff": [_handoff()],
        "event_log": [
            b"\x01" + LAST.to_bytes(2, "little") + AGILE_LOG,
            b"\x00" + SHA1_LAST.to_bytes(2, "little") + SHA1_LOG,
        ],
        "tpm_filter": [
            bytes.fromhex("8001 0000000c 00000145 0000"),
            bytes.fromhex("8002 0000001b 00000126 4000000c 00000009 40000009 0000 00 0000"),
        ],
        "sequence": [*SEQUENCES.values(), *LIVES],
        "segment": [_segments(64), b"\0\1" + (_FRAME_SIZE.to_bytes(2, "little") + _TCP) * 2],
        "page_table": [
            *(_walk(levels) for levels in b"\0\1"),
            *(bytes([0, levels, 8]) + b"\0\0\x20\0\0\0" + b"\0\0\x40\0" for levels in b"\0\1"),
        ],
    }.get(driver, [])


def _memory_map(step: int) -> bytes:
    page = lib.PK_PAGE_SIZE
    view = bytes([4, 16, 0, 32, 20, 0, 2, 64, 0, 8, 66, 0, 1])  # arena
    view += bytes([100, 0, 4]) + bytes([120, 0, 16])  # stub, window
    view += bytes([1, 200, 0, 1]) + bytes(2)  # MMIO, nothing odd
    types = [7, 4, 5, 10, 11, 0, 3]
    rows = (descriptor(t, i * 40 * page, 40, step=step) for i, t in enumerate(types))
    return bytes([step]) + view + b"".join(rows)


def _device_path(path: bytes) -> bytes:
    return b"\0\x02" + b"\x02" + bytes(8) + b"\xff" * 8 + "\\x".encode("utf-16-le") + path


def _segments(payload: int) -> bytes:
    """A packet that Linux leaves to the card to cut: VIRTIO_NET_HDR_GSO_TCPV4."""
    capacity, header = 2048, struct.pack("<BBHHHH", 1, 1, 54, payload, 34, 16)
    return b"\1" + capacity.to_bytes(2, "little") + header + _TCP


def _handoff() -> bytes:
    return (0x12000).to_bytes(8, "little") + handoff()


def _walk(levels: int) -> bytes:
    entries = [abi.PteBit.PRESENT | n << 12 for n in range(20)]
    tables = b"".join(entry.to_bytes(8, "little") for entry in entries)
    return bytes([1, levels]) + bytes(16) + b"\x0f" + tables
