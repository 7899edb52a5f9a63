# SPDX-License-Identifier: Apache-2.0
"""Asks for RAM disks what no client would; prints each answer's status as JSON."""

import json

from pykexec import abi
from pykexec.abi import Op
from pykexec.abi_devices import RamdiskFlag
from pykexec.efi.guid import named_guids
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import status_name
from pykexec.firmware.wire import pack, unpack
from pykexec.kexec.ramdisk import list_ramdisks

SIZE = 65536
DISK = named_guids()["virtual_disk"].data
CD = named_guids()["virtual_cd"].data
PERSIST, BLOCK, REMOVABLE = RamdiskFlag.PERSIST, RamdiskFlag.BLOCK, RamdiskFlag.REMOVABLE
UNKNOWN = 0xFFFFFFFF

mailbox = Mailbox()
results: dict[str, str] = {}


def ask(op: Op, body: bytes) -> tuple[str, bytes]:
    """One request's status and answer."""
    (reply,) = mailbox.call([Request(op, "ramdisk", body)])
    return status_name(reply.status), reply.body


def creation(size: int, type_: bytes = DISK, flags: int = 0) -> bytes:
    """A request for a disk."""
    return abi.pack("struct pk_ramdisk_request", size=size, type=type_, flags=flags)


def data(number: int, offset: int, content: bytes) -> bytes:
    """A request to fill a piece of a disk."""
    return pack("pk_ramdisk_data", ramdisk=number, offset=offset) + content


def create(size: int) -> int:
    """A new disk's number."""
    _, body = ask(Op.RAMDISK_CREATE, creation(size))
    number: int = unpack("pk_ramdisk_entry", body, 0, "ramdisk").ramdisk
    return number


def number(of: int) -> bytes:
    """A request that is about one disk."""
    return pack("pk_ramdisk_number", ramdisk=of)


def attempt(name: str, op: Op, body: bytes) -> None:
    """Keep the status that the request came to."""
    results[name], _ = ask(op, body)


attempt("empty", Op.RAMDISK_CREATE, creation(0))
attempt("half a block", Op.RAMDISK_CREATE, creation(SIZE + 256))
attempt("unknown type", Op.RAMDISK_CREATE, creation(SIZE, bytes(16)))
attempt("unknown flag", Op.RAMDISK_CREATE, creation(SIZE, flags=16))
attempt("removable RAM disk", Op.RAMDISK_CREATE, creation(SIZE, flags=REMOVABLE))
attempt("block that persists", Op.RAMDISK_CREATE, creation(SIZE, flags=BLOCK | PERSIST))
attempt("block as a CD", Op.RAMDISK_CREATE, creation(SIZE, CD, BLOCK))
attempt("registered by flag", Op.RAMDISK_CREATE, creation(SIZE, flags=2))
attempt("all of memory", Op.RAMDISK_CREATE, creation((1 << 64) - 512))
attempt("larger than memory", Op.RAMDISK_CREATE, creation(1 << 40))
attempt("cut off", Op.RAMDISK_CREATE, creation(SIZE)[:-8])
attempt("data before there is a disk", Op.RAMDISK_DATA, data(UNKNOWN, 0, b"x"))
attempt("register an unknown one", Op.RAMDISK_REGISTER, number(UNKNOWN))
attempt("register number 0", Op.RAMDISK_REGISTER, number(0))
attempt("remove an unknown one", Op.RAMDISK_REMOVE, number(UNKNOWN))
attempt("remove number 0", Op.RAMDISK_REMOVE, number(0))

disk = create(SIZE)
attempt("to the last byte", Op.RAMDISK_DATA, data(disk, SIZE - 8, bytes(8)))
attempt("beyond the end", Op.RAMDISK_DATA, data(disk, SIZE - 4, bytes(8)))
attempt("far beyond", Op.RAMDISK_DATA, data(disk, SIZE + 1, b""))
attempt("around the end", Op.RAMDISK_DATA, data(disk, (1 << 64) - 4, bytes(8)))
attempt("header alone", Op.RAMDISK_DATA, data(disk, 0, b"")[:8])
attempt("register", Op.RAMDISK_REGISTER, number(disk))
attempt("register twice", Op.RAMDISK_REGISTER, number(disk))
attempt("data after it is a disk", Op.RAMDISK_DATA, data(disk, 0, b"x"))
attempt("remove", Op.RAMDISK_REMOVE, number(disk))
attempt("remove twice", Op.RAMDISK_REMOVE, number(disk))
attempt("register what was removed", Op.RAMDISK_REGISTER, number(disk))

many = [create(512) for _ in range(16)]
attempt("one too many", Op.RAMDISK_CREATE, creation(512))
results["numbers are never reused"] = str(disk not in many and len(set(many)) == 16)
for each in many:
    ask(Op.RAMDISK_REMOVE, number(each))
attempt("start without an image", Op.IMAGE_START, b"")
results["left"] = str(len(list_ramdisks(mailbox)))
print(json.dumps(results))
