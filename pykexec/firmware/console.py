# SPDX-License-Identifier: Apache-2.0
"""The firmware's console: keys of its keyboards, text on its ConOut, dots on its screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pykexec.abi import Limit, Op
from pykexec.abi_devices import ConsoleFlag, TextFlag
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import check_status
from pykexec.firmware.wire import answer_error, pack, struct_size, unpack

_WHAT = "firmware console"
Matrix = Sequence[Sequence[bool]]
"""Rows of dots, all of one length; true is the foreground."""


@dataclass(frozen=True, slots=True)
class ConsoleInfo:
    """Which parts there are; columns and rows of text, width and height of the screen in pixels."""

    flags: ConsoleFlag
    columns: int
    rows: int
    width: int
    height: int

    @property
    def is_answerable(self) -> bool:
        """Can a person read there and type?"""
        return ConsoleFlag.KEYS | ConsoleFlag.TEXT in self.flags

    @property
    def has_screen(self) -> bool:
        """Can dots be drawn?"""
        return ConsoleFlag.SCREEN in self.flags


@dataclass(frozen=True, slots=True)
class Key:
    """EFI_INPUT_KEY and KeyShiftState (UEFI 2.10, 12.2.3); character is "" if it has none."""

    scan_code: int
    character: str
    modifiers: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """What is shown by one request, in this order; None leaves things as they are.

    attribute is that of SetAttribute(), place the column and row where text begins.
    """

    text: str = ""
    attribute: int | None = None
    clear: bool = False
    place: tuple[int, int] | None = None
    cursor: bool | None = None


def read_console(mailbox: Mailbox) -> ConsoleInfo:
    """What of a console the firmware has now."""
    raw = unpack("pk_console_info", mailbox.ask(Request(Op.CONSOLE_INFO, _WHAT)), 0, _WHAT)
    return ConsoleInfo(ConsoleFlag(raw.flags), raw.columns, raw.rows, raw.width, raw.height)


def read_keys(mailbox: Mailbox, wait_ms: int = 0) -> list[Key]:
    """What was typed; the firmware waits for a key that long, and Linux with it.

    At most ConsoleLimit.KEYS_WAIT_MAX_MS.
    """
    body = pack("pk_keys_request", wait_ms=wait_ms)
    answer = mailbox.ask(Request(Op.CONSOLE_KEYS, "keyboard", body))
    size = struct_size("pk_key")
    if len(answer) % size:
        raise answer_error("keyboard", 0, f"{len(answer)} bytes of keys")
    keys = (unpack("pk_key", answer, offset, "keyboard") for offset in range(0, len(answer), size))
    return [
        Key(raw.scan_code, chr(raw.character) if raw.character else "", raw.modifiers)
        for raw in keys
    ]


def show(mailbox: Mailbox, texts: Sequence[Text]) -> None:
    """Have all of texts shown, in order; FirmwareError if one is not."""
    requests = [_text_request(text) for text in texts]
    for start in range(0, len(requests), Limit.BATCH_MAX):
        for reply in mailbox.call(requests[start : start + Limit.BATCH_MAX]):
            check_status(reply.status, _WHAT)


def _text_request(text: Text) -> Request:
    flags = TextFlag(0)
    column, row = text.place or (0, 0)
    if text.clear:
        flags |= TextFlag.CLEAR
    if text.place is not None:
        flags |= TextFlag.PLACE
    if text.attribute is not None:
        flags |= TextFlag.COLOUR
    if text.cursor is not None:
        flags |= TextFlag.CURSOR_SHOWN if text.cursor else TextFlag.CURSOR_HIDDEN
    attribute = text.attribute or 0
    head = pack("pk_text_request", flags=flags, column=column, row=row, attribute=attribute)
    return Request(Op.CONSOLE_TEXT, _WHAT, head + (encode_ucs2(text.text) if text.text else b""))


def draw(
    mailbox: Mailbox,
    rows: Matrix,
    x: int,
    y: int,
    scale: int,
    foreground: int = 0x000000,
    background: int = 0xFFFFFF,
) -> None:
    """Draw dots of scale pixels each way, their left upper corner at x, y; colours are 0xrrggbb.

    At most ConsoleLimit.BITMAP_MAX dots each way. FirmwareError where they would leave the screen.
    """
    head = pack(
        "pk_bitmap_request",
        x=x,
        y=y,
        width=len(rows[0]),
        height=len(rows),
        scale=scale,
        foreground=foreground,
        background=background,
    )
    mailbox.ask(Request(Op.CONSOLE_DRAW, "screen", head + b"".join(map(_packed, rows))))


def _packed(row: Sequence[bool]) -> bytes:
    """Eight dots a byte, the highest bit leftmost."""
    size = (len(row) + 7) // 8
    bits = "".join("1" if dot else "0" for dot in row).ljust(8 * size, "0")
    return int(bits, 2).to_bytes(size, "big")
