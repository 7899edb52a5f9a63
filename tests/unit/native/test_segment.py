# SPDX-License-Identifier: Apache-2.0
"""TCP segments cut for the NIC and joined for Linux; a plain second opinion on their checksums."""

from __future__ import annotations

import random
import struct

import pytest

from pykexec._native import ffi, lib

SLOT = 2048
SEQUENCE = 0xFFFFFF00  # wraps in the first segment
ACK, PSH, FIN, CWR = 0x10, 0x08, 0x01, 0x80
# As <linux/virtio_net.h> has them.
NEEDS_CSUM, TCPV4, TCPV6 = 1, 1, 4
ETHERNET = bytes(range(12))
OPTIONS = bytes([1, 1, 8, 10, *range(8)])
TCP = {4: 34, 6: 54}


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(frame: bytes, version: int) -> bytes:
    addresses = frame[26:34] if version == 4 else frame[22:54]
    end = 14 + struct.unpack_from("!H", frame, 16)[0] if version == 4 else len(frame)
    return addresses + struct.pack("!II", end - TCP[version], 6)


def segment(
    payload: bytes,
    version: int = 4,
    sequence: int = SEQUENCE,
    flags: int = ACK,
    acknowledged: int = 9,
    options: bytes = OPTIONS,
    window: int = 1000,
) -> bytes:
    """A whole frame with the right checksums."""
    size = 20 + len(options) + len(payload)
    offset = (20 + len(options)) << 2
    if version == 4:
        ip = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + size, 5, 0x4000, 64, 6, 0, bytes(range(8)))
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    else:
        ip = struct.pack("!IHBB32s", 6 << 28, size, 6, 64, bytes(range(32)))
    head = ETHERNET + struct.pack("!H", 0x0800 if version == 4 else 0x86DD) + ip
    fields = (80, 4242, sequence & 0xFFFFFFFF, acknowledged, offset, flags, window, 0, 0)
    tcp = struct.pack("!HHIIBBHHH", *fields) + options
    frame = head + tcp + payload
    value = checksum(pseudo(frame, version) + frame[len(head) :])
    at = len(head) + 16
    return frame[:at] + struct.pack("!H", value) + frame[at + 2 :]


def is_right(frame: bytes, version: int) -> bool:
    ip_is_right = version == 6 or checksum(frame[14:34]) == 0
    return ip_is_right and checksum(pseudo(frame, version) + frame[TCP[version] :]) == 0


def cut(packet: bytes, capacity: int = 1514, **header: int) -> list[bytes] | None:
    state, out = ffi.new("struct pk_cut *"), ffi.new("u8[]", SLOT)
    source = ffi.new("u8[]", packet)
    if not lib.pk_cut_begin(
        state, ffi.new("struct pk_packet_header *", header), source, len(packet)
    ):
        return None
    frames = []
    while not lib.pk_cut_is_done(state):
        size = lib.pk_cut_next(state, out, capacity)
        frames.append(bytes(ffi.buffer(out, size)))
    return frames


def join(frames: list[bytes]) -> tuple[int, bytes]:
    """How many were joined, and the packet, with its checksum completed."""
    memory = b"".join(frame.ljust(SLOT, b"\xaa") for frame in frames)
    sizes = ffi.new("u16[]", [len(frame) for frame in frames])
    ret = ffi.new("struct pk_joined *")
    nr = lib.pk_join(memory, SLOT, sizes, len(frames), ret)
    if nr < 2:
        return nr, b""
    packet = bytes(ffi.buffer(ret.bytes, ret.header_size))
    for i in range(nr):
        start = i * SLOT + ret.header_size
        packet += memory[start : start + ret.payload_size[i]]
    header = ret.header
    whole = (
        cut(
            packet,
            capacity=SLOT,
            flags=header.flags,
            checksum_start=header.checksum_start,
            checksum_offset=header.checksum_offset,
        )
        if len(packet) <= SLOT
        else [packet]
    )
    assert whole is not None
    return nr, whole[0]


