# SPDX-License-Identifier: Apache-2.0
"""A port to the firmware's devices: by the window where Linux can map it, else by the mailbox."""

from __future__ import annotations

import errno
import logging
import mmap
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.abi import Op
from pykexec.abi_devices import WindowConstant, WindowUse
from pykexec.efi.efivarfs import EFIVARFS, StrPath, make_mutable
from pykexec.efi.guid import named_guids
from pykexec.errors import FirmwareError, NotResidentError
from pykexec.firmware.handoff import read_handoff
from pykexec.firmware.mailbox import MAILBOX_NAME, Mailbox, Request
from pykexec.firmware.wire import pack
from pykexec.linux.iomem import is_system_ram, read_iomem
from pykexec.log import describe

if TYPE_CHECKING:
    from pykexec._native import CData

log = logging.getLogger(__name__)

IS_MEMORY = (
    "this kernel uses it as ordinary memory (it has no CONFIG_EFI_SOFT_RESERVE): data goes by the "
    "mailbox, slowly"
)
"""The window's fault."""
BELL_NAME = bytes(ffi.string(lib.PK_BELL_NAME)).decode()
_DAX_DEVICES = "/sys/bus/dax/devices"
_TRIES = 40
_DEVICE_DAX = "/sys/bus/dax/drivers/device_dax/new_id"


@dataclass(slots=True)
class Port:
    """An open port; data_size bytes at data are shared with the firmware."""

    pointer: CData
    data_size: int

    @property
    def data(self) -> CData:
        """The data area, u8 *."""
        return lib.pk_port_data(self.pointer)

    @property
    def is_window(self) -> bool:
        """False: all goes by the mailbox, an order of magnitude slower."""
        return bool(lib.pk_port_is_window(self.pointer))

    def close(self) -> None:
        """Give channel and data area back; the object is of no use afterwards."""
        lib.pk_port_close(self.pointer)

    def __enter__(self) -> Port:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_port(data_size: int, by_mailbox: bool = False) -> Port:
    """A port with data_size bytes of data area, whole pages.

    FirmwareError (EBUSY) when others have taken the whole window.
    """
    dax = None if by_mailbox else find_window()
    mailbox, bell = variable_path(MAILBOX_NAME), variable_path(BELL_NAME)
    make_mutable(bell if dax else mailbox)
    pointer = ffi.new("struct pk_port **")
    window = ffi.NULL if dax is None else dax.encode()
    result = _once_bound(
        lambda: lib.pk_port_open(window, bell.encode(), mailbox.encode(), data_size, pointer)
    )
    if result == -errno.EBUSY:
        fault = f"other bridges have taken too much for {data_size >> 10} KiB more"
        raise FirmwareError(errno.EBUSY, fault, "window")
    if result:
        raise FirmwareError(-result, os.strerror(-result), dax or mailbox)
    return Port(pointer[0], data_size)


def variable_path(name: str, root: StrPath = EFIVARFS) -> str:
    """The efivarfs file of one of our variables."""
    return os.path.join(root, f"{name}-{named_guids()['pykexec_mailbox']}")


@cache
def find_window() -> str | None:
    """The window's device ("/dev/dax0.0"), which the stub serves from now on.

    None where there is no window, no driver for it, or where it is not set aside, which is said.
    """
    with Mailbox() as mailbox:
        window = read_handoff(mailbox).window
        if window.start == window.end:
            return None
        if is_system_ram(window.start, read_iomem()):
            _tell(mailbox, WindowUse.IS_MEMORY)
            log.warning("window: %s", IS_MEMORY)
            return None
        node = _node_at(window.start)
        if node is None:
            return None
        try:
            _tell(mailbox, WindowUse.SET_ASIDE, _read_cookie(node))
        except (FirmwareError, OSError) as error:
            log.warning("window: %s: data goes by the mailbox, slowly", describe(error))
            return None
    return node


def settle(iomem: str) -> str:
    """Tell the stub for good if this kernel does not set the window aside; so in words, else "".

    PID 1 does it, before anybody else can say otherwise: what the stub writes into the window
    would be written into the kernel's own memory. FirmwareError if the stub does not hear it.
    """
    try:
        with Mailbox() as mailbox:
            window = read_handoff(mailbox).window
            if window.start == window.end or not is_system_ram(window.start, iomem):
                return ""
            _tell(mailbox, WindowUse.IS_MEMORY)
    except NotResidentError:
        return ""
    return f"window: {IS_MEMORY}"


def _tell(mailbox: Mailbox, use: WindowUse, cookie: int = 0) -> None:
    mailbox.ask(Request(Op.WINDOW, "window", pack("pk_window_request", cookie=cookie, use=use)))


def _read_cookie(node: str) -> int:
    """By the very mapping that data go through: who reads it there has the stub's page."""
    offset = ffi.offsetof("struct pk_window", "cookie")
    fd = _once_bound(lambda: _open(node))
    if fd < 0:
        raise FirmwareError(-fd, os.strerror(-fd), node)
    try:
        with mmap.mmap(fd, WindowConstant.ALIGNMENT) as header:
            return int.from_bytes(header[offset : offset + 8], "little")
    finally:
        os.close(fd)


def _open(node: str) -> int:
    """A descriptor, or -errno."""
    try:
        return os.open(node, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return -(error.errno or errno.EIO)


def _once_bound(attempt: Callable[[], int]) -> int:
    """What attempt comes to, -errno if nothing: at -ENXIO another process is binding the driver."""
    for _ in range(_TRIES):
        result = attempt()
        if result != -errno.ENXIO:
            break
        time.sleep(0.05)
    return result


def _node_at(address: int) -> str | None:
    from pykexec.linux.modules import load

    for module in ("device_dax", "dax_hmem"):
        load(module)
    name = _device_at(address)
    if name is None:
        return None
    if not os.path.exists(f"{_DAX_DEVICES}/{name}/driver"):
        _bind(name)
    node = f"/dev/{name}"
    return node if os.path.exists(node) else None


def _device_at(address: int) -> str | None:
    """By address, since numbers depend on what other soft-reserved memory the machine has."""
    try:
        names = sorted(os.listdir(_DAX_DEVICES))
    except FileNotFoundError:
        return None
    for name in names:
        with open(f"{_DAX_DEVICES}/{name}/resource", encoding="ascii") as file:
            if int(file.read(), 16) == address:
                return name
    return None


def _bind(name: str) -> None:
    """Linux 6.12 keeps such memory for its kmem driver, which would make it system RAM."""
    try:
        with open(_DEVICE_DAX, "w", encoding="ascii") as file:
            file.write(name)
    except OSError:
        pass  # It exists, or it will not: the node tells.
