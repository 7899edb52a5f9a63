# SPDX-License-Identifier: Apache-2.0
"""Writes what no client would to the mailbox; prints each answer as JSON: an errno or a status."""

import errno
import json
import os
import struct

from pykexec.abi import Limit, MailboxConstant, Op
from pykexec.efi.efivarfs import EFIVARFS
from pykexec.efi.guid import named_guids
from pykexec.efi.variables import VariableName
from pykexec.errors import FirmwareError
from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import MAILBOX_NAME, Mailbox, Request, encode_message
from pykexec.firmware.status import status_name

GUARDED = {Op.LEAVE, Op.CONNECT}  # One ends Linux, the other takes long.

mailbox = Mailbox()
path = os.path.join(EFIVARFS, str(VariableName(MAILBOX_NAME, named_guids()["pykexec_mailbox"])))
fd = os.open(path, os.O_RDWR)


def write(message: bytes) -> str:
    """The errno of writing message, or "" when it is taken."""
    try:
        os.write(fd, struct.pack("<I", MailboxConstant.ATTRIBUTES) + message)
        return ""
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def header(**changes: int) -> bytes:
    """A message without records, faults put in."""
    fields = {
        "magic": MailboxConstant.MESSAGE_MAGIC,
        "version": MailboxConstant.MESSAGE_VERSION,
        "nr_records": 0,
        "size": 16,
        "sequence": 1,
        **changes,
    }
    return struct.pack("<IHHII", *fields.values())


good = encode_message([Request(Op.INFO, "info")], 7)
messages = {
    "noise": write(os.urandom(4096)),
    "one byte": write(b"x"),
    "bad magic": write(header(magic=1)),
    "newer version": write(header(version=2)),
    "wrong size": write(header(size=17)),
    "cut off": write(good[:-8]),
    "more than it says": write(good + bytes(8)),
    "records missing": write(header(nr_records=1)),
    "too many records": write(header(nr_records=Limit.BATCH_MAX + 1)),
    "record larger than message": write(
        header(nr_records=1, size=32) + struct.pack("<HHIII", Op.INFO, 0, 1 << 31, 0, 0)
    ),
    "record smaller than its header": write(
        header(nr_records=1, size=32) + struct.pack("<HHIII", Op.INFO, 0, 8, 0, 0)
    ),
    "too large": write(bytes(Limit.MESSAGE_MAX + 8)),
    "good": write(good),
}

unknown = [op for op in range(0, 256) if op not in set(Op)]
replies = mailbox.call([Request(op, "unknown") for op in unknown])
statuses = {status_name(reply.status) for reply in replies}

# Bodies of every size and of the worst values, for every request that is served.
hostile = 0
for op in set(Op) - GUARDED:
    for size in range(0, 72, 4):
        for byte in (b"\0", b"\xff", b"\x41"):
            if op == Op.SELF_TEST and size >= 8:
                continue
            mailbox.call([Request(op, "hostile", byte * size)])
            hostile += 1

present = {handle.number for handle in list_handles(mailbox)}
handles = {}
for number in (0, max(present) + 1, 0xFFFFFFFF):
    body = struct.pack("<II", number, 0)
    ops = (Op.VOLUME_INFO, Op.BLOCK_INFO, Op.NET_INFO)
    replies = mailbox.call([Request(op, "handle", body) for op in ops])
    handles[number] = sorted({status_name(reply.status) for reply in replies})

full = [Request(Op.TPM_INFO, "batch")] * Limit.BATCH_MAX
big = [Request(Op.HANDLES, "batch", bytes(8))] * Limit.BATCH_MAX
try:
    mailbox.call([*full, full[0]])
    overfull = ""
except FirmwareError as error:
    overfull = errno.errorcode[error.errno or 0]
answer = {
    "messages": messages,
    "unknown": sorted(statuses),
    "hostile": hostile,
    "handles": sorted({word for words in handles.values() for word in words}),
    "batch": len(mailbox.call(full)),
    "big batch": len(mailbox.call(big)),
    "overfull batch": overfull,
}
print(json.dumps(answer))
