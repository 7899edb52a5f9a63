# SPDX-License-Identifier: Apache-2.0
"""Single devices of the firmware: blocks, network, files and console."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from pykexec.abi import BlockFlag, Limit, Op, text
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.errors import FirmwareError
from pykexec.firmware import native
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import answer_error, pack, struct_size, unpack

CHUNK_SIZE = 1 << 20  # what a message carries beside its headers
_EFI_FILE_DIRECTORY = 0x10


@dataclass(frozen=True, slots=True)
class VolumeInfo:
    """EFI_FILE_SYSTEM_INFO."""

    label: str
    size: int
    free_space: int
    block_size: int
    read_only: bool


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """EFI_BLOCK_IO_MEDIA."""

    present: bool
    logical_partition: bool
    read_only: bool
    removable: bool
    write_caching: bool
    nr_blocks: int
    block_size: int
    media_id: int
    io_align: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.nr_blocks * self.block_size


@dataclass(frozen=True, slots=True)
class NetInfo:
    """EFI_SIMPLE_NETWORK_MODE."""

    address: bytes
    state: int
    media_present: bool
    max_packet_size: int


def handle_request(op: int, what: str, handle: int) -> Request:
    """A request whose only argument is a handle."""
    return Request(op, what, pack("pk_handle_request", handle=handle))


def volume_info_request(handle: int) -> Request:
    """Asks for a VolumeInfo."""
    return handle_request(Op.VOLUME_INFO, f"volume {handle}", handle)


def decode_volume_info(body: bytes) -> VolumeInfo:
    """A pk_volume_info struct as a value."""
    raw = unpack("pk_volume_info", body, 0, "volume")
    return VolumeInfo(
        label=text(raw.label),
        size=raw.size,
        free_space=raw.free_space,
        block_size=raw.block_size,
        read_only=bool(raw.read_only),
    )


def read_volume_info(mailbox: Mailbox, handle: int) -> VolumeInfo:
    """Label and sizes of the file system on handle."""
    return decode_volume_info(mailbox.ask(volume_info_request(handle)))


def block_info_request(handle: int) -> Request:
    """Asks for a BlockInfo."""
    return handle_request(Op.BLOCK_INFO, f"block device {handle}", handle)


def decode_block_info(body: bytes) -> BlockInfo:
    """A pk_block_info struct as a value."""
    raw = unpack("pk_block_info", body, 0, "block device")
    present = bool(raw.flags & BlockFlag.PRESENT)
    return BlockInfo(
        present=present,
        logical_partition=bool(raw.flags & BlockFlag.LOGICAL),
        read_only=bool(raw.flags & BlockFlag.READ_ONLY),
        removable=bool(raw.flags & BlockFlag.REMOVABLE),
        write_caching=bool(raw.flags & BlockFlag.WRITE_CACHING),
        nr_blocks=raw.last_lba + 1 if present else 0,
        block_size=raw.block_size,
        media_id=raw.media_id,
        io_align=raw.io_align,
    )


def read_block_info(mailbox: Mailbox, handle: int) -> BlockInfo:
    """Geometry and medium of the block device on handle."""
    return decode_block_info(mailbox.ask(block_info_request(handle)))


def read_blocks(mailbox: Mailbox, handle: int, media_id: int, lba: int, size: int) -> bytes:
    """size bytes from lba on; a multiple of the block size, at most CHUNK_SIZE."""
    request = _read_request(handle, media_id, lba, size)
    data = mailbox.ask(request)
    if len(data) != size:
        raise answer_error(request.what, 0, f"{len(data)} bytes came")
    return data


def read_blocks_into(
    mailbox: Mailbox, handle: int, media_id: int, lba: int, out: memoryview
) -> None:
    """read_blocks() of what is secret: into out, a Secret's say, and nowhere else."""
    mailbox.ask_into(_read_request(handle, media_id, lba, len(out)), out)


def _read_request(handle: int, media_id: int, lba: int, size: int) -> Request:
    body = pack("pk_block_request", handle=handle, media_id=media_id, lba=lba, size=size)
    return Request(Op.BLOCK_READ, f"block device {handle}: {size} bytes at LBA {lba}", body)


def net_info_request(handle: int) -> Request:
    """Asks for a NetInfo."""
    return handle_request(Op.NET_INFO, f"network device {handle}", handle)


def decode_net_info(body: bytes) -> NetInfo:
    """A pk_net_info struct as a value."""
    raw = unpack("pk_net_info", body, 0, "network device")
    address = raw.address[: raw.address_size]
    return NetInfo(address, raw.state, bool(raw.media_present), raw.max_packet_size)


def read_net_info(mailbox: Mailbox, handle: int) -> NetInfo:
    """Address and state of the network device on handle."""
    return decode_net_info(mailbox.ask(net_info_request(handle)))


def connect_all(mailbox: Mailbox) -> None:
    """ConnectController on every handle: some devices appear only then."""
    mailbox.ask(Request(Op.CONNECT, "connect controllers"))
    native.rescan()


def file_chunks(mailbox: Mailbox, volume: int, path: str, limit: int) -> Iterator[bytes]:
    """The file's bytes in order, at most CHUNK_SIZE each.

    FirmwareError, which names path, for directories (EISDIR), for files larger
    than limit (EFBIG) and for files that change their size meanwhile (EIO).
    """
    name = _file_name(path)
    offset = 0
    while True:
        # A page tells how large the file is, before memory is asked for it.
        size = CHUNK_SIZE if offset else Limit.PAGE_SIZE
        head = pack("pk_file_request", handle=volume, path_size=len(name), offset=offset, size=size)
        answer = mailbox.ask(Request(Op.FILE_READ, path, head + name))
        reply = unpack("pk_file_reply", answer, 0, path)
        chunk = answer[struct_size("pk_file_reply") :]
        if reply.attributes & _EFI_FILE_DIRECTORY:
            raise FirmwareError(errno.EISDIR, "is a directory", path)
        if reply.file_size > limit:
            fault = f"{reply.file_size} bytes, more than the {limit} that fit"
            raise FirmwareError(errno.EFBIG, fault, path)
        if chunk:
            yield chunk
        offset += len(chunk)
        if offset == reply.file_size:
            return
        if not chunk or offset > reply.file_size:
            fault = f"ended at {offset} of {reply.file_size} bytes"
            raise FirmwareError(errno.EIO, fault, path)


def _file_name(path: str) -> bytes:
    name = encode_ucs2(path)
    if len(name) > Limit.PATH_MAX:
        raise FirmwareError(errno.ENAMETOOLONG, "path is too long", path)
    return name


def file_size(mailbox: Mailbox, volume: int, path: str) -> int:
    """Bytes of the file; FirmwareError, which names path, for a directory (EISDIR)."""
    name = _file_name(path)
    head = pack("pk_file_request", handle=volume, path_size=len(name))
    reply = unpack("pk_file_reply", mailbox.ask(Request(Op.FILE_READ, path, head + name)), 0, path)
    if reply.attributes & _EFI_FILE_DIRECTORY:
        raise FirmwareError(errno.EISDIR, "is a directory", path)
    size: int = reply.file_size
    return size


def read_file(mailbox: Mailbox, volume: int, path: str, limit: int) -> bytes:
    """A whole file of at most limit bytes."""
    return b"".join(file_chunks(mailbox, volume, path, limit))
