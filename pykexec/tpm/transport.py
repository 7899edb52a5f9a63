# SPDX-License-Identifier: Apache-2.0
"""Ways of a command to the TPM, and of the event log from the firmware."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from pykexec._native import lib
from pykexec.abi import Op
from pykexec.errors import FirmwareError, TpmError
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import check_status
from pykexec.firmware.wire import answer_error, pack, struct_size, unpack

Transmit = Callable[[bytes], bytes]
"""Takes a command, gives its response; TpmError when there is none."""

BUFFER_SIZE = lib.PK_TPM_BUFFER_SIZE
RAW_DEVICE = "/dev/pykexec/tpm"
RESOURCE_MANAGER = "/dev/pykexec/tpmrm"
"""Links that the bridge makes (pykexec.bridge.tpm)."""

EVENT_LOG = "/run/pykexec/event-log"
"""What the bridge keeps the firmware's event log in."""

_CHUNK_SIZE = 1 << 19


@dataclass(frozen=True, slots=True)
class FirmwareLog:
    """The event log as the firmware has it now; truncated when it had no room for more."""

    data: bytes
    truncated: bool


def device(path: str = RESOURCE_MANAGER) -> Transmit:
    """By a device of Linux, whose resource manager keeps programs apart."""

    def transmit(command: bytes) -> bytes:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.write(fd, command)
                return os.read(fd, BUFFER_SIZE)
            finally:
                os.close(fd)
        except OSError as error:
            raise TpmError(f"{path}: {error.strerror}") from error

    return transmit


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


def _read_chunk(mailbox: Mailbox, offset: int, size: int) -> tuple[int, bool, bytes]:
    body = pack("pk_event_log_request", offset=offset, size=size)
    answer = mailbox.ask(Request(Op.TPM_EVENT_LOG, "event log", body))
    reply = unpack("pk_event_log_reply", answer, 0, "event log")
    return reply.size, bool(reply.truncated), answer[struct_size("pk_event_log_reply") :]
