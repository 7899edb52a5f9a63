# SPDX-License-Identifier: Apache-2.0
"""EFI drivers and applications that the firmware loads and starts while Linux waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pykexec.abi import Op, Stage
from pykexec.efi.pe import SUBSYSTEM_EFI_APPLICATION, check_loadable, parse
from pykexec.errors import FirmwareError
from pykexec.firmware.devices import connect_all
from pykexec.firmware.handles import list_handles
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import is_error, status_errno, status_name
from pykexec.firmware.wire import unpack
from pykexec.kexec.leave import hand_over
from pykexec.kexec.request import ExecRequest, prepare

if TYPE_CHECKING:
    from pykexec.config.agent import NetworkConfig

_REFUSALS = ("ACCESS_DENIED", "SECURITY_VIOLATION")
_BEHIND_SHIM = (
    "no driver is started here: shim serves LoadImage, and frees a driver while it is at work; "
    "have the firmware start the image without shim, or the driver before it"
)


def start_image(
    mailbox: Mailbox,
    path: str,
    *,
    volume: str | None = None,
    options: str = "",
    connect: bool = True,
    network: NetworkConfig | None = None,
    check: Callable[[bytes, str], object] = check_loadable,
) -> int:
    """Have the firmware load, verify, measure and start the driver or application at path.

    path, volume, network and check are those of kexec.request.prepare(). With connect the
    firmware's drivers are connected to everything afterwards, which is what makes a new driver's
    devices appear. The image's status if it is success or a warning; FirmwareError with what the
    firmware refused it for, or with the error that it returned.

    What was staged for a kexec that is already loaded is forgotten: `exec` comes last.
    """
    request = prepare(mailbox, path, volume=volume, options=options, network=network, check=check)
    try:
        status = start(mailbox, request)
    finally:
        os.close(request.payload.fd)
    if connect:
        connect_all(mailbox)
    return status


def start(mailbox: Mailbox, request: ExecRequest) -> int:
    """start_image() of what has been read and checked; nothing is connected."""
    source = request.payload.source
    hand_over(mailbox, request)
    reply = unpack("pk_image_reply", mailbox.ask(Request(Op.IMAGE_START, source)), 0, source)
    status: int = reply.status
    if not is_error(status):
        return status
    name, code = status_name(status), status_errno(status)
    if reply.stage != Stage.LOAD:
        raise FirmwareError(code, f"was started and returned EFI_{name}", source, status)
    if name == "UNSUPPORTED" and _is_behind_shim(mailbox, request):
        raise FirmwareError(code, _BEHIND_SHIM, source, status)
    fault = f"refused by LoadImage: {os.strerror(code)} (EFI_{name})"
    if name in _REFUSALS and read_info(mailbox).secure_boot:
        fault += "; Secure Boot is on, and the image has no signature that the firmware trusts"
    raise FirmwareError(code, fault, source, status)


def _is_behind_shim(mailbox: Mailbox, request: ExecRequest) -> bool:
    """Is it a driver, where the stub refuses them (csrc/stub/end/payload.c)?"""
    payload = request.payload
    image = parse(os.pread(payload.fd, payload.size, 0), payload.source)
    is_driver = image.subsystem != SUBSYSTEM_EFI_APPLICATION
    return is_driver and bool(list_handles(mailbox, "shim_image_loader"))
