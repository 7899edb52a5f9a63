# SPDX-License-Identifier: Apache-2.0
"""A machine's screen, read as a person reads it, and its keyboard: for machines without a serial
port.

What is read are the glyphs that EDK II's graphics console draws, 8 x 19 pixels each, in the middle
of the screen; they are taken out of the firmware under test.
"""

from __future__ import annotations

import lzma
import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pykexec.vm.ovmf import Firmware
from pykexec.vm.vm import LostVm, Vm

# EE4E5898-3914-4259-9D6E-DC7BD79403CF: a section that LZMA has packed (PI 1.7, volume 3, 2.1.5.1).
_LZMA = bytes.fromhex("98584eee143959429d6edc7bd79403cf")
_WIDTH, _HEIGHT = 8, 19
_ENTRY = 2 + 1 + _HEIGHT
# EFI_NARROW_GLYPH of a blank, and the next one (UEFI 2.10, 33.3.1.1.2).
_FIRST = b"\x20\0\0" + bytes(_HEIGHT) + b"\x21\0\0"
_MODES = ((80, 25), (80, 50), (100, 31))
PIXEL = 3
_LOOK_AGAIN_S = 0.5
_KEY_S = 0.2

# QEMU's names of keys, beside letters and digits; those that are typed with Shift.
_NAMES = {
    " ": "spc",
    "\n": "ret",
    "-": "minus",
    "=": "equal",
    ".": "dot",
    ",": "comma",
    "/": "slash",
    "\\": "backslash",
    ";": "semicolon",
    "'": "apostrophe",
}
_SHIFTED = {"(": "9", ")": "0", "*": "8", "$": "4", ">": "dot", "|": "backslash", "_": "minus"}


@cache
def glyphs(code: Path) -> dict[bytes, str]:
    """The characters that the firmware draws, by their rows."""
    data = code.read_bytes()
    section = data.index(_LZMA) - 4
    offset = int.from_bytes(data[section + 20 : section + 22], "little")
    unpacked = lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data[section + offset :])
    # Of characters that look alike, as both blanks do, the first is meant.
    return dict(reversed([*_entries(unpacked, unpacked.index(_FIRST))]))


def _entries(data: bytes, at: int) -> Iterator[tuple[bytes, str]]:
    while char := int.from_bytes(data[at : at + 2], "little"):
        yield data[at + 3 : at + _ENTRY], chr(char)
        at += _ENTRY


def read_picture(picture: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels, PIXEL bytes each, of a PPM."""
    _, size, _, pixels = picture.split(b"\n", 3)
    width, height = map(int, size.split())
    return width, height, pixels


def read_text(picture: bytes, font: dict[bytes, str]) -> list[str]:
    """The lines on a screen, a PPM; of the places where text may begin, that where most is read."""
    width, height, pixels = read_picture(picture)
    modes = (*_MODES, (width // _WIDTH, height // _HEIGHT))
    readings = [_read(pixels, width, height, columns, rows, font) for columns, rows in modes]
    return max(readings, key=lambda lines: sum(len(re.sub(r"\W", "", line)) for line in lines))


def _read(
    pixels: bytes, width: int, height: int, columns: int, rows: int, font: dict[bytes, str]
) -> list[str]:
    left, top = (width - columns * _WIDTH) // 2, (height - rows * _HEIGHT) // 2
    if left < 0 or top < 0:
        return []
    lines = []
    for row in range(rows):
        starts = [((top + row * _HEIGHT + y) * width + left) * PIXEL for y in range(_HEIGHT)]
        cells = (
            bytes(_bits(pixels[start + at : start + at + _WIDTH * PIXEL]) for start in starts)
            for at in range(0, columns * _WIDTH * PIXEL, _WIDTH * PIXEL)
        )
        lines.append("".join(font.get(cell, "?") for cell in cells).rstrip())
    return lines


@cache
def _bits(row: bytes) -> int:
    """A row of a glyph: what is not black is set."""
    dots = (any(row[at : at + PIXEL]) for at in range(0, len(row), PIXEL))
    return int("".join("1" if dot else "0" for dot in dots), 2)


class Seat:
    """In front of a machine: what its screen shows, and its keyboard."""

    def __init__(self, vm: Vm, firmware: Firmware) -> None:
        self._vm, self._font = vm, glyphs(firmware.code)

    def lines(self) -> list[str]:
        """What stands on the screen now."""
        file = self._vm.directory / "screen.ppm"
        self._vm.qmp("screendump", filename=str(file.absolute()))
        return read_text(file.read_bytes(), self._font)

    def expect(self, pattern: str, within: float = 60.0) -> str:
        """Wait until a line matches; it. LostVm with the screen when none does in time."""
        end = time.monotonic() + within
        while True:
            lines = self.lines()
            for line in reversed(lines):
                if re.search(pattern, line):
                    return line
            if time.monotonic() > end or not self._vm.running:
                shown = "\n".join(filter(None, lines))
                raise LostVm(f"no {pattern!r} on the screen within {within:g} s:\n{shown}")
            time.sleep(_LOOK_AGAIN_S)

    def press(self, *names: str) -> None:
        """Press keys together, by QEMU's names."""
        keys = [{"type": "qcode", "data": name} for name in names]
        self._vm.qmp("send-key", keys=keys, hold_time=20)

    def press_until(self, name: str, pattern: str, within: float = 120.0) -> None:
        """Press a key now and then until somebody answers."""
        end = time.monotonic() + within
        while not any(re.search(pattern, line) for line in self.lines()):
            if time.monotonic() > end:
                self.expect(pattern, within=0)
            self.press(name)
            time.sleep(_LOOK_AGAIN_S)

    def type(self, text: str) -> None:
        """Type text, as fast as people do."""
        for char in text:
            if char in _SHIFTED:
                self.press("shift", _SHIFTED[char])
            elif char.isupper():
                self.press("shift", char.lower())
            else:
                self.press(_NAMES.get(char, char))
            time.sleep(_KEY_S)