PAYLOAD = random.Random(1).randbytes(4000)


@pytest.mark.parametrize(("version", "gso_type"), [(4, TCPV4), (6, TCPV6)])
def test_a_packet_is_cut_into_segments_that_follow_each_other(version: int, gso_type: int) -> None:
    packet = segment(PAYLOAD, version, flags=ACK | PSH | FIN | CWR)
    header = {"flags": NEEDS_CSUM, "checksum_start": TCP[version], "checksum_offset": 16}
    frames = cut(packet, SLOT, gso_type=gso_type, gso_size=1448, **header)
    assert frames == [
        segment(PAYLOAD[:1448], version, SEQUENCE, ACK | CWR),
        *(
            with_id(
                segment(PAYLOAD[start : start + 1448], version, SEQUENCE + start, flags), number
            )
            for number, start, flags in ((1, 1448, ACK), (2, 2896, ACK | PSH | FIN))
        ),
    ]
    assert all(is_right(frame, version) for frame in frames)


def with_id(frame: bytes, number: int) -> bytes:
    """The same with an IPv4 identification that counts."""
    if frame[12:14] != b"\x08\0":
        return frame
    head = frame[14:18] + struct.pack("!H", 5 + number) + frame[20:24] + b"\0\0" + frame[26:34]
    return frame[:14] + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + frame[34:]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1447])
def test_a_checksum_that_linux_left_out_is_made_up_for(size: int) -> None:
    frame = segment(PAYLOAD[:size])
    partial = ~checksum(pseudo(frame, 4)) & 0xFFFF
    unfinished = frame[:50] + struct.pack("!H", partial) + frame[52:]
    header = {"flags": NEEDS_CSUM, "checksum_start": 34, "checksum_offset": 16}
    assert cut(unfinished, **header) == [frame]


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (13, {}),
        (60, {"flags": NEEDS_CSUM, "checksum_start": 44, "checksum_offset": 16}),
        (60, {"flags": NEEDS_CSUM, "checksum_start": 0xFFFF, "checksum_offset": 0xFFFF}),
        (60, {"gso_type": TCPV4, "gso_size": 1448, "checksum_start": 34}),
        (200, {"gso_type": TCPV4, "gso_size": 0, "checksum_start": 34}),
        (200, {"gso_type": TCPV4, "gso_size": 1448, "checksum_start": 33}),
        (200, {"gso_type": TCPV4, "gso_size": 1448, "checksum_start": 190}),
        (66, {"gso_type": TCPV4, "gso_size": 1448, "checksum_start": 34}),
    ],
)
def test_headers_that_do_not_fit_the_packet_are_refused(size: int, header: dict[str, int]) -> None:
    assert cut(segment(PAYLOAD)[:size], **header) is None


def test_what_is_too_large_for_the_nic_is_dropped() -> None:
    assert cut(bytes(1515)) == [b""]
    header = {"gso_type": TCPV4, "gso_size": 1500, "checksum_start": 34}
    assert cut(segment(PAYLOAD), **header) == [b""]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("sizes", [(500, 500), (500, 500, 500), (500, 1), (500, 500, 3)], ids=str)
def test_segments_that_follow_each_other_are_joined(version: int, sizes: tuple[int, ...]) -> None:
    frames: list[bytes] = []
    start = 0
    for size in sizes:
        flags = ACK | (PSH if len(frames) == len(sizes) - 1 else 0)
        payload = PAYLOAD[start : start + size]
        frames.append(segment(payload, version, SEQUENCE + start, flags))
        start += size
    assert join(frames) == (
        len(sizes),
        segment(PAYLOAD[:start], version, SEQUENCE, ACK | PSH),
    )


FIRST = segment(PAYLOAD[:500])
SECOND = segment(PAYLOAD[500:1000], sequence=SEQUENCE + 500)


