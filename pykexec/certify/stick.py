# SPDX-License-Identifier: Apache-2.0
"""Files of the stick that Linux writes: in place, block by block, by the firmware's Block I/O.

Their clusters are there from the beginning, so that nothing but their own bytes ever changes: a
machine that hangs leaves a volume that is whole.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pykexec.abi import Op
from pykexec.certify.journal import FILL
from pykexec.disk.fat_reader import FatVolume
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.devices import CHUNK_SIZE, BlockInfo, read_block_info, read_blocks
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import check_status
from pykexec.firmware.wire import pack, unpack

_WHAT = "stick"


class Blocks:
    """A block device of the firmware as bytes; handle is its number.

    find tells its number anew: once a payload was about to be started, what was written to is
    connected anew, and the number stands for nothing any more.
    """

    def __init__(
        self, mailbox: Mailbox, handle: int, find: Callable[[], int] | None = None
    ) -> None:
        self._mailbox, self._handle, self._find = mailbox, handle, find
        self.info: BlockInfo = read_block_info(mailbox, handle)
        if not self.info.present or not self.info.block_size:
            raise FirmwareError(errno.ENOMEDIUM, "has no medium", _WHAT)

    def read(self, offset: int, size: int) -> bytes:
        """As many of these bytes as there are."""
        block = self.info.block_size
        first, last = offset // block, -(-min(offset + size, self.info.size) // block)
        data, step = b"", CHUNK_SIZE // block
        for lba in range(first, last, step):
            count = min(step, last - lba) * block
            data += read_blocks(self._mailbox, self._handle, self.info.media_id, lba, count)
        return data[offset - first * block :][:size]

    def write(self, offset: int, data: bytes) -> None:
        """Whole blocks, on the medium when this comes back."""
        try:
            self._write(offset, data)
        except FirmwareError:
            if not self._has_moved():
                raise
            self._write(offset, data)

    def _has_moved(self) -> bool:
        number = self._find() if self._find else 0
        if number in (0, self._handle):
            return False
        self._handle = number
        self.info = read_block_info(self._mailbox, number)
        return True

    def _write(self, offset: int, data: bytes) -> None:
        block, at = self.info.block_size, 0
        while at < len(data):
            piece = data[at : at + CHUNK_SIZE // 2]
            self._ask(Op.BLOCK_WRITE, piece, (offset + at) // block)
            at += len(piece)
        self._ask(Op.BLOCK_FLUSH, b"", 0)

    def _ask(self, op: Op, data: bytes, lba: int) -> None:
        what = f"{_WHAT}: {'write' if data else 'flush'}"
        media = self.info.media_id
        head = pack(
            "pk_descriptor", op=op, handle=self._handle, size=len(data), lba=lba, media_id=media
        )
        answer = self._mailbox.ask(Request(Op.TRANSFER, what, head + data))
        check_status(unpack("pk_descriptor", answer, 0, what).status, what)


@dataclass(slots=True)
class FileArea:
    """A file's clusters: what of them is on the medium is known, so that each write is whole
    blocks.
    """

    size: int
    _write: Callable[[int, bytes], None]
    _block_size: int
    _pieces: Sequence[tuple[int, int]]
    _data: bytearray

    def read(self) -> bytes:
        """All bytes."""
        return bytes(self._data)

    def write(self, offset: int, data: bytes) -> None:
        """Have data at offset; FirmwareError where the medium does not take it."""
        if offset + len(data) > self.size:
            raise FirmwareError(errno.ENOSPC, f"{self.size} bytes are all there are", _WHAT)
        self._data[offset : offset + len(data)] = data
        at = 0
        for start, size in self._pieces:
            low, high = max(offset, at), min(offset + len(data), at + size)
            if low < high:
                # A piece is whole clusters, and these whole blocks.
                block = self._block_size
                first = at + (low - at) // block * block
                last = min(at + -(-(high - at) // block) * block, at + size)
                self._write(start + first - at, bytes(self._data[first:last]))
            at += size

    def fill(self, data: bytes) -> None:
        """Have data and newlines behind it; FirmwareError (ENOSPC) where they do not fit."""
        if len(data) > self.size:
            raise FirmwareError(errno.ENOSPC, f"{len(data)} bytes do not fit", _WHAT)
        self.write(0, data.ljust(self.size, FILL))


def open_file(blocks: Blocks, path: str, *, anew: bool = False) -> FileArea:
    """The file at path, or one that will be filled anew: what it has is not read then.

    FormatError where there is none, or its size is no whole blocks.
    """
    volume = FatVolume(blocks.read, _WHAT)
    entry = volume.find(path)
    if entry is None or entry.is_directory:
        raise FormatError(f"{_WHAT}: {path}: there is no such file")
    block = blocks.info.block_size
    pieces = volume.places(entry)
    if entry.size % block or any(start % block for start, _ in pieces):
        raise FormatError(f"{_WHAT}: {path}: {entry.size} bytes are no whole blocks of {block}")
    data = FILL * entry.size if anew else b"".join(blocks.read(*piece) for piece in pieces)
    return FileArea(entry.size, blocks.write, block, pieces, bytearray(data))
