# SPDX-License-Identifier: Apache-2.0
"""Back into the firmware through the mailbox, with or without a payload to start there."""

from __future__ import annotations

import errno
import os
from typing import NoReturn

from pykexec.abi import Action, Op
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.errors import FirmwareError
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import enum_word, pack
from pykexec.kexec.mounts import settle
from pykexec.kexec.request import ExecRequest
from pykexec.log import print_marker


def new_token() -> int:
    """A non-zero u32 that ties a staged payload to the kexec that brings it."""
    return int.from_bytes(os.urandom(4), "little") or 1


def stage(mailbox: Mailbox, request: ExecRequest, token: int, payload_size: int) -> None:
    """Tell the stub what comes: payload_size 0 for kexec, which brings the bytes itself."""
    path = bytes(request.device_path) if request.device_path else b""
    options = encode_ucs2(request.options) if request.options else b""
    head = pack(
        "pk_payload_request",
        token=token,
        failure_action=request.failure_action,
        device_path_size=len(path),
        options_size=len(options),
        payload_size=payload_size,
    )
    what = f"stage {request.payload.source}"
    mailbox.ask(Request(Op.PAYLOAD_STAGE, what, head + path + options))


def leave_with(mailbox: Mailbox, request: ExecRequest) -> NoReturn:
    """Hand the payload over through the mailbox, then leave to start it."""
    hand_over(mailbox, request)
    leave(mailbox, Action.PAYLOAD)


def hand_over(mailbox: Mailbox, request: ExecRequest) -> None:
    """Give the payload and how it is to be started to the stub."""
    payload = request.payload
    stage(mailbox, request, new_token(), payload.size)
    for offset, chunk in payload.chunks():
        body = pack("pk_payload_data", offset=offset) + chunk
        mailbox.ask(Request(Op.PAYLOAD_DATA, payload.source, body))


def leave(mailbox: Mailbox, action: Action, reason: str = "") -> NoReturn:
    """Give the machine back to the firmware; Linux ends here, FirmwareError if it cannot.

    The reason is kept for the next start.
    """
    from pykexec.firmware.last_end import reason_bytes

    settle()
    print_marker("agent", "leave")
    what = f"leave to {enum_word(Action, action)}"
    body = pack("pk_leave_request", action=action) + (reason_bytes(reason) if reason else b"")
    mailbox.ask(Request(Op.LEAVE, what, body))
    raise FirmwareError(errno.EPROTO, "the firmware came back from where nothing comes back", what)
