# SPDX-License-Identifier: Apache-2.0
"""Uses /dev/efi-bootsvc of a kernel with our patches; prints as JSON what it answers.

Words: "add FILE" for a RAM disk with that content, "list", "remove NUMBER", "start FILE [OPTIONS]"
for an EFI image, "nobody" to open it without capabilities, "attacks" for what no client would ask.
"""

import errno
import fcntl
import json
import os
import struct
import sys

from pykexec._native import ffi
from pykexec.efi.guid import named_guids

DEVICE = "/dev/efi-bootsvc"
MAGIC = 0xBC
READ, WRITE = 2, 1
PERSIST = 1
DISK = named_guids()["virtual_disk"].data
# Those of <linux/efi-bootsvc.h>, in the order of their numbers.
CREATE = struct.Struct("=Q16sII")
DATA = struct.Struct("=QQQII")
REGISTER = struct.Struct("=II")
REMOVE = struct.Struct("=I")
LIST = struct.Struct("=QII")
START = struct.Struct("=QQIIiIQII")
ENTRY = struct.Struct("=Q16sIIII")


def number(direction: int, nr: int, layout: struct.Struct) -> int:
    """An ioctl's number."""
    return direction << 30 | layout.size << 16 | MAGIC << 8 | nr


NUMBERS = {
    CREATE: number(READ | WRITE, 0, CREATE),
    DATA: number(WRITE, 1, DATA),
    REGISTER: number(READ | WRITE, 2, REGISTER),
    REMOVE: number(WRITE, 3, REMOVE),
    LIST: number(READ | WRITE, 4, LIST),
    START: number(READ | WRITE, 5, START),
}


def address(buffer: bytes | bytearray) -> int:
    """Where a buffer is, for as long as the caller keeps it."""
    return int(ffi.cast("uintptr_t", ffi.from_buffer(buffer)))


class Device:
    """The device, open."""

    def __init__(self) -> None:
        """Open it."""
        self.fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)

    def ask(self, layout: struct.Struct, *values: object) -> tuple[int, ...]:
        """One ioctl: the members of its structure afterwards."""
        data = bytearray(layout.pack(*values))
        fcntl.ioctl(self.fd, NUMBERS[layout], data)
        return layout.unpack(data)

    def create(self, size: int, type_: bytes = DISK, flags: int = 0) -> int:
        """A new RAM disk's number."""
        return self.ask(CREATE, size, type_, flags, 0)[3]

    def write(self, ramdisk: int, offset: int, content: bytes, reserved: int = 0) -> None:
        """Fill a piece of it."""
        self.ask(DATA, offset, address(content), len(content), ramdisk, reserved)

    def register(self, ramdisk: int) -> int:
        """Have it served; its handle."""
        return self.ask(REGISTER, ramdisk, 0)[1]

    def list(self, room: int = 32) -> list[dict[str, int]]:
        """All that there are, as far as there is room."""
        held = bytearray(room * ENTRY.size)
        _, nr, _ = self.ask(LIST, address(held), room, 0)
        entries = [ENTRY.unpack_from(held, i * ENTRY.size) for i in range(min(nr, room))]
        names = ("size", "ramdisk", "handle", "flags")
        return [dict(zip(names, (size, *rest), strict=False)) for size, _, *rest in entries]

    def start(self, path: str, options: str = "", flags: int = 0) -> dict[str, int]:
        """Have an image started; the firmware's answer."""
        text = f"{options}\0".encode("utf-16-le") if options else b""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            answer = self.ask(START, 0, address(text), 0, len(text), fd, flags, 0, 0, 0)
        finally:
            os.close(fd)
        return {"status": answer[6], "started": answer[7]}


def attempt(call: object, *words: object) -> object:
    """What the call returns, or its errno."""
    try:
        return call(*words)  # type: ignore[operator]
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def add(device: Device, path: str) -> dict[str, int]:
    """A RAM disk with the content of a file."""
    with open(path, "rb") as file:
        content = file.read()
    ramdisk = device.create(len(content))
    device.write(ramdisk, 0, content)
    return {"ramdisk": ramdisk, "handle": device.register(ramdisk)}


