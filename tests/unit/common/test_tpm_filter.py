# SPDX-License-Identifier: Apache-2.0
"""TPM commands: what reaches the firmware's TPM, what is answered in its place, what is refused."""

from __future__ import annotations

import struct

import pytest

from pykexec._native import ffi, lib
from pykexec.abi_devices import TpmEventConstant

NO_SESSIONS, SESSIONS = 0x8001, 0x8002
STARTUP, SHUTDOWN, GET_RANDOM = 0x144, 0x145, 0x17B
NV_UNDEFINE_SPECIAL, EVICT_CONTROL, CLEAR, CREATE_PRIMARY = 0x11F, 0x120, 0x126, 0x131
OWNER, LOCKOUT, ENDORSEMENT, PLATFORM = 0x40000001, 0x4000000A, 0x4000000B, 0x4000000C
PASSWORD = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
SUCCESS, AUTH_CONTEXT, HIERARCHY = 0, 0x145, 0x185


def command(code: int, body: bytes = b"", tag: int = NO_SESSIONS, size: int | None = None) -> bytes:
    size = 10 + len(body) if size is None else size
    return struct.pack(">HII", tag, size, code) + body


def authorized(code: int, *handles: int) -> bytes:
    return command(code, b"".join(h.to_bytes(4, "big") for h in handles) + PASSWORD, SESSIONS)


def answered(data: bytes) -> int | None:
    code = ffi.new("u32 *", 77)
    if lib.pk_tpm_filter(data, len(data), code):
        return int(code[0])
    assert code[0] == 77
    return None


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (command(GET_RANDOM, b"\0\x20"), True),
        (command(GET_RANDOM), True),
        (command(GET_RANDOM, tag=SESSIONS), True),
        (command(GET_RANDOM, bytes(4086)), True),
        (command(GET_RANDOM, bytes(4087)), False),
        (command(GET_RANDOM, size=9), False),
        (command(GET_RANDOM, size=11), False),
        (command(GET_RANDOM, size=0xFFFFFFFF), False),
        (command(GET_RANDOM, tag=0x00C1), False),
        (command(GET_RANDOM, tag=0x8003), False),
        (command(GET_RANDOM)[:9], False),
        (b"", False),
    ],
)
def test_a_command_says_how_long_it_is(data: bytes, valid: bool) -> None:
    assert lib.pk_tpm_command_valid(data, len(data)) == valid


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (command(SHUTDOWN, b"\0\0"), SUCCESS),
        (command(SHUTDOWN, b"\0\x01"), SUCCESS),
        (command(STARTUP, b"\0\0"), SUCCESS),
        (command(STARTUP), SUCCESS),
        (command(SHUTDOWN, b"\0\0", SESSIONS), AUTH_CONTEXT),
        (authorized(CREATE_PRIMARY, PLATFORM), HIERARCHY),
        (authorized(CLEAR, PLATFORM), HIERARCHY),
        (authorized(EVICT_CONTROL, PLATFORM, 0x81000001), HIERARCHY),
        (authorized(NV_UNDEFINE_SPECIAL, 0x01500001, PLATFORM), HIERARCHY),
        (command(CLEAR, PLATFORM.to_bytes(4, "big"), SESSIONS), HIERARCHY),
    ],
)
def test_what_belongs_to_the_firmware_is_answered_in_its_place(data: bytes, code: int) -> None:
    assert answered(data) == code


@pytest.mark.parametrize(
    "data",
    [
        command(GET_RANDOM, b"\0\x20"),
        command(SHUTDOWN << 16),
        authorized(CREATE_PRIMARY, OWNER),
        authorized(CREATE_PRIMARY, ENDORSEMENT),
        authorized(CLEAR, LOCKOUT),
        authorized(EVICT_CONTROL, OWNER, PLATFORM + 1),
        # A parameter, not a handle: no authorization is used.
        command(GET_RANDOM, PLATFORM.to_bytes(4, "big")),
        authorized(EVICT_CONTROL, OWNER, 0x81000001) + PLATFORM.to_bytes(4, "big"),
        command(GET_RANDOM, b"", SESSIONS),
        command(GET_RANDOM, PLATFORM.to_bytes(4, "big")[:3], SESSIONS),
    ],
)
def test_everything_else_passes(data: bytes) -> None:
    assert answered(data) is None


@pytest.mark.parametrize(
    ("response", "capacity", "size"),
    [
        (command(0), 4096, 10),
        (command(0, bytes(20), SESSIONS), 4096, 30),
        (command(0x1E, tag=0x00C4), 4096, 10),
        (command(0), 10, 10),
        (command(0), 9, 0),
        (command(0, size=9), 4096, 0),
        (command(0, size=0), 4096, 0),
        (command(0, size=4097), 4096, 0),
        (command(0, size=0xFFFFFFFF), 4096, 0),
        (bytes(10), 4096, 0),
        (b"\xff" * 10, 4096, 0),
    ],
)
def test_a_response_that_is_nonsense_has_no_size(response: bytes, capacity: int, size: int) -> None:
    assert lib.pk_tpm_response_size(response, capacity) == size


def test_an_answer_is_a_response_without_parameters() -> None:
    out = ffi.new("u8[12]", b"\xee" * 12)
    lib.pk_tpm_answer(0x185, out)
    assert bytes(ffi.buffer(out)) == command(0x185) + b"\xee\xee"


def config(size: int, tag: int = TpmEventConstant.TAG_CONFIG, told: int | None = None) -> bytes:
    """A tagged event of that size in all, that tells its data's."""
    return struct.pack("<II", tag, size - 8 if told is None else told) + bytes(size - 8)


@pytest.mark.parametrize(
    ("pcr", "data", "allowed"),
    [
        (5, config(8), True),
        (5, config(4096), True),
        (5, config(4097), False),
        (5, config(64)[:7], False),
        (5, config(64, TpmEventConstant.TAG_SECTIONS), False),
        (5, config(64, told=57), False),
        (5, config(64, told=55), False),
        (5, config(64, told=0xFFFFFFFF), False),
        (5, b"EFI PART" + bytes(56), False),
        (5, b"", False),
        (15, b"x", True),
        (15, bytes(4096), True),
        (15, bytes(4097), False),
        (15, b"", False),
        *((pcr, config(64), False) for pcr in (0, 4, 8, 11, 12, 13, 14, 16, 0xFFFFFFFF)),
    ],
)
def test_linux_may_measure_a_configuration_and_a_release_alone(
    pcr: int, data: bytes, allowed: bool
) -> None:
    buffer = ffi.new("u8[]", data or b"\0")
    assert lib.pk_tpm_event_allowed(pcr, buffer, len(data)) == allowed


@pytest.mark.parametrize("size", [1 << 32, (1 << 64) - 8])
def test_no_size_is_too_large_to_be_refused(size: int) -> None:
    for pcr in (5, 15):
        assert not lib.pk_tpm_event_allowed(pcr, ffi.new("u8[64]", config(64)), size)
