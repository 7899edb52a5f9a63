# SPDX-License-Identifier: Apache-2.0
"""The firmware's TPM as Linux' own: /dev/tpmN and /dev/tpmrmN by tpm_vtpm_proxy, and its event log.

The kernel's module brings the resource manager; the numbers may change when a bridge is started
anew, the links in /dev/pykexec do not.
"""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress

from pykexec._native import ffi, lib
from pykexec.bridge import Bridge
from pykexec.bridge.state import Publisher, replace
from pykexec.bridge.window import Port, open_port
from pykexec.errors import FirmwareError, PykexecError, TpmError
from pykexec.firmware.info import read_tpm_info
from pykexec.firmware.mailbox import Mailbox
from pykexec.log import describe
from pykexec.tpm.loaded import flush_leftovers
from pykexec.tpm.transport import (
    BUFFER_SIZE,
    EVENT_LOG,
    RAW_DEVICE,
    RESOURCE_MANAGER,
    event_log_size,
    firmware,
    read_event_log,
)

log = logging.getLogger(__name__)

MODULE = "tpm_vtpm_proxy"
# Until Linux has made the device, and between looks at the event log afterwards.
_STARTING_MS = 20
_RUNNING_MS = 2000


def discover(mailbox: Mailbox) -> list[Bridge]:
    """The TPM 2.0 that the firmware uses, if it has one."""
    return [Bridge("tpm", 0, "tpm")] if read_tpm_info(mailbox).present else []


def serve(bridge: Bridge, stop_fd: int) -> None:
    """Carry commands to the firmware's TPM until stop_fd is readable.

    TpmError when Linux cannot make the device or has given it up, FirmwareError when the firmware
    cannot be asked. With the end of this function, or of its process, the device goes away.
    """
    from pykexec.linux.modules import load

    faults = load(MODULE)
    number = ffi.new("u32 *")
    with Mailbox() as mailbox, open_port(BUFFER_SIZE) as port:
        # Of a bridge that was killed, and of its device's users.
        flush(mailbox)
        fd = lib.pk_vtpm_open(number)
        if fd < 0:
            reasons = "; ".join([f"/dev/vtpmx: {os.strerror(-fd)}", *faults])
            raise TpmError(f"Linux cannot make a TPM: {reasons}")
        links = {RAW_DEVICE: f"/dev/tpm{number[0]}", RESOURCE_MANAGER: f"/dev/tpmrm{number[0]}"}
        try:
            _run(bridge, mailbox, port, fd, stop_fd, links)
        finally:
            os.close(fd)
            unlink(links)
            flush(mailbox)


def _run(
    bridge: Bridge, mailbox: Mailbox, port: Port, fd: int, stop_fd: int, links: dict[str, str]
) -> None:
    idle_ms, log_size = _STARTING_MS, -1
    publisher = Publisher(bridge)
    while True:
        result = lib.pk_vtpm_serve(fd, port.pointer, stop_fd, idle_ms)
        if result == 0:
            return
        if result == -errno.EPIPE:
            raise TpmError("Linux has given the TPM up: its first commands failed")
        if result < 0:
            raise FirmwareError(-result, os.strerror(-result), "TPM command")
        log_size = refresh_event_log(mailbox, log_size)
        publisher.again()
        if idle_ms == _STARTING_MS and all(map(os.path.exists, links.values())):
            link(links)
            publisher.say(
                node=links[RAW_DEVICE],
                resource_manager=links[RESOURCE_MANAGER],
                event_log=EVENT_LOG if log_size > 0 else "",
            )
            idle_ms = _RUNNING_MS


def refresh_event_log(mailbox: Mailbox, old_size: int, path: str = EVENT_LOG) -> int:
    """Write the firmware's event log to path if its size is not old_size; its size.

    0, with a warning, where there is none to be had, or no room for it: the TPM is of use without.
    """
    try:
        if event_log_size(mailbox) == old_size:
            return old_size
        data = read_event_log(mailbox).data
        replace(path, data)
    except OSError as error:
        if old_size != 0:
            log.warning("event log: %s", describe(error))
        return 0
    return len(data)


def flush(mailbox: Mailbox) -> None:
    """Unload what users of a device that is gone left in the TPM; a warning if that fails."""
    try:
        handles = flush_leftovers(firmware(mailbox))
    except PykexecError as error:
        log.warning("TPM: %s", describe(error))
        return
    if handles:
        log.info("TPM: flushed %s", " ".join(f"{handle:#x}" for handle in sorted(handles)))


def link(links: dict[str, str]) -> None:
    """Have each of links, which are keys, lead to its node."""
    for path, node in links.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(f"{path}.new")
        os.symlink(node, f"{path}.new")
        os.replace(f"{path}.new", path)


def unlink(links: dict[str, str]) -> None:
    """Take the links away."""
    for path in links:
        with suppress(FileNotFoundError):
            os.unlink(path)
