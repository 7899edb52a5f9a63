# SPDX-License-Identifier: Apache-2.0
"""Real wims, made by wimlib, and large ones that have nothing in them."""

from __future__ import annotations

import random
import struct
from pathlib import Path

from pykexec.run import run
from pykexec.windows.wim import HEADER_SIZE

SIZE = 300_000


def make_wim(
    directory: Path, *options: str, name: str = "boot.wim", size: int = SIZE, bootable: bool = True
) -> Path:
    """A wim of one image, which has a file of size bytes of noise; options are wimlib's."""
    tree = directory / f"{name}.tree"
    (tree / "Windows/System32").mkdir(parents=True)
    with open(tree / "Windows/System32/ntdll.dll", "wb") as file:
        for number in range(0, size, 1 << 20):
            file.write(random.Random(number).randbytes(min(1 << 20, size - number)))
    (tree / "setup.exe").write_bytes(b"MZ" * 4000)
    path = directory / name
    boot = ("--boot",) if bootable else ()
    command = ["wimlib-imagex", "capture", str(tree), str(path), "WinPE", *boot, *options]
    run([*command, "--no-acls", "--threads=1"])
    return path


def hollow_wim(path: Path, size: int) -> None:
    """A wim without an integrity table whose one resource is a hole of size bytes, so that it costs
    nothing to have a large one.
    """
    parts = {"boot": (0x02, b"m" * 200), "xml": (0x02, b"\xff\xfe<\0")}
    offset = HEADER_SIZE + size
    places = {"hole": (0, HEADER_SIZE, size)}
    tail = b""
    for name, (flags, data) in parts.items():
        places[name] = (flags, offset + len(tail), len(data))
        tail += data
    entries = [places["hole"], places["boot"]]
    lookup = b"".join(_resource(*place) + struct.pack("<HI20s", 1, 1, b"d") for place in entries)
    table = _resource(0x02, offset + len(tail), len(lookup))
    header = struct.pack("<8sIIII16sHHI", b"MSWIM", HEADER_SIZE, 0x10D00, 0, 0, b"g", 1, 1, 1)
    header += table + _resource(*places["xml"]) + _resource(*places["boot"])
    header += struct.pack("<I", 1)
    with open(path, "wb") as file:
        file.write(header.ljust(HEADER_SIZE, b"\0"))
        file.seek(offset)
        file.write(tail + lookup)


def _resource(flags: int, start: int, size: int) -> bytes:
    return struct.pack("<QQQ", flags << 56 | size, start, size)
