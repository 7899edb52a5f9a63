# SPDX-License-Identifier: Apache-2.0
"""What a kernel was built without that an image of ours cannot do without, or does worse without.

Distributions put the configuration beside the kernel (/boot/config-VERSION) or among its modules;
some kernels carry it themselves (CONFIG_IKCONFIG: Linux, scripts/extract-ikconfig). Who has
neither is judged by the modules alone, which may also lie in packages that are not installed.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from pykexec.image import bzimage, files

_SETTING = re.compile(rb"^CONFIG_(\w+)=([ym])$", re.MULTILINE)
_BEGIN, _END = b"IKCFG_ST", b"IKCFG_ED"
# struct setup_header, protocol 2.08 (Documentation/arch/x86/boot.rst).
_SETUP_SECTS, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH, _SECTOR = 0x1F1, 0x248, 0x24C, 512
_UNPACKED_MAX = 512 << 20


@dataclass(frozen=True, slots=True)
class Need:
    """One of options is wanted, as y or m, and in the image one of the modules that they make, if
    they do; without it there is this consequence.
    """

    options: tuple[str, ...]
    consequence: str
    modules: tuple[str, ...] = ()


_WINDOW = "bridges go by the mailbox, slowly: there is no window"
NEEDS = (
    Need(("EFIVAR_FS",), "there is no mailbox: nothing can be asked of the firmware"),
    Need(("KEXEC_FILE",), "no payload can be started by kexec: exec goes by the mailbox alone"),
    Need(("EFI_SOFT_RESERVE",), _WINDOW),
    Need(("DEV_DAX",), _WINDOW, ("device_dax",)),
    Need(("DEV_DAX_HMEM",), _WINDOW, ("dax_hmem",)),
    Need(
        ("BLK_DEV_UBLK", "BLK_DEV_NBD"),
        "the firmware's disks cannot be bridged",
        ("ublk_drv", "nbd"),
    ),
    Need(("TUN",), "the firmware's NICs cannot be bridged", ("tun",)),
    Need(("TCG_VTPM_PROXY",), "the firmware's TPM cannot be bridged", ("tpm_vtpm_proxy",)),
    Need(
        ("SECURITY_LOCKDOWN_LSM",),
        "under Secure Boot the image gives the machine back at once, since nothing keeps root from "
        "the firmware's memory",
    ),
)
_OLDEST_TRIED = (5, 10)


def read(kernel: Path, data: bytes, version: str, modules: Path) -> frozenset[str] | None:
    """The options that are y or m in the kernel of that file and version; None: nobody says."""
    candidates = (
        kernel.parent / f"config-{version}",
        modules / "config",
        modules / "build" / ".config",
    )
    for path in candidates:
        if path.is_file():
            return _options(files.read(path))
    carried = _carried(data)
    return None if carried is None else _options(carried)


def lacks(options: frozenset[str] | None, modules: Collection[str] | None) -> Iterator[str]:
    """A line for each need that is not met: by the configuration, by the modules that the image
    has or the kernel has built in (each None where that is not known).
    """
    for need in NEEDS:
        if options is not None and options.isdisjoint(need.options):
            names = " and ".join(f"CONFIG_{option}" for option in need.options)
            yield f"built without {names}: {need.consequence}"
        elif modules is not None and need.modules and not set(need.modules) & set(modules):
            yield f"without module {' and '.join(need.modules)}: {need.consequence}"


def is_older_than_tried(version: str) -> bool:
    """Is it older than the oldest Linux that anything is known of?"""
    match = re.match(r"(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) < _OLDEST_TRIED


def _options(text: bytes) -> frozenset[str]:
    return frozenset(match[1].decode() for match in _SETTING.finditer(text))


def _carried(data: bytes) -> bytes | None:
    """The configuration in the kernel itself, if it has one."""
    if not bzimage.is_bzimage(data):
        return None
    unpacked = _unpack(_payload(data))
    begin = unpacked.find(_BEGIN)
    end = unpacked.find(_END, begin)
    if begin < 0 or end < 0:
        return None
    try:
        return gzip.decompress(unpacked[begin + len(_BEGIN) : end])
    except (OSError, EOFError, zlib.error):
        return None


def _payload(data: bytes) -> bytes:
    start = (data[_SETUP_SECTS] + 1) * _SECTOR
    offset = int.from_bytes(data[_PAYLOAD_OFFSET : _PAYLOAD_OFFSET + 4], "little")
    length = int.from_bytes(data[_PAYLOAD_LENGTH : _PAYLOAD_LENGTH + 4], "little")
    return data[start + offset : start + offset + length]


def _unpack(payload: bytes) -> bytes:
    """b"" for what nobody here unpacks. Behind the packed kernel lies its size."""
    try:
        if payload[:2] == b"\x1f\x8b":
            return zlib.decompressobj(wbits=31).decompress(payload, _UNPACKED_MAX)
        if payload[:6] == b"\xfd7zXZ\0" or payload[:3] == b"\x5d\0\0":
            return lzma.LZMADecompressor().decompress(payload, _UNPACKED_MAX)
        if payload[:4] == b"\x28\xb5\x2f\xfd":
            with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(payload)) as reader:
                return reader.read(_UNPACKED_MAX)
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError):
        pass
    return b""
