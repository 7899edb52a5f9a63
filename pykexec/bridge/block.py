# SPDX-License-Identifier: Apache-2.0
"""Bridges of kind block: every disk of the firmware is a block device of Linux."""

from __future__ import annotations

import errno
import hashlib
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.bridge import Bridge, state
from pykexec.errors import FirmwareError, PykexecError
from pykexec.firmware.devices import (
    BlockInfo,
    block_info_request,
    decode_block_info,
    read_block_info,
)
from pykexec.firmware.handles import Handle, list_handles
from pykexec.firmware.handoff import read_handoff
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.status import SUCCESS
from pykexec.linux.uevents import next_concerns, open_uevents

if TYPE_CHECKING:
    from pykexec._native import CData
    from pykexec.bridge.disk_device import DiskDevice
    from pykexec.bridge.links import Links
    from pykexec.bridge.window import Port

POLL_S = 2.0
"""How often a medium that can be taken out is looked at, and errors are looked into."""
DATA_SIZES = (4 << 20, 2 << 20, 1 << 20, 512 << 10)
"""Of the window, for one disk: the largest by which all that there are leave a quarter free."""
_BLOCK_SIZE_MIN, _BLOCK_SIZE_MAX = 512, 4096  # that Linux' block layer can do everywhere
USB = (3, 5)  # (type, subtype) of a device path node
# A bad block is found out sooner; EDK II tries for 20 s and more to revive what is not there.
_UNPLUGGED_US = 12_000_000

# By handle number, which is never given to another handle: a partition stays one.
_is_logical: dict[int, bool] = {}


def discover(mailbox: Mailbox) -> list[Bridge]:
    """A bridge for each block device that is not a partition of another one, medium or not."""
    handles = list_handles(mailbox, "block_io")
    unknown = [handle.number for handle in handles if handle.number not in _is_logical]
    if unknown:
        replies = mailbox.call([block_info_request(number) for number in unknown])
        for number, reply in zip(unknown, replies, strict=True):
            if reply.status == SUCCESS:
                _is_logical[number] = decode_block_info(reply.body).logical_partition
    names: set[str] = set()
    bridges = []
    for handle in handles:
        if not _is_logical.get(handle.number, True):
            name = disk_name(handle)
            if name in names:
                name = f"{name}-{handle.number}"
            names.add(name)
            bridges.append(Bridge("block", handle.number, name))
    return bridges


def disk_name(handle: Handle) -> str:
    """The same at each boot while the disk stays where it is plugged in."""
    identity = bytes(handle.path) if handle.path else str(handle.number).encode()
    return f"disk-{hashlib.sha256(identity).hexdigest()[:8]}"


def linux_block_size(block_size: int) -> int:
    """What Linux reads and writes in, for a medium with blocks of so many bytes."""
    if block_size < _BLOCK_SIZE_MIN or block_size & (block_size - 1):
        return _BLOCK_SIZE_MIN
    return min(block_size, _BLOCK_SIZE_MAX)


def serve(bridge: Bridge, stop_fd: int) -> None:
    """Be the disk until stop_fd is readable, the disk is gone or its medium is another one.

    Requests that cannot be served any more fail. Only a killed process leaves them waiting, for
    the next one to take them over, or for release().
    """
    try:
        with Mailbox() as mailbox:
            info = _wait_for_medium(mailbox, bridge, stop_fd)
            if info is None:
                release(bridge)
                return
            with _open_port(mailbox) as port:
                answers = _serve_medium(mailbox, bridge, info, port, stop_fd)
            if not answers:
                _wait_for_end(mailbox, bridge, stop_fd)
    except BaseException:
        release(bridge)
        raise


def release(bridge: Bridge) -> None:
    """Take away what a bridge that does not come back has left of its device."""
    from pykexec.bridge import disk_device

    disk_device.release(bridge.name)


def _wait_for_medium(mailbox: Mailbox, bridge: Bridge, stop_fd: int) -> BlockInfo | None:
    """None when the bridge is to end, or its device is gone."""
    while True:
        info = _look(mailbox, bridge.handle)
        if info is None or (info.present and info.size and info.block_size):
            return info
        release(bridge)
        state.publish(bridge, node="", medium="none")
        if select.select([stop_fd], [], [], POLL_S)[0]:
            return None


def _wait_for_end(mailbox: Mailbox, bridge: Bridge, stop_fd: int) -> None:
    """A device that no longer answers is left alone until the firmware itself drops its handle.

    EDK II does not see that a USB stick was pulled out once it has tried to reset it, and whatever
    asks it for a block holds Linux up for half a minute.
    """
    state.publish(bridge, node="", medium="failed")
    while not select.select([stop_fd], [], [], POLL_S)[0]:
        if not any(h.number == bridge.handle for h in list_handles(mailbox, "block_io")):
            return


def _look(mailbox: Mailbox, handle: int) -> BlockInfo | None:
    """What is there; None when nothing is."""
    try:
        return read_block_info(mailbox, handle)
    except FirmwareError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def data_sizes(window_size: int, nr_disks: int) -> list[int]:
    """What to ask of the window for one of so many disks, best first; others may be quicker.

    What is left is for network and TPM, and for disks that come later.
    """
    room = window_size // 4 * 3
    return [size for size in DATA_SIZES if size * nr_disks <= room] or [DATA_SIZES[-1]]


