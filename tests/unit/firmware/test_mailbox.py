# SPDX-License-Identifier: Apache-2.0
"""Mailbox messages as bytes, and why a machine has no mailbox."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from pykexec.abi import Limit, Op
from pykexec.errors import FirmwareError, NotResidentError
from pykexec.firmware.mailbox import Mailbox, Reply, Request, decode_answer, encode_message
from pykexec.firmware.status import check_status

INFO = Request(Op.INFO, "info")
BLOCK = Request(Op.BLOCK_INFO, "block device 3", b"\3\0\0\0\0\0\0\0")


def answer(*records: bytes, sequence: int = 7, **changes: int) -> bytes:
    """An answer as the stub writes it; changes replace fields of its header."""
    body = b"".join(record + bytes(-len(record) % 8) for record in records)
    header = {"magic": 0x4C49414D, "version": 1, "nr": len(records), "size": 16 + len(body)}
    return struct.pack("<IHHII", *(header | changes).values(), sequence) + body


def reply(op: int, tag: int, status: int = 0, body: bytes = b"", size: int | None = None) -> bytes:
    """One reply record."""
    length = 24 + len(body) if size is None else size
    return struct.pack("<HHIIIQ", op, 0, length, tag, 0, status) + body


def test_a_message_is_a_header_and_padded_records() -> None:
    odd = Request(Op.CONSOLE, "console", b"a\0\0\0\0")
    assert encode_message([INFO, odd], 0x01020304) == bytes.fromhex(
        "4d41494c 0100 0200 38000000 04030201"
        "0100 0000 10000000 00000000 00000000"
        "0800 0000 15000000 01000000 00000000 6100000000 000000"
    )


def test_replies_come_back_in_order_without_padding() -> None:
    data = answer(reply(Op.INFO, 0, body=b"abc"), reply(Op.BLOCK_INFO, 1, status=1 << 63 | 14))
    assert decode_answer(data, [INFO, BLOCK], 7) == [
        Reply(Op.INFO, 0, b"abc"),
        Reply(Op.BLOCK_INFO, 1 << 63 | 14, b""),
    ]


def test_an_answer_that_ran_out_of_room_answers_the_first_requests() -> None:
    data = answer(reply(Op.INFO, 0, body=b"abc"))
    assert decode_answer(data, [INFO, BLOCK], 7) == [Reply(Op.INFO, 0, b"abc")]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "offset 0: pk_message is cut off"),
        (answer(reply(Op.INFO, 0), magic=1), "offset 0: magic 0x1"),
        (answer(reply(Op.INFO, 0), version=2), "offset 4: version 2"),
        (answer(reply(Op.INFO, 0), size=48), "offset 8: size 48, but 40 bytes came"),
        (answer(reply(Op.INFO, 0), sequence=6), "offset 12: sequence 6, not 7"),
        (answer(), "offset 6: 0 replies to 1 requests"),
        (answer(reply(Op.INFO, 0), reply(Op.INFO, 1)), "offset 6: 2 replies to 1 requests"),
        (answer(reply(Op.STATE, 0)), "offset 16: reply to op 5, tag 0"),
        (answer(reply(Op.INFO, 1)), "offset 16: reply to op 1, tag 1"),
        (answer(reply(Op.INFO, 0, size=23)), "offset 16: record size 23"),
        (answer(reply(Op.INFO, 0, size=25)), "offset 16: record size 25"),
        (answer(b"\1" * 8, nr=1), "offset 16: pk_reply is cut off"),
    ],
)
def test_an_answer_to_something_else_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(FirmwareError, match=fault) as caught:
        decode_answer(data, [INFO], 7)
    assert caught.value.errno == errno.EPROTO
    assert caught.value.filename == "info"


def test_a_batch_is_bounded() -> None:
    with pytest.raises(FirmwareError, match="257 requests"):
        encode_message([INFO] * (Limit.BATCH_MAX + 1), 1)


def test_a_message_is_bounded() -> None:
    with pytest.raises(FirmwareError, match="message of 1052704 bytes"):
        encode_message([Request(Op.PAYLOAD_DATA, "payload", bytes(Limit.MESSAGE_MAX))], 1)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (1 << 63 | 14, errno.ENOENT),
        (1 << 63 | 3, errno.EOPNOTSUPP),
        (1 << 63 | 8, errno.EROFS),
        (1 << 63 | 7, errno.EIO),
        (1 << 63 | 12, errno.ENOMEDIUM),
        (1 << 63 | 15, errno.EACCES),
        (1 << 63 | 26, errno.EKEYREJECTED),
        (1 << 63 | 99, errno.EIO),
    ],
)
def test_a_status_becomes_the_errno_that_fits(status: int, code: int) -> None:
    with pytest.raises(FirmwareError) as caught:
        check_status(status, "\\EFI\\a.efi")
    assert (caught.value.errno, caught.value.status) == (code, status)
    assert caught.value.filename == "\\EFI\\a.efi"


@pytest.mark.parametrize("status", [0, 1, 5])
def test_success_and_warnings_are_no_errors(status: int) -> None:
    check_status(status, "x")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([], "not started by UEFI firmware"),
        (["efi/runtime"], "efivarfs is not mounted"),
        (["efi/efivars/"], "efivarfs is not mounted"),
        (["efi/efivars/Boot0000-x"], "there is no PykexecMailbox variable"),
    ],
)
def test_the_reason_for_no_mailbox_is_precise(tmp_path: Path, files: list[str], why: str) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()
    with pytest.raises(NotResidentError, match=why):
        Mailbox(tmp_path / "efi" / "efivars")


def test_a_file_that_does_not_answer_is_no_mailbox(tmp_path: Path) -> None:
    path = tmp_path / "PykexecMailbox-6f1c5c0f-5f0a-4c46-9d0b-3b2a8e557a02"
    path.touch()
    with Mailbox(tmp_path) as mailbox, pytest.raises(FirmwareError, match="bad answer"):
        mailbox.ask(INFO)
