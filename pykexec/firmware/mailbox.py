# SPDX-License-Identifier: Apache-2.0
"""Client of the gate: typed requests to boot services through one EFI variable."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.abi import Limit, MailboxConstant
from pykexec.efi.efivarfs import EFIVARFS, StrPath, make_mutable
from pykexec.efi.guid import named_guids
from pykexec.errors import FirmwareError, NotResidentError
from pykexec.firmware.status import check_status
from pykexec.firmware.wire import align8, answer_error, pack, struct_size, unpack

if TYPE_CHECKING:
    from pykexec.secret import Secret

MAILBOX_NAME = bytes(ffi.string(lib.PK_MAILBOX_NAME)).decode()
_ATTRIBUTES = struct.pack("<I", MailboxConstant.ATTRIBUTES)  # of the variable, before its value


@dataclass(frozen=True, slots=True)
class Request:
    """One request; what names it in errors."""

    op: int
    what: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """Its answer; status is the firmware's efi_status_t."""

    op: int
    status: int
    body: bytes


def encode_message(requests: Sequence[Request], sequence: int) -> bytes:
    """The message that carries requests, in order; request n has tag n."""
    if not 1 <= len(requests) <= Limit.BATCH_MAX:
        raise FirmwareError(errno.E2BIG, f"{len(requests)} requests in one message", MAILBOX_NAME)
    records = b""
    for tag, request in enumerate(requests):
        size = struct_size("pk_request") + len(request.body)
        header = pack("pk_request", op=request.op, size=size, tag=tag)
        records += header + request.body + bytes(align8(size) - size)
    return _message_header(len(requests), len(records), sequence, requests[0].what) + records


def _message_header(nr_records: int, records_size: int, sequence: int, what: str) -> bytes:
    size = struct_size("pk_message") + records_size
    if size > Limit.MESSAGE_MAX:
        raise FirmwareError(errno.EMSGSIZE, f"message of {size} bytes", what)
    return pack(
        "pk_message",
        magic=MailboxConstant.MESSAGE_MAGIC,
        version=MailboxConstant.MESSAGE_VERSION,
        nr_records=nr_records,
        size=size,
        sequence=sequence,
    )


def _secret_message(request: Request, data: memoryview, sequence: int) -> Secret:
    """What is written to the mailbox for request, its body continued by data."""
    from pykexec.secret import Secret

    size = struct_size("pk_request") + len(request.body) + len(data)
    head = _ATTRIBUTES + _message_header(1, align8(size), sequence, request.what)
    head += pack("pk_request", op=request.op, size=size) + request.body
    message = Secret(len(_ATTRIBUTES) + struct_size("pk_message") + align8(size))
    message.view[: len(head)] = head
    message.view[len(head) : len(head) + len(data)] = data
    return message


def decode_answer(data: bytes, requests: Sequence[Request], sequence: int) -> list[Reply]:
    """The replies to the first of requests, in order: as many as the answer had room for.

    FirmwareError (EPROTO) unless data answers just these, and at least one.
    """
    found = _replies(data, requests, sequence)
    return [Reply(op, status, bytes(body)) for op, status, body in found]


def _replies(
    data: bytes | memoryview, requests: Sequence[Request], sequence: int
) -> list[tuple[int, int, bytes | memoryview]]:
    """Operations, statuses and bodies, which are parts of data."""
    what = requests[0].what
    message = unpack("pk_message", data, 0, what)
    if message.magic != MailboxConstant.MESSAGE_MAGIC:
        raise answer_error(what, 0, f"magic {message.magic:#x}")
    if message.version != MailboxConstant.MESSAGE_VERSION:
        raise answer_error(what, 4, f"version {message.version}")
    if message.size != len(data):
        raise answer_error(what, 8, f"size {message.size}, but {len(data)} bytes came")
    if message.sequence != sequence:
        raise answer_error(what, 12, f"sequence {message.sequence}, not {sequence}")
    if not 1 <= message.nr_records <= len(requests):
        raise answer_error(what, 6, f"{message.nr_records} replies to {len(requests)} requests")
    replies: list[tuple[int, int, bytes | memoryview]] = []
    offset = struct_size("pk_message")
    header_size = struct_size("pk_reply")
    for tag, request in enumerate(requests[: message.nr_records]):
        reply = unpack("pk_reply", data, offset, request.what)
        if (reply.op, reply.tag) != (request.op, tag):
            raise answer_error(request.what, offset, f"reply to op {reply.op}, tag {reply.tag}")
        if not header_size <= reply.size <= len(data) - offset:
            raise answer_error(request.what, offset, f"record size {reply.size}")
        body = data[offset + header_size : offset + reply.size]
        replies.append((reply.op, reply.status, body))
        offset += align8(reply.size)
    return replies