def attacks(device: Device) -> dict[str, object]:
    """What each malformed request is answered by."""
    size = 65536
    init = os.open("/init", os.O_RDONLY)
    zeros = bytes(8)
    found = {
        "no such ioctl": attempt(fcntl.ioctl, device.fd, number(WRITE, 6, REMOVE), bytes(4)),
        "of another size": attempt(fcntl.ioctl, device.fd, number(WRITE, 3, CREATE), bytes(32)),
        "nothing behind the pointer": attempt(fcntl.ioctl, device.fd, NUMBERS[REMOVE], 8),
        "empty": attempt(device.create, 0),
        "half a block": attempt(device.create, size + 256),
        "unknown type": attempt(device.create, size, bytes(16)),
        "unknown flag": attempt(device.create, size, DISK, 4),
        "registered by flag": attempt(device.create, size, DISK, 2),
        "all of memory": attempt(device.create, (1 << 64) - 512),
        "remove an unknown one": attempt(device.ask, REMOVE, 4711),
        "register number 0": attempt(device.register, 0),
        "write to an unknown one": attempt(device.write, 4711, 0, b"1"),
    }
    ramdisk = device.create(size)
    found |= {
        "to the last byte": attempt(device.write, ramdisk, size - 1, b"1"),
        "beyond the end": attempt(device.write, ramdisk, size, b"1"),
        "across the end": attempt(device.write, ramdisk, size - 1, b"12"),
        "around the end": attempt(device.write, ramdisk, (1 << 64) - 1, b"12"),
        "reserved": attempt(device.write, ramdisk, 0, b"1", 1),
        "from nowhere": attempt(device.ask, DATA, 0, 8, 1, ramdisk, 0),
        "much from nowhere": attempt(device.ask, DATA, 0, 1 << 62, size, ramdisk, 0),
        "list without room": attempt(device.list, 0),
        "list to nowhere": attempt(device.ask, LIST, 8, 1, 0),
        "list reserved": attempt(device.ask, LIST, 0, 0, 1),
        "register": attempt(device.register, ramdisk) != 0,
        "register twice": attempt(device.register, ramdisk),
        "write after it is a disk": attempt(device.write, ramdisk, 0, b"1"),
        "remove": attempt(device.ask, REMOVE, ramdisk),
        "remove twice": attempt(device.ask, REMOVE, ramdisk),
        "start no image": attempt(device.start, "/init"),
        "start a device": attempt(device.start, "/dev/null"),
        "start nothing": attempt(device.ask, START, 0, 0, 0, 0, -1, 0, 0, 0, 0),
        "start with a flag": attempt(device.start, "/init", "", 1),
        "start from nowhere": attempt(device.ask, START, 8, 8, 4, 4, init, 0, 0, 0, 0),
        "path too long": attempt(device.ask, START, 8, 8, 4097, 0, init, 0, 0, 0, 0),
        "options too long": attempt(device.ask, START, 8, 8, 0, 4097, init, 0, 0, 0, 0),
        "path is none": attempt(device.ask, START, address(zeros), 0, 8, 0, init, 0, 0, 0, 0),
        "options have no end": attempt(
            device.ask, START, 0, address(b"1234"), 0, 4, init, 0, 0, 0, 0
        ),
        "left": device.list(),
    }
    return found


def nobody() -> object:
    """What a process without capabilities is told."""
    os.chmod(DEVICE, 0o666)
    os.setuid(65534)
    return attempt(Device)


match sys.argv[1:]:
    case ["add", path]:
        print(json.dumps(attempt(add, Device(), path)))
    case ["list"]:
        print(json.dumps(Device().list()))
    case ["remove", ramdisk]:
        print(json.dumps(attempt(Device().ask, REMOVE, int(ramdisk))))
    case ["start", path, *options]:
        print(json.dumps(attempt(Device().start, path, " ".join(options))))
    case ["nobody"]:
        print(json.dumps(nobody()))
    case ["attacks"]:
        print(json.dumps(attacks(Device())))
