# SPDX-License-Identifier: Apache-2.0
"""What is to be started: read and checked, nothing written yet."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.abi import Action, Limit
from pykexec.efi.device_path import DevicePath
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.errors import FirmwareError, FormatError, UsageError
from pykexec.firmware.devices import CHUNK_SIZE, connect_all, file_chunks
from pykexec.firmware.handles import Handle, find_volume, list_handles, volume_labels
from pykexec.firmware.handoff import read_handoff
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox
from pykexec.memory import available_memory

if TYPE_CHECKING:
    from pykexec.config.agent import NetworkConfig

MEMORY_RESERVE = 12 << 20  # Measured: with less left over, Linux starts to kill processes.


@dataclass(frozen=True, slots=True)
class Payload:
    """An EFI application in a memory file; source names it in errors."""

    source: str
    fd: int
    size: int

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each piece."""
        for offset in range(0, self.size, CHUNK_SIZE):
            yield offset, os.pread(self.fd, CHUNK_SIZE, offset)


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """A payload and how it is to be started; device_path None lets the stub name its memory."""

    payload: Payload
    device_path: DevicePath | None
    options: str
    failure_action: Action


def is_firmware_path(path: str) -> bool:
    """Is it a file on a volume of the firmware, rather than one of Linux?"""
    return path.startswith("\\")


def prepare(
    mailbox: Mailbox,
    path: str,
    *,
    volume: str | None = None,
    options: str = "",
    device_path: str | None = None,
    failure_action: Action = Action.AGENT,
    sha256: str = "",
    network: NetworkConfig | None = None,
    check: Callable[[bytes, str], object] | None = None,
    is_launch: bool = False,
) -> ExecRequest:
    """Read and check what `exec` is to start, as an EFI application unless check says otherwise.

    A path with a leading backslash is a file on volume, or on the image's own one; one with a
    scheme is the address of a file on a server, fetched as network says; any other is a file of
    Linux. sha256, in hex, is what the file must have. is_launch: it must be a unified xen.efi, and
    gets no options. FormatError, UsageError, FirmwareError or NetworkError name it.
    """
    if is_launch:
        from pykexec.efi.unified_xen import check_unified

        check = check_unified
        if options:
            # Xen appends them to its command line, and no register tells of them.
            raise UsageError(f"{path}: a launch is started without options, not {options!r}")
    given = _given_path(device_path)
    _check_sizes(options, given)
    limit = payload_limit(mailbox)
    if is_firmware_path(path):
        source = boot_volume(mailbox) if volume is None else named_volume(mailbox, volume)
        chunks = file_chunks(mailbox, source.number, path, limit)
        payload = load_payload(path, chunks, check)
        given = given or (source.path.append_file(path) if source.path else None)
    elif volume is not None:
        raise UsageError(f"{path}: a volume needs a path on it, such as \\EFI\\BOOT\\BOOTX64.EFI")
    elif is_remote_path(path):
        from pykexec.kexec.remote import pxe_path

        payload = _checked(path, *_fetch(mailbox, path, network, limit, sha256), check)
        given = given or pxe_path(mailbox)
    else:
        payload = load_payload(path, linux_chunks(path, limit), check)
    _check_digest(payload, sha256)
    _check_sizes(options, given)
    return ExecRequest(payload, given, options, failure_action)


def payload_limit(mailbox: Mailbox) -> int:
    """The most bytes that fit; beyond, the kernel would end us for want of memory.

    The kernel takes segments up to half of Linux' memory, the arena.
    """
    half = read_handoff(mailbox).arena.size // 2
    return min(int(Limit.PAYLOAD_MAX), half, payload_room(available_memory()))


def payload_room(available: int) -> int:
    """The largest payload for so many bytes of available memory.

    It exists three times while kexec loads it: our memory file, the kernel's copy, the
    pages that it is moved to.
    """
    return max(0, available - MEMORY_RESERVE) // 3


def load_payload(
    source: str, chunks: Iterable[bytes], check: Callable[[bytes, str], object] | None = None
) -> Payload:
    """Fill a memory file and check it, as an EFI application unless check says otherwise;
    FormatError names source.
    """
    fd = os.memfd_create("payload", os.MFD_CLOEXEC)
    try:
        size = sum(_write_all(fd, chunk) for chunk in chunks)
    except BaseException:
        os.close(fd)
        raise
    return _checked(source, fd, size, check)


