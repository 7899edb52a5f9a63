# SPDX-License-Identifier: Apache-2.0
"""Ways of a command to the TPM, and of the event log from the firmware."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pykexec._native import lib
from pykexec.abi import Op
from pykexec.errors import FirmwareError, TpmError
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import check_status
from pykexec.firmware.wire import answer_error, pack, struct_size, unpack
from pykexec.tpm.response_code import RETRIED
from pykexec.tpm.wire import response_code

Transmit = Callable[[bytes], bytes]
"""Takes a command, gives its response; TpmError when there is none."""

BUFFER_SIZE = lib.PK_TPM_BUFFER_SIZE
RAW_DEVICE = "/dev/pykexec/tpm"
RESOURCE_MANAGER = "/dev/pykexec/tpmrm"
"""Links that the bridge makes (pykexec.bridge.tpm)."""

EVENT_LOG = "/run/pykexec/event-log"
"""What the bridge keeps the firmware's event log in."""

_CHUNK_SIZE = 1 << 19
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.02, 1.0


@dataclass(frozen=True, slots=True)
class FirmwareLog:
    """The event log as the firmware has it now; truncated when it had no room for more."""

    data: bytes
    truncated: bool


@contextmanager
def opened(*paths: str) -> Iterator[Transmit]:
    """A device of Linux that stays open, the first of paths that nobody else has for himself."""
    fd, path = _open(paths)

    def transmit(command: bytes) -> bytes:
        try:
            os.write(fd, command)
            return os.read(fd, BUFFER_SIZE)
        except OSError as error:
            raise TpmError(f"{path}: {error.strerror}") from error

    try:
        yield transmit
    finally:
        os.close(fd)


def device(path: str = RESOURCE_MANAGER) -> Transmit:
    """The same, opened for each command: for commands that leave nothing in the TPM."""

    def transmit(command: bytes) -> bytes:
        with opened(path) as once:
            return once(command)

    return transmit


def patient(transmit: Transmit, patience_s: float = 20) -> Transmit:
    """Ask again while the TPM says that it is busy, for so long; its last answer then.

    Such an answer has changed nothing, not even a session's nonces (Part 1, 39.4).
    """

    def transmit_again(command: bytes) -> bytes:
        deadline = time.monotonic() + patience_s
        pause_s = _FIRST_PAUSE_S
        while response_code(response := transmit(command)) in RETRIED:
            if time.monotonic() + pause_s > deadline:
                break
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
        return response

    return transmit_again


def firmware(mailbox: Mailbox) -> Transmit:
    """By the mailbox, without Linux' knowledge: for commands that leave nothing in the TPM."""

    def transmit(command: bytes) -> bytes:
        what = "TPM command"
        head = pack("pk_descriptor", op=Op.TPM_COMMAND, size=len(command), capacity=BUFFER_SIZE)
        answer = mailbox.ask(Request(Op.TRANSFER, what, head + command))
        served = unpack("pk_descriptor", answer, 0, what)
        check_status(served.status, what)
        response = answer[struct_size("pk_descriptor") :][: served.result]
        if len(response) != served.result:
            raise answer_error(what, len(answer), "response is cut off")
        return response

    return transmit


def event_log_size(mailbox: Mailbox) -> int:
    """Bytes of the firmware's event log; it only grows."""
    size, _, _ = _read_chunk(mailbox, 0, 0)
    return size


def read_event_log(mailbox: Mailbox) -> FirmwareLog:
    """The whole log; FirmwareError (ENOENT) without a TPM, (EIO) where the log makes no sense."""
    data = b""
    while True:
        size, truncated, chunk = _read_chunk(mailbox, len(data), _CHUNK_SIZE)
        data += chunk
        if len(data) == size:
            return FirmwareLog(data, truncated)
        if not chunk or len(data) > size:
            fault = f"ended at {len(data)} of {size} bytes"
            raise FirmwareError(errno.EIO, fault, "event log")


def _open(paths: tuple[str, ...]) -> tuple[int, str]:
    for number, path in enumerate(paths, 1):
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC), path
        except OSError as error:
            if error.errno != errno.EBUSY or number == len(paths):
                raise TpmError(f"{path}: {error.strerror}") from error
    raise TpmError("no TPM device is named")


def _read_chunk(mailbox: Mailbox, offset: int, size: int) -> tuple[int, bool, bytes]:
    body = pack("pk_event_log_request", offset=offset, size=size)
    answer = mailbox.ask(Request(Op.TPM_EVENT_LOG, "event log", body))
    reply = unpack("pk_event_log_reply", answer, 0, "event log")
    return reply.size, bool(reply.truncated), answer[struct_size("pk_event_log_reply") :]
