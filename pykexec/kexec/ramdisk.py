# SPDX-License-Identifier: Apache-2.0
"""RAM disks: filled by Linux, served by the firmware to whatever it starts next."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pykexec import abi
from pykexec.abi import Op, sizeof
from pykexec.abi_devices import RamdiskFlag
from pykexec.efi.guid import named_guids
from pykexec.errors import FirmwareError, FormatError, UsageError
from pykexec.firmware import native
from pykexec.firmware.devices import CHUNK_SIZE
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import answer_error, pack, unpack
from pykexec.memory import format_size

TYPES = ("virtual-disk", "virtual-cd", "persistent-virtual-disk", "persistent-virtual-cd")
"""The types of UEFI 2.10, 10.3.5.9, as people write them."""
SHAPES = ("ram-disk", "block")
"""How the firmware shows a disk: as its own RAM disks (13.17), or in the shape of wimboot's, which
Windows' boot manager is known to read: fixed, read only, with a path that ends in a messaging node.
"""
DRIVER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data", "ramdisk.efi")

_BLOCK_SIZES = {"disk": 512, "cd": 2048}
_ZEROS = bytes(CHUNK_SIZE)


@dataclass(frozen=True, slots=True)
class Ramdisk:
    """A RAM disk of ours; handle is 0 as long as the firmware does not serve it."""

    number: int
    handle: int
    size: int
    type: str
    persist: bool
    shape: str
    removable: bool


@dataclass(frozen=True, slots=True)
class Image:
    """What a RAM disk is filled from: size bytes that pieces() gives in order, once.

    A piece has at most CHUNK_SIZE bytes. One that is a memoryview is secret: it goes to the
    firmware without a copy of it staying anywhere in this process.
    """

    source: str
    size: int
    pieces: Callable[[], Iterator[bytes | memoryview]]


@contextmanager
def open_image(path: str) -> Iterator[Image]:
    """A regular file or block device of Linux or, as "-", standard input, as an image.

    FormatError names what cannot be read, or is empty.
    """
    source = "standard input" if path == "-" else path
    try:
        # Opening a pipe would wait for ever.
        fd = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise FormatError(f"{source}: {error.strerror}") from None
    try:
        mode = os.fstat(fd).st_mode
        if path == "-" and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)):
            pipe, fd = fd, _spooled(fd, source)
            os.close(pipe)
        elif not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            raise FormatError(f"{source}: neither a regular file nor a block device")
        size = os.lseek(fd, 0, os.SEEK_END)
        yield file_image(source, fd, size)
    finally:
        os.close(fd)


def file_image(source: str, fd: int, size: int) -> Image:
    """The first size bytes of an open file."""
    return Image(source, size, lambda: _pieces(fd, size))


def volume_image(mailbox: Mailbox, path: str, volume: str | None = None) -> Image:
    """A file on a volume of the firmware, by default the one that our image came from."""
    from pykexec.firmware.devices import file_chunks, file_size
    from pykexec.kexec.request import boot_volume, named_volume

    handle = boot_volume(mailbox) if volume is None else named_volume(mailbox, volume)
    size = file_size(mailbox, handle.number, path)
    return Image(path, size, lambda: file_chunks(mailbox, handle.number, path, size))


def _pieces(fd: int, size: int) -> Iterator[bytes]:
    for offset in range(0, size, CHUNK_SIZE):
        yield os.pread(fd, min(CHUNK_SIZE, size - offset), offset)


def _spooled(pipe: int, source: str) -> int:
    """The pipe's bytes in a memory file: the firmware wants to know the size first."""
    from pykexec.kexec.request import MEMORY_RESERVE
    from pykexec.memory import available_memory

    limit = max(0, available_memory() - MEMORY_RESERVE)
    fd = os.memfd_create("ramdisk", os.MFD_CLOEXEC)
    try:
        size = 0
        while chunk := os.read(pipe, CHUNK_SIZE):
            size += len(chunk)
            if size > limit:
                raise FormatError(f"{source}: more than the {limit} bytes that fit into memory")
            os.write(fd, chunk)
    except BaseException:
        os.close(fd)
        raise
    return fd