def changed(frame: bytes, offset: int) -> bytes:
    return frame[:offset] + bytes([frame[offset] ^ 1]) + frame[offset + 1 :]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, segment(PAYLOAD[500:1000], sequence=SEQUENCE + 501)),
        (FIRST, segment(PAYLOAD[500:1001], sequence=SEQUENCE + 500)),
        (FIRST, segment(PAYLOAD[500:1000], sequence=SEQUENCE + 500, acknowledged=10)),
        (FIRST, segment(PAYLOAD[500:1000], sequence=SEQUENCE + 500, flags=ACK | FIN)),
        (FIRST, segment(b"", sequence=SEQUENCE + 500)),
        (FIRST, segment(PAYLOAD[500:1000], 6, sequence=SEQUENCE + 500)),
        (FIRST, changed(SECOND, 100)),
        (FIRST, changed(SECOND, 11)),
        (FIRST, changed(SECOND, 24)),
        (FIRST, SECOND[:-1]),
        (segment(PAYLOAD[:500], flags=ACK | PSH), SECOND),
        (segment(PAYLOAD[:500], flags=ACK | FIN), SECOND),
        (changed(FIRST, 100), SECOND),
        (FIRST[:40], SECOND),
        (b"", SECOND),
        (bytes(SLOT), SECOND),
        (b"\xff" * SLOT, b"\xff" * SLOT),
    ],
)
def test_what_does_not_belong_together_stays_apart(first: bytes, second: bytes) -> None:
    nr, _ = join([first, second])
    assert nr < 2


def test_padding_of_a_short_frame_is_not_joined() -> None:
    frames = [segment(b"ab"), segment(b"cd", sequence=SEQUENCE + 2) + bytes(6)]
    assert join(frames) == (2, segment(b"abcd"))


def test_no_noise_is_read_beyond_its_frame() -> None:
    noise = random.Random(2)
    for _ in range(2000):
        frame = bytearray(noise.choice([FIRST, segment(PAYLOAD[:20], 6)]))
        for _ in range(noise.randrange(4)):
            frame[noise.randrange(len(frame))] = noise.randrange(256)
        nr, _ = join([bytes(frame[: noise.randrange(len(frame) + 1)]), SECOND])
        assert nr <= 2


def acknowledgement(
    number: int,
    options: bytes = OPTIONS,
    window: int = 1000,
    payload: bytes = b"",
    flags: int = ACK,
) -> bytes:
    return segment(payload, 4, SEQUENCE, flags, number, options, window)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (acknowledgement(5), acknowledgement(6)),
        (acknowledgement(5), acknowledgement(6, OPTIONS[:-1] + b"\x99", window=5)),
        (acknowledgement(0xFFFFFFFF, b""), acknowledgement(3, b"")),
    ],
)
def test_an_acknowledgement_of_more_supersedes(first: bytes, second: bytes) -> None:
    assert lib.pk_supersedes(first, len(first), second, len(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (acknowledgement(5), acknowledgement(5)),
        (acknowledgement(6), acknowledgement(5)),
        (acknowledgement(5, payload=b"x"), acknowledgement(6)),
        (acknowledgement(5), acknowledgement(6, payload=b"x")),
        (acknowledgement(5, flags=ACK | FIN), acknowledgement(6)),
        (acknowledgement(5), acknowledgement(6, flags=ACK | 0x40)),
        (acknowledgement(5, bytes([1, 1, 5, 10, *range(8)])), acknowledgement(6)),
        (acknowledgement(5), acknowledgement(6, bytes([1, 1, 5, 10, *range(8)]))),
        (acknowledgement(5), acknowledgement(6, b"")),
        (acknowledgement(5), changed(acknowledgement(6), 30)),
        (acknowledgement(5), changed(acknowledgement(6), 65)),
        (acknowledgement(5), segment(b"", 6, acknowledged=6)),
        (acknowledgement(5), acknowledgement(6)[:50]),
    ],
)
def test_what_says_something_of_its_own_is_kept(first: bytes, second: bytes) -> None:
    assert not lib.pk_supersedes(first, len(first), second, len(second))
