# SPDX-License-Identifier: Apache-2.0
"""A firmware's console at the other end of the mailbox: what a person sees there, and types."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pykexec.abi import Op, pack, sizeof, unpack
from pykexec.abi_devices import ConsoleFlag, TextFlag
from pykexec.efi.ucs2 import decode_ucs2
from pykexec.firmware.mailbox import Reply, Request
from pykexec.firmware.status import check_status

_ALL = ConsoleFlag.KEYS | ConsoleFlag.MODIFIERS | ConsoleFlag.TEXT | ConsoleFlag.SCREEN
_INVALID = 1 << 63 | 2


class FirmwareConsole:
    """Does as EDK II's graphics console does: wraps behind the last column, scrolls at the end."""

    def __init__(
        self,
        columns: int = 80,
        rows: int = 25,
        flags: ConsoleFlag = _ALL,
        pixels: tuple[int, int] = (1280, 800),
    ) -> None:
        self.columns, self.rows, self.flags, self.pixels = columns, rows, flags, pixels
        self.typed: deque[tuple[int, str, int]] = deque()
        self.cursor_shown = True
        self.drawn: list[tuple[int, int, int, list[str]]] = []
        self.nr_requests = 0
        self._column = self._row = 0
        self._attribute = 0x07
        self.cells: list[list[tuple[str, int]]] = []
        self._clear()

    @property
    def lines(self) -> list[str]:
        """What stands there, without the blanks at the end of lines and of the screen."""
        return (
            "\n".join("".join(c for c, _ in row).rstrip() for row in self.cells)
            .rstrip()
            .split("\n")
        )

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row."""
        return self._column, self._row

    def type(self, text: str) -> None:
        """Press these keys."""
        self.typed.extend((0, "\r" if char == "\n" else char, 0) for char in text)

    def call(self, requests: Sequence[Request]) -> list[Reply]:
        """As Mailbox.call()."""
        return [Reply(request.op, *self._serve(request)) for request in requests]

    def ask(self, request: Request) -> bytes:
        """As Mailbox.ask()."""
        (reply,) = self.call([request])
        check_status(reply.status, request.what)
        return reply.body

    def close(self) -> None:
        """As Mailbox.close()."""

    def _serve(self, request: Request) -> tuple[int, bytes]:
        self.nr_requests += 1
        if request.op == Op.CONSOLE_INFO:
            return 0, self._info()
        if request.op == Op.CONSOLE_KEYS:
            keys = [self.typed.popleft() for _ in range(len(self.typed))]
            return 0, b"".join(_key(*key) for key in keys)
        if request.op == Op.CONSOLE_TEXT:
            return self._text(request.body), b""
        assert request.op == Op.CONSOLE_DRAW
        self._draw(request.body)
        return 0, b""

    def _info(self) -> bytes:
        width, height = self.pixels if ConsoleFlag.SCREEN in self.flags else (0, 0)
        size = {"columns": self.columns, "rows": self.rows, "width": width, "height": height}
        return pack("struct pk_console_info", flags=self.flags, **size)

    def _text(self, body: bytes) -> int:
        head = unpack("struct pk_text_request", body, 0)
        if head.flags & TextFlag.COLOUR:
            self._attribute = head.attribute
        if head.flags & TextFlag.CLEAR:
            self._clear()
        if head.flags & TextFlag.PLACE:
            if head.column >= self.columns or head.row >= self.rows:
                return _INVALID
            self._column, self._row = head.column, head.row
        if head.flags & (TextFlag.CURSOR_SHOWN | TextFlag.CURSOR_HIDDEN):
            self.cursor_shown = bool(head.flags & TextFlag.CURSOR_SHOWN)
        for char in decode_ucs2(body[sizeof("struct pk_text_request") :]):
            self._put(char)
        return 0

    def _put(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._line_feed()
        elif char == "\b":
            self._column -= self._column > 0
        else:
            self.cells[self._row][self._column] = (char, self._attribute)
            self._column += 1
            if self._column == self.columns:
                self._column = 0
                self._line_feed()

    def _line_feed(self) -> None:
        self._row += 1
        if self._row == self.rows:
            self._row -= 1
            self.cells = [*self.cells[1:], [(" ", self._attribute)] * self.columns]

    def _clear(self) -> None:
        self.cells = [[(" ", self._attribute)] * self.columns for _ in range(self.rows)]
        self._column = self._row = 0

    def _draw(self, body: bytes) -> None:
        head = unpack("struct pk_bitmap_request", body, 0)
        size = (head.width + 7) // 8
        data = body[sizeof("struct pk_bitmap_request") :]
        rows = [data[start : start + size] for start in range(0, len(data), size)]
        dots = ["".join(f"{byte:08b}" for byte in row)[: head.width] for row in rows]
        self.drawn.append((head.x, head.y, head.scale, dots))


def _key(scan_code: int, character: str, modifiers: int) -> bytes:
    code = ord(character) if character else 0
    return pack("struct pk_key", scan_code=scan_code, character=code, modifiers=modifiers)
