# SPDX-License-Identifier: Apache-2.0
"""WinPE and installers without Windows' boot server: boot manager, BCD and wim on a disk in memory.

The places are those of Microsoft's installation media, where wimboot has its files as well.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pykexec.abi import MemoryType
from pykexec.config.agent import NetworkConfig
from pykexec.config.wim import WimConfig, WimPart
from pykexec.disk import boot_disk
from pykexec.disk.fat32 import FILE_SIZE_MAX, Layout
from pykexec.efi.pe import check_application
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.devices import CHUNK_SIZE, connect_all
from pykexec.firmware.handles import list_handles
from pykexec.firmware.info import read_memory_map
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.ramdisk import Image, Ramdisk, add, remove
from pykexec.kexec.sources import Source
from pykexec.memory import MemoryMap, format_size
from pykexec.windows import bcd
from pykexec.windows.wim import WimCheck

STARTED = r"\EFI\BOOT\BOOTX64.EFI"
BOOT_MANAGER_PATHS = (STARTED, r"\EFI\Microsoft\Boot\bootmgfw.efi")
BCD_PATHS = (bcd.PATH, r"\Boot\BCD")
STL_PATHS = (r"\EFI\Microsoft\Boot\boot.stl", r"\Boot\boot.stl", r"\sources\boot.stl")
SDI_PATH, WIM_PATH = r"\Boot\boot.sdi", r"\sources\boot.wim"
SMALL_MAX = 64 << 20
"""Bytes of a file that is not the wim: it is looked at in memory."""
LABEL = "WINPE"
_SDI_MAGIC = b"$SDI"
_NR_TOLD = 10


def small_files(
    source: Source, wim: WimConfig, manager: WimPart, report: Callable[[str], None]
) -> tuple[dict[str, bytes], str]:
    """What lies on the disk beside the wim, by path, and where the wim has to.

    FormatError names a file that is not what it should be; report is told what is doubtful.
    """
    name, application = _read(source, manager)
    check_application(application, name)
    bcd_name, configuration = _read(source, wim.bcd)
    default = bcd.parse_bcd(configuration, bcd_name).default
    if default.path.lower().endswith(".exe"):
        raise FormatError(f"{bcd_name}: starts {default.path}: it is that of a BIOS, not of UEFI")
    places = bcd.ramdisk_files(configuration, bcd_name)
    if not places.wim:
        report(f"{bcd_name}: its default entry, {default}, names no wim; {WIM_PATH} is taken")
    sdi_name, sdi = _read(source, wim.sdi)
    if not sdi.startswith(_SDI_MAGIC):
        raise FormatError(f"{sdi_name}: is no .sdi: it does not begin with $SDI")
    files = dict.fromkeys(BOOT_MANAGER_PATHS, application)
    files |= dict.fromkeys(BCD_PATHS, configuration)
    files |= {_from_root(places.sdi or SDI_PATH): sdi}
    if wim.stl:
        _, stl = _read(source, wim.stl)
        files |= dict.fromkeys(STL_PATHS, stl)
    return files, _from_root(places.wim or WIM_PATH)


def _read(source: Source, part: WimPart) -> tuple[str, bytes]:
    """A small file: its name for errors, its bytes."""
    with source.open(part.source, SMALL_MAX, part.sha256) as image:
        return image.source, b"".join(image.pieces())


def _from_root(path: str) -> str:
    return "\\" + path.lstrip("\\")


def disk_image(
    wim: Image, files: dict[str, bytes], wim_path: str, report: Callable[[str], None]
) -> Image:
    """The disk of the files and the wim, which is looked at while it goes by, and told of.

    Its pieces raise FormatError, which names the wim, where that is not whole.
    """
    sizes = {path: len(data) for path, data in files.items()} | {wim_path: wim.size}
    layout = boot_disk.plan({path.lstrip("\\"): size for path, size in sizes.items()}, LABEL)
    check = WimCheck(wim.source, wim.size)

    def contents(path: str) -> Iterable[bytes | memoryview]:
        path = _from_root(path)
        return _told(wim, check, report) if path == wim_path else iter([files[path]])

    return Image(wim.source, layout.size, lambda: _pieces(layout, contents))


def _told(
    wim: Image, check: WimCheck, report: Callable[[str], None]
) -> Iterator[bytes | memoryview]:
    done = told = 0
    for piece in wim.pieces():
        check.update(piece)
        yield piece
        done += len(piece)
        if (part := done * _NR_TOLD // wim.size) > told:
            told = part
            report(f"{wim.source}: {told * 100 // _NR_TOLD} % of {format_size(wim.size)}")
    check.finish()


def _pieces(
    layout: Layout, contents: Callable[[str], Iterable[bytes | memoryview]]
) -> Iterator[bytes]:
    """All of a disk, in pieces that a RAM disk takes."""
    kept = bytearray()
    for data in _bytes(layout, contents):
        kept += data
        while len(kept) >= CHUNK_SIZE:
            yield bytes(memoryview(kept)[:CHUNK_SIZE])
            del kept[:CHUNK_SIZE]
    if kept:
        yield bytes(kept)


def _bytes(
    layout: Layout, contents: Callable[[str], Iterable[bytes | memoryview]]
) -> Iterator[bytes | memoryview]:
    yield layout.metadata
    offset = len(layout.metadata)
    for place in layout.files:
        yield from _zeros(place.offset - offset)
        size = 0
        for data in contents(place.path):
            size += len(data)
            yield data
        if size != place.size:
            raise FormatError(f"{place.path}: {size} bytes came of {place.size}")
        offset = place.offset + size
    yield from _zeros(layout.size - offset)


def _zeros(size: int) -> Iterator[bytes]:
    for start in range(0, size, CHUNK_SIZE):
        yield bytes(min(CHUNK_SIZE, size - start))


@contextmanager
def installer_disk(
    mailbox: Mailbox,
    path: str,
    wim: WimConfig,
    *,
    volume: str | None = None,
    sha256: str = "",
    network: NetworkConfig | None = None,
    report: Callable[[str], None],
) -> Iterator[tuple[str, str | None]]:
    """Put the boot manager at path and the files of wim on a disk of the firmware; path and volume
    to start it from there.

    path, volume, sha256 and network are those of kexec.execute.exec_payload(). The disk is gone
    again where the body fails. FormatError, NetworkError or FirmwareError name the file, the latter
    ENOMEM where the firmware has no room, before anything large is fetched.
    """
    source = Source(mailbox, path, volume, network or NetworkConfig())
    manager = WimPart(path, sha256)
    files, wim_path = small_files(source, wim, manager, report)
    with source.open(wim.wim.source, FILE_SIZE_MAX, wim.wim.sha256) as image:
        disk = disk_image(image, files, wim_path, report)
        _check_room(mailbox, disk)
        added = add(mailbox, disk, shape="block")
    try:
        yield STARTED, _volume_of(mailbox, added)
    except BaseException:
        remove(mailbox, added.number)
        raise


def _check_room(mailbox: Mailbox, disk: Image) -> None:
    """FirmwareError (ENOMEM), in numbers, where the firmware cannot have room for it."""
    free = largest_free(read_memory_map(mailbox))
    if disk.size > free:
        fault = f"{format_size(disk.size)} of the firmware's memory are needed in one piece, "
        fault += f"and the largest that is free has {format_size(free)}"
        raise FirmwareError(errno.ENOMEM, fault, disk.source)


def largest_free(memory_map: MemoryMap) -> int:
    """Bytes of the largest piece of memory that is nobody's; what touches is one piece."""
    largest = end = size = 0
    for descriptor in memory_map:
        if descriptor.type != MemoryType.CONVENTIONAL_MEMORY:
            continue
        size = descriptor.range.size + (size if descriptor.range.start == end else 0)
        end = descriptor.range.end
        largest = max(largest, size)
    return largest


def _volume_of(mailbox: Mailbox, disk: Ramdisk) -> str:
    """The device path of the only volume on disk, as text."""
    for connected in (False, True):
        if connected:
            connect_all(mailbox)
        handles = list_handles(mailbox)
        paths = [handle.path for handle in handles if handle.number == disk.handle and handle.path]
        nodes = paths[0].nodes if paths else ()
        for handle in handles:
            if not handle.has("simple_file_system") or not handle.path or not nodes:
                continue
            if handle.path.nodes[: len(nodes)] == nodes:
                return str(handle.path)
    fault = "the firmware finds no volume on it"
    raise FirmwareError(errno.ENODEV, fault, f"RAM disk {disk.number}")
