# SPDX-License-Identifier: Apache-2.0
"""Sends TPM commands that no library would, by Linux' device and by the mailbox.

Prints as JSON: response codes, errno or the firmware's status of each, and the TPM's clock before
and afterwards.
"""

import errno
import json
import os
import struct

from pykexec.abi import Op
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import status_name
from pykexec.firmware.wire import pack, struct_size, unpack
from pykexec.tpm.transport import BUFFER_SIZE, RAW_DEVICE

NO_SESSIONS, SESSIONS = 0x8001, 0x8002
STARTUP, SHUTDOWN, GET_RANDOM, READ_CLOCK, CREATE_PRIMARY = 0x144, 0x145, 0x17B, 0x181, 0x131
CLEAR, STATE = b"\0\0", b"\0\1"
PLATFORM = struct.pack(">I", 0x4000000C)
EMPTY_PASSWORD = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)

mailbox = Mailbox()


def command(code: int, body: bytes = b"", tag: int = NO_SESSIONS, size: int | None = None) -> bytes:
    """A command whose header may lie."""
    return struct.pack(">HII", tag, 10 + len(body) if size is None else size, code) + body


def by_device(data: bytes) -> bytes | str:
    """The response, or the errno of the write."""
    fd = os.open(RAW_DEVICE, os.O_RDWR)
    try:
        os.write(fd, data)
        return os.read(fd, BUFFER_SIZE)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        os.close(fd)


def by_mailbox(data: bytes, capacity: int = BUFFER_SIZE) -> bytes | str:
    """The response, or the firmware's status."""
    head = pack("pk_descriptor", op=Op.TPM_COMMAND, size=len(data), capacity=capacity)
    (reply,) = mailbox.call([Request(Op.TRANSFER, "TPM command", head + data)])
    if reply.status:
        return status_name(reply.status)
    served = unpack("pk_descriptor", reply.body, 0, "TPM command")
    if served.status:
        assert not served.result
        return status_name(served.status)
    return reply.body[struct_size("pk_descriptor") :][: served.result]


def code(answer: bytes | str) -> int | str:
    """A response's code."""
    return answer if isinstance(answer, str) else struct.unpack_from(">I", answer, 6)[0]


def clock() -> dict[str, int]:
    """What a reset, a restart or an orderly shutdown would change (Part 3, 29.1)."""
    answer = by_device(command(READ_CLOCK))
    assert isinstance(answer, bytes), answer
    reset_count, restart_count, safe = struct.unpack_from(">IIB", answer, 10 + 16)
    return {"resetCount": reset_count, "restartCount": restart_count, "safe": safe}


random = command(GET_RANDOM, b"\0\x20")
platform = command(CREATE_PRIMARY, PLATFORM + EMPTY_PASSWORD, SESSIONS)
malformed = {
    "nothing": b"",
    "cut off header": random[:9],
    "header alone": random[:10],
    "says more": command(GET_RANDOM, b"\0\x20", size=13),
    "says less": command(GET_RANDOM, b"\0\x20", size=11),
    "says 4 GiB": command(GET_RANDOM, b"\0\x20", size=0xFFFFFFFF),
    "tag of a TPM 1.2": command(GET_RANDOM, b"\0\x20", tag=0x00C1),
    "larger than all": command(GET_RANDOM, bytes(BUFFER_SIZE)),
    "largest": command(GET_RANDOM, bytes(BUFFER_SIZE - 10)),
}
before = clock()
answer = {
    "before": before,
    "filtered": {
        "startup": code(by_device(command(STARTUP, CLEAR))),
        "shutdown clear": code(by_device(command(SHUTDOWN, CLEAR))),
        "shutdown state": code(by_device(command(SHUTDOWN, STATE))),
        "shutdown nonsense": code(by_device(command(SHUTDOWN, b"\x12\x34"))),
        "platform": code(by_device(platform)),
    },
    "by device": {name: code(by_device(data)) for name, data in malformed.items()},
    "by mailbox": {name: code(by_mailbox(data)) for name, data in malformed.items()},
    "no room": [by_mailbox(random, capacity=size) for size in (0, 9, 43)],
    "unknown command": code(by_mailbox(command(0x7FFF))),
    "random": [len(by_device(random)), len(by_mailbox(random))],
    "after": clock(),
}
print(json.dumps(answer))