class Mailbox:
    """An open mailbox; several processes may each have one, calls exclude one another.

    NotResidentError says precisely why this machine has none.
    """

    def __init__(self, root: StrPath = EFIVARFS) -> None:
        self._path = os.path.join(root, f"{MAILBOX_NAME}-{named_guids()['pykexec_mailbox']}")
        self._sequence = int.from_bytes(os.urandom(4), "little")
        # Kept: memory for the longest answer costs more than most calls.
        self._answer = bytearray(len(_ATTRIBUTES) + Limit.MESSAGE_MAX)
        try:
            make_mutable(self._path)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotResidentError(errno.ENODEV, _why_absent(root), MAILBOX_NAME) from None
        except OSError as error:
            code = error.errno or errno.EIO
            raise FirmwareError(code, os.strerror(code), self._path) from None

    def close(self) -> None:
        """Give the file back; the object is of no use afterwards."""
        os.close(self._fd)

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, requests: Sequence[Request]) -> list[Reply]:
        """Have the firmware serve requests, if their answers fit together in one world switch.

        The statuses are the caller's to check. At most Limit.BATCH_MAX requests.
        """
        replies: list[Reply] = []
        while len(replies) < len(requests):
            rest = requests[len(replies) :]
            message = encode_message(rest, self._next_sequence())
            answer = self._exchange(_ATTRIBUTES + message, rest[0].what)
            replies += decode_answer(answer, rest, self._sequence)
        return replies

    def ask(self, request: Request) -> bytes:
        """One request, its answer's body; FirmwareError if the firmware fails it."""
        (reply,) = self.call([request])
        check_status(reply.status, request.what)
        return reply.body

    def ask_secret(self, request: Request, data: memoryview) -> bytes:
        """ask() with data as the rest of the request's body, of which no copy is left here.

        The message is composed in locked memory, written from there and wiped. SecretMemoryError
        if no memory can be locked.
        """
        with _secret_message(request, data, self._next_sequence()) as message:
            answer = self._exchange(message.view, request.what)
        (reply,) = decode_answer(answer, [request], self._sequence)
        check_status(reply.status, request.what)
        return reply.body

    def ask_into(self, request: Request, out: memoryview) -> None:
        """ask() for as many bytes as out has, which come into it; no copy of them is left here.

        FirmwareError for another number of them, SecretMemoryError if no memory can be locked.
        """
        from pykexec.secret import Secret

        message = _ATTRIBUTES + encode_message([request], self._next_sequence())
        heads = len(_ATTRIBUTES) + struct_size("pk_message") + struct_size("pk_reply")
        with Secret(heads + align8(len(out))) as answer:
            size = self._exchange_in(answer.view, message, request.what)
            data = answer.view[len(_ATTRIBUTES) : size]
            ((_, status, body),) = _replies(data, [request], self._sequence)
            check_status(status, request.what)
            if len(body) != len(out):
                raise answer_error(request.what, 0, f"{len(body)} bytes came")
            out[:] = body

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

    def _exchange(self, message: bytes | memoryview, what: str) -> bytes:
        size = self._exchange_in(self._answer, message, what)
        return bytes(memoryview(self._answer)[len(_ATTRIBUTES) : size])

    def _exchange_in(
        self, answer: bytearray | memoryview, message: bytes | memoryview, what: str
    ) -> int:
        """Have what answers message come into answer; its size."""
        import fcntl

        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                os.write(self._fd, message)
                return os.preadv(self._fd, [answer], 0)
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError as error:
            code = error.errno or errno.EIO
            raise FirmwareError(code, f"mailbox: {os.strerror(code)}", what) from error


def _why_absent(root: StrPath) -> str:
    if not os.path.isdir(os.path.dirname(root)):
        return "this machine was not started by UEFI firmware, or EFI runtime services are off"
    if not os.path.isdir(root) or not os.listdir(root):
        return f"efivarfs is not mounted on {root}"
    return f"there is no {MAILBOX_NAME} variable: Linux was not started through pykexec's image"