def padded_size(size: int, kind: str) -> int:
    """size in whole blocks of a disk or CD."""
    block = _BLOCK_SIZES[kind.rpartition("-")[2]]
    return -(-size // block) * block


def add(
    mailbox: Mailbox,
    image: Image,
    kind: str = "virtual-disk",
    *,
    persist: bool = False,
    shape: str = "ram-disk",
    removable: bool = False,
    driver: bool = True,
) -> Ramdisk:
    """Make a RAM disk with the bytes of image, padded with zeros to whole blocks.

    kind is one of TYPES, shape one of SHAPES; a block is a virtual disk, and removable if so
    wished. With persist its memory is reserved, so that an operating system which is started
    later finds it (NFIT); otherwise it is gone when that leaves boot services. Where the firmware
    has no EFI_RAM_DISK_PROTOCOL, our own driver is loaded; without driver that is a FirmwareError
    (EOPNOTSUPP). FirmwareError (ENOMEM) when the firmware has no memory for it; nothing is left
    behind then.
    """
    flags = _flags(kind, persist, shape, removable)
    if not image.size:
        raise FormatError(f"{image.source}: is empty")
    disk = _create(mailbox, image, kind, flags)
    try:
        _fill(mailbox, disk.number, image)
        return _register(mailbox, disk, driver)
    except BaseException:
        remove(mailbox, disk.number)
        raise


def _flags(kind: str, persist: bool, shape: str, removable: bool) -> RamdiskFlag:
    """What is asked of the stub; UsageError for what no disk is."""
    if kind not in TYPES:
        raise UsageError(f"RAM disk type {kind!r}: not one of {', '.join(TYPES)}")
    if shape not in SHAPES:
        raise UsageError(f"RAM disk shape {shape!r}: not one of {', '.join(SHAPES)}")
    if shape == "ram-disk":
        if removable:
            raise UsageError("a RAM disk of the firmware's shape is never removable")
        return RamdiskFlag.PERSIST if persist else RamdiskFlag(0)
    if persist or kind != "virtual-disk":
        raise UsageError("a disk of block shape is a virtual disk that does not persist")
    return RamdiskFlag.BLOCK | (RamdiskFlag.REMOVABLE if removable else RamdiskFlag(0))


def _create(mailbox: Mailbox, image: Image, kind: str, flags: RamdiskFlag) -> Ramdisk:
    size = padded_size(image.size, kind)
    body = abi.pack(
        "struct pk_ramdisk_request",
        size=size,
        type=named_guids()[kind.replace("-", "_")].data,
        flags=int(flags),
    )
    try:
        return _decode(mailbox.ask(Request(Op.RAMDISK_CREATE, image.source, body)), 0)
    except FirmwareError as error:
        if error.errno != errno.ENOMEM:
            raise
        disks = list_ramdisks(mailbox)
        fault = f"{format_size(size)} do not fit into the firmware's memory"
        fault += f" beside {len(disks)} RAM disks" if disks else ""
        raise FirmwareError(errno.ENOMEM, fault, image.source, error.status) from None


def _fill(mailbox: Mailbox, number: int, image: Image) -> None:
    offset = 0
    what = f"fill {_what(number)}"
    for piece in image.pieces():
        head = pack("pk_ramdisk_data", ramdisk=number, offset=offset)
        if isinstance(piece, memoryview):
            mailbox.ask_secret(Request(Op.RAMDISK_DATA, what, head), piece)
        elif piece != _ZEROS[: len(piece)]:  # As the firmware's memory is already.
            mailbox.ask(Request(Op.RAMDISK_DATA, what, head + piece))
        offset += len(piece)
    if offset != image.size:
        raise FormatError(f"{image.source}: ended at {offset} of {image.size} bytes")


def _register(mailbox: Mailbox, disk: Ramdisk, driver: bool) -> Ramdisk:
    body = pack("pk_ramdisk_number", ramdisk=disk.number)
    request = Request(Op.RAMDISK_REGISTER, f"register {_what(disk.number)}", body)
    try:
        return _served(mailbox, request)
    except FirmwareError as error:
        if error.errno != errno.EOPNOTSUPP or disk.shape != "ram-disk" or not driver:
            raise
    load_driver(mailbox)
    try:
        return _served(mailbox, request)
    except FirmwareError as error:
        if error.errno != errno.EOPNOTSUPP or not disk.persist:
            raise
        fault = "the firmware has no way to announce it to an operating system (NFIT)"
        raise FirmwareError(errno.EOPNOTSUPP, fault, request.what, error.status) from None


def _served(mailbox: Mailbox, request: Request) -> Ramdisk:
    """The disk that the firmware serves now; its handle is new."""
    disk = _decode(mailbox.ask(request), 0)
    native.rescan()
    return disk


def load_driver(mailbox: Mailbox, path: str = DRIVER) -> None:
    """Give the firmware our own EFI_RAM_DISK_PROTOCOL, unless it has one."""
    from pykexec.kexec.images import start_image

    try:
        start_image(mailbox, path, connect=False)
    except FirmwareError as error:
        if error.errno != errno.EALREADY:
            raise


def list_ramdisks(mailbox: Mailbox) -> list[Ramdisk]:
    """The RAM disks that were made through the mailbox, by this Linux or one before it."""
    body = mailbox.ask(Request(Op.RAMDISK_LIST, "RAM disks"))
    step = sizeof("struct pk_ramdisk_entry")
    if len(body) % step:
        raise answer_error("RAM disks", len(body) - len(body) % step, "entry is cut off")
    return [_decode(body, offset) for offset in range(0, len(body), step)]


def remove(mailbox: Mailbox, number: int) -> None:
    """Take a RAM disk away from the firmware; its memory is wiped and given back.

    FirmwareError (EACCES) while a driver of the firmware does not let go of it.
    """
    from pykexec.bridge import supervisor

    handle = next((disk.handle for disk in list_ramdisks(mailbox) if disk.number == number), 0)
    if handle:
        supervisor.release(handle)
        native.unbind(handle)
    body = pack("pk_ramdisk_number", ramdisk=number)
    try:
        mailbox.ask(Request(Op.RAMDISK_REMOVE, f"remove {_what(number)}", body))
    except FirmwareError:
        native.bind(handle)
        raise
    native.rescan()


def _what(number: int) -> str:
    return f"RAM disk {number}"


def _decode(body: bytes, offset: int) -> Ramdisk:
    raw = unpack("pk_ramdisk_entry", body, offset, "RAM disk")
    names = {guid.data: name for name, guid in named_guids().items()}
    name = names.get(raw.type, raw.type.hex()).replace("_", "-")
    flags = RamdiskFlag(raw.flags)
    return Ramdisk(
        raw.ramdisk,
        raw.handle,
        raw.size,
        name,
        persist=RamdiskFlag.PERSIST in flags,
        shape="block" if RamdiskFlag.BLOCK in flags else "ram-disk",
        removable=RamdiskFlag.REMOVABLE in flags,
    )