def _open_port(mailbox: Mailbox) -> Port:
    from pykexec.bridge.window import find_window, open_port

    sizes: list[int] = []
    if find_window():
        window = read_handoff(mailbox).window
        sizes = data_sizes(window.end - window.start, len(discover(mailbox)))
    for size in sizes:
        try:
            return open_port(size)
        except FirmwareError as error:
            if error.errno != errno.EBUSY:
                raise
    return open_port(1 << 20, by_mailbox=True)


def _serve_medium(
    mailbox: Mailbox, bridge: Bridge, info: BlockInfo, port: Port, stop_fd: int
) -> bool:
    """Does the device still answer at the end?"""
    from pykexec.bridge.disk_device import open_device

    block_size = linux_block_size(info.block_size)
    disk = ffi.new(
        "struct pk_disk *",
        {
            "port": port.pointer,
            "size": info.size // block_size * block_size,
            "data_size": port.data_size,
            "handle": bridge.handle,
            "media_id": info.media_id,
            "block_size": info.block_size,
            "linux_block_size": block_size,
            "read_only": info.read_only,
        },
    )
    device = open_device(disk, bridge.name)
    watcher = _Watcher(mailbox, bridge, info, disk, device, port.is_window, stop_fd)
    watcher.start()
    try:
        device.run()
        watcher.join()
    finally:
        device.remove()
    if watcher.fault:
        raise watcher.fault
    return watcher.answers


class _Watcher(threading.Thread):
    """Beside the thread that serves: starts the device, minds links and medium, stops it."""

    def __init__(
        self,
        mailbox: Mailbox,
        bridge: Bridge,
        info: BlockInfo,
        disk: CData,
        device: DiskDevice,
        is_window: bool,
        stop_fd: int,
    ) -> None:
        super().__init__(daemon=True)
        self._mailbox, self._bridge, self._info = mailbox, bridge, info
        self._disk, self._device, self._is_window = disk, device, is_window
        self._stop_fd = stop_fd
        self._is_usb = False
        self._publisher = state.Publisher(bridge)
        self.answers = True
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Whatever happens, the device is stopped at the end: the other thread waits for it."""
        try:
            with open_uevents() as uevents:
                self._device.start()
                links = self._links()
                try:
                    links.refresh()
                    self._publish(links)
                    self._watch(uevents, links)
                    self._sync()
                finally:
                    links.remove()
        except BaseException as error:
            self.fault = error
        finally:
            try:
                self._device.stop()
            except PykexecError as error:
                self.fault = self.fault or error

    def _links(self) -> Links:
        from pykexec.bridge.links import Links

        handles = list_handles(self._mailbox, "block_io")
        path = next((h.path for h in handles if h.number == self._bridge.handle), None)
        self._is_usb = any(node.kind == USB for node in (path.nodes if path else ()))
        return Links(self._bridge.name, self._device.node, path, self._info.block_size)

    def _publish(self, links: Links) -> None:
        self._publisher.say(
            node=f"/dev/{self._device.node}",
            medium="present",
            path=str(links.path or ""),
            size=self._disk.size,
            block_size=self._info.block_size,
            media_id=self._info.media_id,
            read_only=self._info.read_only,
            by="window" if self._is_window else "mailbox",
            links=sorted(f"/dev/{link}" for link in links.made),
        )

    def _watch(self, uevents: socket.socket, links: Links) -> None:
        """Until the bridge is to end, or there is another medium or none."""
        nr_errors = 0
        look_at = time.monotonic() + POLL_S
        while True:
            wait_s = max(look_at - time.monotonic(), 0)
            ready = select.select([self._stop_fd, uevents.fileno()], [], [], wait_s)[0]
            if self._stop_fd in ready:
                return
            if uevents.fileno() in ready and next_concerns(uevents, self._device.node):
                links.refresh()
                self._publish(links)
            if time.monotonic() < look_at:
                continue
            look_at = time.monotonic() + POLL_S
            self._publisher.again()
            failed = self._disk.nr_errors != nr_errors
            nr_errors = self._disk.nr_errors
            if self._disk.lost:
                return
            if (failed or self._info.removable) and self._is_another(failed):
                return

    def _is_another(self, failed: bool) -> bool:
        """Is the medium no longer the one that is being served? Then nothing more reaches it."""
        if failed and self._is_usb and self._disk.failed_us > _UNPLUGGED_US:
            self.answers = False
            self._disk.lost = lib.EFI_NOT_FOUND
            return True
        now = _look(self._mailbox, self._bridge.handle)
        if now == self._info and failed and self._is_usb:
            now = self._let_firmware_notice()
        if now == self._info:
            return False
        self._disk.lost = lib.EFI_NOT_FOUND if now is None else lib.EFI_MEDIA_CHANGED
        return True

    def _let_firmware_notice(self) -> BlockInfo | None:
        """What is there once its driver has had the time to see that it was unplugged."""
        from pykexec.firmware.notice import let_firmware_notice

        let_firmware_notice(self._mailbox)
        return _look(self._mailbox, self._bridge.handle)

    def _sync(self) -> None:
        """What programs wrote to the node itself is still in Linux' memory."""
        if self._disk.lost:
            return
        try:
            fd = os.open(f"/dev/{self._device.node}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.fsync(fd)
        except OSError as error:
            # Who wrote may be gone: then this is the only one who hears of it.
            fault = "not all that was written last has reached the disk"
            raise FirmwareError(error.errno or errno.EIO, fault, self._bridge.name) from None
        finally:
            os.close(fd)
