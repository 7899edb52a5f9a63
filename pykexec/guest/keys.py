# SPDX-License-Identifier: Apache-2.0
"""Keys of the firmware as the bytes that a terminal sends for them."""

from __future__ import annotations

from collections.abc import Iterable

from pykexec.firmware.console import Key

_CONTROL = 0x04 | 0x08
_LEFT_ALT = 0x20
"""EFI_KEY_STATE.KeyShiftState (UEFI 2.10, 12.2.3). The right Alt chooses other characters."""

# EFI_INPUT_KEY.ScanCode (appendix B), and what xterm sends.
_SCAN_CODES = {
    0x01: b"\x1b[A",
    0x02: b"\x1b[B",
    0x03: b"\x1b[C",
    0x04: b"\x1b[D",
    0x05: b"\x1b[H",
    0x06: b"\x1b[F",
    0x07: b"\x1b[2~",
    0x08: b"\x1b[3~",
    0x09: b"\x1b[5~",
    0x0A: b"\x1b[6~",
    0x0B: b"\x1bOP",
    0x0C: b"\x1bOQ",
    0x0D: b"\x1bOR",
    0x0E: b"\x1bOS",
    0x0F: b"\x1b[15~",
    0x10: b"\x1b[17~",
    0x11: b"\x1b[18~",
    0x12: b"\x1b[19~",
    0x13: b"\x1b[20~",
    0x14: b"\x1b[21~",
    0x15: b"\x1b[23~",
    0x16: b"\x1b[24~",
    0x17: b"\x1b",
}
_BACKSPACE, _DELETE = "\b", "\x7f"


def terminal_input(keys: Iterable[Key]) -> bytes:
    """What a terminal would send; nothing for keys that terminals do not have."""
    return b"".join(map(_input, keys))


def _input(key: Key) -> bytes:
    if not key.character:
        return _SCAN_CODES.get(key.scan_code, b"")
    # Its own meaning is that of erase: Linux' terminals know it by the other code.
    character = _DELETE if key.character == _BACKSPACE else key.character
    if key.modifiers & _CONTROL and "@" <= character.upper() <= "_":
        character = chr(ord(character.upper()) & 0x1F)
    escape = b"\x1b" if key.modifiers & _LEFT_ALT else b""
    return escape + character.encode(errors="replace")
