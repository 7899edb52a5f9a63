# SPDX-License-Identifier: Apache-2.0
"""Start an EFI payload by the best route that this machine allows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pykexec.abi import Action, Op
from pykexec.errors import FirmwareError, KexecError, PayloadRefusedError
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.kexec.leave import leave_with
from pykexec.kexec.load import execute, load
from pykexec.kexec.request import ExecRequest, prepare
from pykexec.steps import attempt

if TYPE_CHECKING:
    from pykexec.config.agent import NetworkConfig

log = logging.getLogger(__name__)

ROUTES = ("kexec", "leave")


def exec_payload(
    mailbox: Mailbox,
    path: str,
    *,
    volume: str | None = None,
    options: str = "",
    device_path: str | None = None,
    failure_action: Action = Action.AGENT,
    via: str | None = None,
    load_only: bool = False,
    sha256: str = "",
    network: NetworkConfig | None = None,
    is_launch: bool = False,
    before: Callable[[ExecRequest], None] | None = None,
    report: Callable[[str], None] = log.warning,
) -> None:
    """Start the EFI application at path; returns only with load_only, after kexec_file_load().

    via "kexec" or "leave" allows that route alone. Without it a refused kexec
    (lockdown, no such system call) falls back to leaving through the mailbox,
    and report is told so; not where the kernel checked the payload itself and refused it
    (PayloadRefusedError). Everything is checked before anything is changed, and report is told
    what the firmware is going to refuse. before is called with what was read: what is started
    afterwards are just these bytes.
    """
    refresh(mailbox)
    request = prepare(
        mailbox,
        path,
        volume=volume,
        options=options,
        device_path=device_path,
        failure_action=failure_action,
        sha256=sha256,
        network=network,
        is_launch=is_launch,
    )
    for line in attempt("Secure Boot", lambda: _foresee(mailbox, request), [], report):
        report(line)
    if before:
        before(request)
    if via == "leave":
        leave_with(mailbox, request)
    try:
        load(mailbox, request)
        if load_only:
            return
        execute(request.payload.source)
    except PayloadRefusedError:
        raise
    except KexecError as error:
        if via or load_only:
            raise
        report(f"{error.filename}: {error.strerror}; leaving through the mailbox instead")
        _fall_back(mailbox, request, error)


def _foresee(mailbox: Mailbox, request: ExecRequest) -> list[str]:
    if not read_info(mailbox).secure_boot:
        return []
    from pykexec.kexec.foresee import foreseen

    return list(foreseen(mailbox, request.payload))


def refresh(mailbox: Mailbox) -> None:
    """Let the firmware read anew what Linux wrote to its disks: the payload may be among it."""
    os.sync()
    mailbox.ask(Request(Op.BLOCK_REFRESH, "refresh disks"))


def _fall_back(mailbox: Mailbox, request: ExecRequest, refused: KexecError) -> None:
    try:
        leave_with(mailbox, request)
    except FirmwareError as error:
        fault = (
            f"{refused.strerror}; leaving: {error.strerror}; "
            "`reboot -f` still leads back to the firmware (reboot=efi)"
        )
        raise FirmwareError(error.errno or 0, fault, request.payload.source, error.status) from None
