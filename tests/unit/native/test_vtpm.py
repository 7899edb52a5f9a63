# SPDX-License-Identifier: Apache-2.0
"""The loop of the TPM bridge, as far as it needs no firmware: a socket takes the kernel's part."""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress

import pytest

from pykexec._native import ffi, lib

SET_LOCALITY, FAILURE, COMMAND_SIZE, LOCALITY = 0x20001000, 0x101, 0x142, 0x907


def serve(*commands: bytes, stop: bool = True, idle_ms: int = 5000) -> tuple[int, list[bytes]]:
    """What the loop returns, and its answers."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stop_read, stop_write = os.pipe()
    with ours, theirs:
        for command in commands:
            ours.send(command)
        if stop:
            os.close(stop_write)
        result = lib.pk_vtpm_serve(theirs.fileno(), ffi.NULL, stop_read, idle_ms)
        ours.setblocking(False)
        answers = []
        with suppress(BlockingIOError):
            while True:
                answers.append(ours.recv(4096))
    os.close(stop_read)
    if not stop:
        os.close(stop_write)
    return result, answers


def header(code: int, size: int = 10, tag: int = 0x8001) -> bytes:
    return struct.pack(">HII", tag, size, code)


def test_a_stop_is_obeyed_before_a_command() -> None:
    assert serve(header(SET_LOCALITY, 11) + b"\0") == (0, [])


def test_nothing_to_do_is_said_once_the_time_is_over() -> None:
    assert serve(stop=False, idle_ms=1) == (lib.PK_VTPM_IDLE, [])


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (header(SET_LOCALITY, 11, 0x8002) + b"\0", 0),
        (header(SET_LOCALITY, 11, 0x8002) + b"\x01", LOCALITY),
        (header(SET_LOCALITY), COMMAND_SIZE),
        (b"x", COMMAND_SIZE),
        (header(0x17B, 11), COMMAND_SIZE),
        (header(0x17B, 10, 0x00C1), COMMAND_SIZE),
    ],
)
def test_what_is_not_for_the_tpm_is_answered_at_once(command: bytes, code: int) -> None:
    assert serve(command, stop=False, idle_ms=50) == (lib.PK_VTPM_IDLE, [header(code)])


def test_a_device_that_has_gone_ends_the_loop() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stop_read, stop_write = os.pipe()
    ours.close()
    with theirs:
        result = lib.pk_vtpm_serve(theirs.fileno(), ffi.NULL, stop_read, 5000)
    assert result == -errno.EPIPE
    os.close(stop_read)
    os.close(stop_write)


def test_without_the_module_there_is_no_device() -> None:
    if not os.path.exists("/dev/vtpmx"):
        assert lib.pk_vtpm_open(ffi.new("u32 *")) == -errno.ENOENT
