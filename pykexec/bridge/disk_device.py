# SPDX-License-Identifier: Apache-2.0
"""A disk's Linux side: a ublk device where the kernel has them, else an NBD; made or taken over."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from pykexec._native import ffi, lib
from pykexec.abi_devices import NbdEnd, UblkState
from pykexec.errors import FirmwareError
from pykexec.log import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykexec._native import CData

log = logging.getLogger(__name__)

UBLK_CONTROL = "/dev/ublk-control"
FAULTY_UBLK: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = (((6, 5), (6, 15)),)
"""Linux on which disks go by NBD, although slower: from, and before which version.

A server of ublk that is killed with requests under way may take these kernels with it:
docs/io-uring.md has what was seen, and which sources have the way there.
"""
UNUSABLE = (errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.ENOSYS)
"""What ublk answers where it is there and of no use: before Linux 6.5 it does not copy for us, and
io_uring may be left out or switched off (kernel.io_uring_disabled).
"""
_NBD_MODULE = "/sys/module/nbd"
_SOCKET_BUFFER = 4 << 20
_REQUEST_MAX = 1 << 20
# Linux notices the end of a process whose requests are all under way by their timeout, 30 s.
_TAKE_OVER_S = 45.0
_RETRY_S = 0.05


class DiskDevice(Protocol):
    """Once prepared, start() in one thread while run() is in another one; stop() ends run()."""

    node: str

    def prepare(self) -> None:
        """Make the device, or take over what a process of the same name has left."""

    def start(self) -> None:
        """The block device appears; needs run()."""

    def run(self) -> None:
        """Serve requests, in one thread, until the device is stopped."""

    def stop(self) -> None:
        """The block device goes; what was not written fails."""

    def remove(self) -> None:
        """After run(): nothing is left of it."""


def open_device(disk: CData, name: str) -> DiskDevice:
    """The kernel's best way to a block device that can be used, prepared; FirmwareError (ENODEV)
    when it has none.
    """
    device: DiskDevice
    if has_ublk() and not (has_faulty_ublk(os.uname().release) and _has_nbd()):
        device = UblkDevice(disk, name)
        try:
            device.prepare()
            return device
        except FirmwareError as error:
            if error.errno not in UNUSABLE or not _has_nbd():
                raise
            log.warning("%s: the disk goes by NBD", describe(error))
    device = NbdDevice(disk, name)
    device.prepare()
    return device


def has_ublk() -> bool:
    """Does the kernel have ublk? Loads the module."""
    from pykexec.linux.modules import load

    if not os.path.exists(UBLK_CONTROL):
        load("ublk_drv")
    return os.path.exists(UBLK_CONTROL)


def has_faulty_ublk(release: str) -> bool:
    """Is it a kernel that may oops when a ublk server is killed?"""
    match = re.match(r"(\d+)\.(\d+)", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    return any(first <= version < fixed for first, fixed in FAULTY_UBLK)


def _has_nbd() -> bool:
    from pykexec.linux.modules import load

    load("nbd")
    return os.path.exists(_NBD_MODULE)


def release(name: str) -> None:
    """Take away what a bridge that does not come back has left: its requests fail."""
    if os.path.exists(UBLK_CONTROL):
        for number, info in _ublk_devices():
            if info.tag == _tag(name):
                lib.pk_ublk_stop(number)
                lib.pk_ublk_delete(number)
    for number in _nbd_devices(name):
        lib.pk_nbd_disconnect(number)


def _check(result: int, what: str) -> None:
    if result:
        raise FirmwareError(-result, os.strerror(-result), what)


def _retry(step: Callable[[], int], code: int) -> int:
    """What step comes to once it is no longer -code, or time is up."""
    deadline = time.monotonic() + _TAKE_OVER_S
    while True:
        result = step()
        if result != -code or time.monotonic() > deadline:
            return result
        time.sleep(_RETRY_S)


def _let_others_ask() -> None:
    """Have this thread put nobody aside when it is woken: who asks, asks for all that he wants.

    A bell costs the same for one request as for many, and each change of processes costs.
    """
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _fits(node: str, disk: CData) -> bool:
    """Has the block device that was left the size and kind of the medium that is there now?"""
    try:
        root = f"/sys/class/block/{node}"
        size, read_only = _number(f"{root}/size"), _number(f"{root}/ro")
        block_size = _number(f"{root}/queue/logical_block_size")
    except (OSError, ValueError):
        return False
    wanted = disk.size // 512, disk.read_only, disk.linux_block_size
    return (size, read_only, block_size) == wanted


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


def _tag(name: str) -> int:
    """What tells a ublk device from others: the kernel keeps 64 bits for its server."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def _ublk_devices() -> list[tuple[int, CData]]:
    numbers = [
        int(m[1]) for entry in os.listdir("/dev") if (m := re.fullmatch(r"ublkc(\d+)", entry))
    ]
    found = []
    for number in sorted(numbers):
        info = ffi.new("struct pk_ublk_info *")
        if lib.pk_ublk_info(number, info) == 0:
            found.append((number, info))
    return found


def _recover(number: int) -> int:
    return _retry(lambda: lib.pk_ublk_recover(number), errno.EBUSY)


