# SPDX-License-Identifier: Apache-2.0
"""A menu as a firmware's screen of 1024 x 768 shows it, and as a terminal of 80 x 25 does.

    python -m tests.support.menu_picture docs/pictures/menu.png

draws the docs' picture: by the menu's own drawing, the terminal on ConOut, a firmware's console,
and the glyphs of its fonts, which are taken out of OVMF.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from pykexec.config.agent import AgentConfig, parse_config
from pykexec.firmware.console import show
from pykexec.guest.boot_menu import rows
from pykexec.guest.terminal import Terminal
from pykexec.menu.draw import Frame, frame, update
from pykexec.menu.state import Menu, begin
from pykexec.vm import ovmf
from tests.support.firmware_console import FirmwareConsole

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs/pictures/menu.png"
EXAMPLE = ROOT / "docs/menu.md"
WIDTH, HEIGHT = 1024, 768
_GLYPH_WIDTH, _GLYPH_HEIGHT = 8, 19
_COLOURS = bytes.fromhex(
    "000000 000098 009800 009898 980000 980098 989800 989898"
    "303030 0000ff 00ff00 00ffff ff0000 ff00ff ffff00 ffffff"
)
"""EDK II's graphics console, by EFI attribute."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def example() -> AgentConfig:
    """The configuration that the docs have beside the picture."""
    text = EXAMPLE.read_text().partition("```toml\n")[2].partition("```")[0]
    text = text.replace('"..."', f'"{"5a" * 32}"').replace("/etc/pykexec/ca.pem", "")
    return parse_config(text.encode(), "menu.md")


def example_menu(columns: int, lines: int) -> Menu:
    """What it offers, a second after the menu has come up."""
    config = example()
    assert config.menu
    entries = config.menu.entries
    default = entries.index(config.menu.entry(config.menu.default) or entries[0])
    left_s = config.timeout_s - 1
    return begin(rows(entries, config), default, left_s, columns=columns, lines=lines)


def pixels() -> list[bytes]:
    """Rows of the screen, an EFI colour for each pixel."""
    from tests.vm.screen import glyphs

    columns, lines = WIDTH // _GLYPH_WIDTH, HEIGHT // _GLYPH_HEIGHT
    terminal, console = Terminal(columns, lines), FirmwareConsole(columns, lines)
    picture = frame(example_menu(terminal.columns, terminal.rows))
    show(console, terminal.feed(update(Frame(), picture).encode()))  # type: ignore[arg-type]
    font = {char: dots for dots, char in glyphs(ovmf.firmware("2025.02").code).items()}
    blank = bytes(WIDTH)
    top = (HEIGHT - lines * _GLYPH_HEIGHT) // 2
    out = [blank] * top
    for row in console.cells:
        out += [
            b"".join(_dots(font[char][y], attribute) for char, attribute in row)
            for y in range(_GLYPH_HEIGHT)
        ]
    return [*out, *[blank] * (HEIGHT - len(out))]


def _dots(bits: int, attribute: int) -> bytes:
    foreground, background = attribute & 15, attribute >> 4
    return bytes(foreground if bits & 0x80 >> x else background for x in range(_GLYPH_WIDTH))


def write_png(picture: list[bytes]) -> bytes:
    """A PNG with a palette (ISO/IEC 15948)."""
    head = struct.pack(">IIBBBBB", len(picture[0]), len(picture), 8, 3, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in picture), 9)
    chunks = ((b"IHDR", head), (b"PLTE", _COLOURS), (b"IDAT", data), (b"IEND", b""))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def read_png(data: bytes) -> list[bytes]:
    """The rows of what write_png() has made; compressors differ in what they make of them."""
    chunks = dict(_chunks(data))
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    raw = zlib.decompress(chunks[b"IDAT"])
    rows_of = [raw[at : at + width + 1] for at in range(0, len(raw), width + 1)]
    assert len(rows_of) == height and not any(row[0] for row in rows_of)
    return [row[1:] for row in rows_of]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(write_png(pixels()))