def _write_all(fd: int, data: bytes) -> int:
    """Its size, once all of it is there: where memory is short only a part is taken at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return len(data)


def _checked(
    source: str, fd: int, size: int, check: Callable[[bytes, str], object] | None
) -> Payload:
    try:
        (check or _check_application)(os.pread(fd, size, 0), source)
    except BaseException:
        os.close(fd)
        raise
    return Payload(source, fd, size)


def is_remote_path(path: str) -> bool:
    """Is it the address of a file on a server?"""
    return "://" in path


def _fetch(
    mailbox: Mailbox, address: str, network: NetworkConfig | None, limit: int, sha256: str
) -> tuple[int, int]:
    from pykexec.config.agent import NetworkConfig
    from pykexec.kexec.remote import fetch_payload

    return fetch_payload(mailbox, address, network or NetworkConfig(), limit, sha256)


def _check_digest(payload: Payload, sha256: str) -> None:
    if not sha256:
        return
    import hashlib

    digest = hashlib.sha256()
    for _, chunk in payload.chunks():
        digest.update(chunk)
    if digest.hexdigest() != sha256.lower():
        os.close(payload.fd)
        fault = f"its SHA-256 is {digest.hexdigest()}, not {sha256.lower()}"
        raise FormatError(f"{payload.source}: {fault}")


def _check_application(data: bytes, source: str) -> None:
    # The stub's own check. What puts a fault into words takes long to import.
    if lib.pk_pe_parse(ffi.from_buffer(data), len(data), ffi.new("struct pk_pe *")):
        from pykexec.efi.pe import check_application

        check_application(data, source)


def boot_volume(mailbox: Mailbox) -> Handle:
    """The volume that the image was loaded from; FirmwareError (ENOENT) after a network boot."""
    number = read_info(mailbox).boot_volume
    for handle in list_handles(mailbox, "simple_file_system"):
        if number and handle.number == number:
            return handle
    raise FirmwareError(errno.ENOENT, "the image came from no volume; name one", "boot volume")


def named_volume(mailbox: Mailbox, name: str) -> Handle:
    """The volume that a GPT partition GUID, label or device path text means.

    A firmware in a hurry, after a network boot for one, has connected only what it booted from, and
    a stick may have been plugged in: a volume that is not there is looked for again with everything
    connected.
    """
    try:
        return _volume_now(mailbox, name)
    except UsageError:
        from pykexec.firmware.notice import look_at_ports

        connect_all(mailbox)
        look_at_ports(mailbox)
        return _volume_now(mailbox, name)


def _volume_now(mailbox: Mailbox, name: str) -> Handle:
    volumes = list_handles(mailbox, "simple_file_system")
    return find_volume(volumes, volume_labels(mailbox, volumes), name)


def _given_path(text: str | None) -> DevicePath | None:
    if text is None:
        return None
    from pykexec.efi.device_path import DevicePath

    try:
        return DevicePath.from_text(text)
    except FormatError as error:
        raise UsageError(f"--device-path {text}: {error}") from None


def _check_sizes(options: str, path: DevicePath | None) -> None:
    if options and (size := len(encode_ucs2(options))) > Limit.OPTIONS_MAX:
        raise UsageError(f"options: {size} bytes, at most {int(Limit.OPTIONS_MAX)} fit")
    if path and (size := len(bytes(path))) > Limit.DEVICE_PATH_MAX:
        raise UsageError(f"device path: {size} bytes, at most {int(Limit.DEVICE_PATH_MAX)} fit")


def linux_chunks(path: str, limit: int) -> Iterator[bytes]:
    """The bytes of a regular file of Linux; FormatError names it, also when it exceeds limit."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # Opening a pipe would wait for ever.
            raise FormatError(f"{path}: not a regular file")
        if status.st_size > limit:
            raise FormatError(f"{path}: {status.st_size} bytes, more than the {limit} that fit")
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK_SIZE):
                yield chunk
    except OSError as error:
        raise FormatError(f"{path}: {os.strerror(error.errno or errno.EIO)}") from None