class UblkDevice:
    """/dev/ublkbN."""

    def __init__(self, disk: CData, name: str) -> None:
        self._disk, self._name = disk, name
        self._id = -1
        self._recovers = False
        self.node = ""

    def prepare(self) -> None:
        """Add a device, or wait until the kernel has seen its server's end and recover it."""
        for number, info in _ublk_devices():
            if info.tag != _tag(self._name):
                continue
            usable = info.state != UblkState.DEAD and _fits(f"ublkb{number}", self._disk)
            if usable and _recover(number) == 0:
                self._id, self._recovers = number, True
            else:
                lib.pk_ublk_stop(number)
                lib.pk_ublk_delete(number)
        if self._id < 0:
            added = ffi.new("u32 *")
            _check(lib.pk_ublk_add(self._disk, _tag(self._name), added), "ublk: new device")
            self._id = added[0]
        self.node = f"ublkb{self._id}"
        path = f"/dev/ublkc{self._id}"
        if _retry(lambda: 0 if os.path.exists(path) else -errno.EAGAIN, errno.EAGAIN):
            raise FirmwareError(errno.ENODEV, "does not appear", path)

    def start(self) -> None:
        """Comes back when partitions have been looked for."""
        _check(lib.pk_ublk_start(self._id, self._recovers), f"ublk: start of {self.node}")

    def run(self) -> None:
        """Comes back when the kernel has taken every request slot back."""
        _let_others_ask()
        _check(lib.pk_ublk_serve(self._disk, self._id), self.node)

    def stop(self) -> None:
        """Waits for what is under way."""
        _check(lib.pk_ublk_stop(self._id), f"ublk: stop of {self.node}")

    def remove(self) -> None:
        """Also after a failure: requests that wait fail now."""
        lib.pk_ublk_stop(self._id)
        lib.pk_ublk_delete(self._id)


def _nbd_devices(name: str) -> list[int]:
    """Those that were made for name and are still connected."""
    found = []
    for entry in os.listdir("/sys/block"):
        match = re.fullmatch(r"nbd(\d+)", entry)
        if not match or not os.path.exists(f"/sys/block/{entry}/pid"):
            continue
        with suppress(OSError), open(f"/sys/block/{entry}/backend", encoding="utf-8") as file:
            if file.read().strip("\0\n") == name:
                found.append(int(match[1]))
    return sorted(found)


class NbdDevice:
    """/dev/nbdN."""

    def __init__(self, disk: CData, name: str) -> None:
        self._disk, self._name = disk, name.encode()
        self._id = -1
        self._stopping = False
        self._socket: socket.socket | None = None
        self.node = ""

    def prepare(self) -> None:
        """Connect a new device, or give the one that is there a new socket."""
        from pykexec.linux.modules import load

        faults = load("nbd")
        for number in _nbd_devices(self._name.decode()):
            self._id, self.node = number, f"nbd{number}"
            if _fits(self.node, self._disk) and self._reconnect() == 0:
                return
            lib.pk_nbd_disconnect(number)
        made = ffi.new("u32 *")
        result = self._offer(lambda fd: lib.pk_nbd_connect(self._disk, self._name, fd, made))
        if result == -errno.ENOENT:  # There is no netlink family of that name.
            raise FirmwareError(
                errno.ENODEV, "the kernel has neither ublk nor NBD", "; ".join(faults)
            )
        _check(result, "nbd: new device")
        self._id, self.node = made[0], f"nbd{made[0]}"

    def _offer(self, step: Callable[[int], int]) -> int:
        """Make a pair of sockets and have step give one end to the kernel."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            # Whatever does not fit costs a change of processes.
            end.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_SNDBUFFORCE", 32), _SOCKET_BUFFER)
        result = step(theirs.fileno())
        theirs.close()
        if result:
            ours.close()
        else:
            self._socket = ours
        return result

    def _reconnect(self) -> int:
        def step(fd: int) -> int:
            return _retry(lambda: lib.pk_nbd_reconnect(self._id, self._name, fd), errno.ENOSPC)

        return self._offer(step)

    def start(self) -> None:
        """The kernel looks for partitions when somebody opens the device."""
        with open(f"/sys/block/{self.node}/queue/max_sectors_kb", "w", encoding="ascii") as file:
            file.write(str(min(lib.pk_disk_room(self._disk), _REQUEST_MAX) >> 10))
        os.close(os.open(f"/dev/{self.node}", os.O_RDONLY | os.O_CLOEXEC))

    def run(self) -> None:
        """Comes back when the device is disconnected; a socket that was given up is replaced."""
        _let_others_ask()
        while True:
            assert self._socket
            end = lib.pk_nbd_serve(self._disk, self._socket.fileno())
            self._socket.close()
            if end == NbdEnd.STOPPED or self._stopping:
                return
            if end != NbdEnd.DROPPED:
                _check(end, self.node)
            _check(self._reconnect(), f"nbd: new socket for {self.node}")

    def stop(self) -> None:
        """Disconnect; the kernel removes the device when its last user has closed it."""
        self._stopping = True
        lib.pk_nbd_disconnect(self._id)

    def remove(self) -> None:
        """Also after a failure: requests that wait fail now."""
        if not self._stopping:
            self.stop()
