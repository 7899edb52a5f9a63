# SPDX-License-Identifier: Apache-2.0
"""Start an EFI payload by the best route that this machine allows."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pykexec.abi import Action
from pykexec.errors import FirmwareError, KexecError
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.leave import leave_with
from pykexec.kexec.load import execute, load
from pykexec.kexec.request import ExecRequest, prepare

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
    report: Callable[[str], None] = log.warning,
) -> None:
    """Start the EFI application at path; returns only with load_only, after kexec_file_load().

    via "kexec" or "leave" allows that route alone. Without it a refused kexec
    (lockdown, no such system call) falls back to leaving through the mailbox,
    and report is told so. Everything is checked before anything is changed.
    """
    request = prepare(
        mailbox,
        path,
        volume=volume,
        options=options,
        device_path=device_path,
        failure_action=failure_action,
    )
    if via == "leave":
        leave_with(mailbox, request)
    try:
        load(mailbox, request)
        if load_only:
            return
        execute(request.payload.source)
    except KexecError as error:
        if via or load_only:
            raise
        report(f"{error.filename}: {error.strerror}; leaving through the mailbox instead")
        _fall_back(mailbox, request, error)


def _fall_back(mailbox: Mailbox, request: ExecRequest, refused: KexecError) -> None:
    try:
        leave_with(mailbox, request)
    except FirmwareError as error:
        fault = (
            f"{refused.strerror}; leaving: {error.strerror}; "
            "`reboot -f` still leads back to the firmware (reboot=efi)"
        )
        raise FirmwareError(error.errno or 0, fault, request.payload.source, error.status) from None
