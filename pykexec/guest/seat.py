# SPDX-License-Identifier: Apache-2.0
"""Has the menu drawn on this process' console, and takes the keys that are pressed there."""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pykexec.guest.watch import Where
from pykexec.menu.draw import Frame, end, frame, update
from pykexec.menu.keys import ASK_SIZE, Decoder, Size
from pykexec.menu.state import Menu, press, resize, tick

ESCAPE_S = 0.3
"""What follows an escape within this time belongs to it: a serial port is polled."""
_READ_SIZE = 1024

Elsewhere = Callable[[], Where]
"""Where else keys were pressed, asked each second until one is pressed here; once "keyboard" is
the answer, input and output are those of who sits there.
"""


def sit(menu: Menu, announce: str, elsewhere: Elsewhere, keys: int = 0, screen: int = 1) -> Menu:
    """Until something is chosen, by what comes from the terminal keys. announce is a line that is
    said first, if any.

    EOFError, OSError where nobody can choose any more.
    """
    seat = _Seat(keys, screen)
    try:
        while (menu := seat.sit(menu, announce, elsewhere)).chosen is None:
            announce = ""  # It was for who sits at the other one.
    except termios.error as error:
        raise OSError(*error.args) from None
    return menu


@dataclass(frozen=True, slots=True)
class _Seat:
    """Two open files, which are those of another console once somebody sits there."""

    keys: int
    screen: int

    def sit(self, menu: Menu, announce: str, elsewhere: Elsewhere) -> Menu:
        """At one console; nothing is chosen where somebody sits at another one."""
        saved = termios.tcgetattr(self.keys)
        tty.setraw(self.keys, termios.TCSAFLUSH)
        moved = False
        try:
            self._write(f"\r\n{announce}\r\n" if announce else "")
            menu, moved = self._turns(self._sized(menu), elsewhere)
            if not moved:
                self._write(end())
            return menu
        finally:
            if not moved:
                with suppress(OSError, termios.error):
                    termios.tcsetattr(self.keys, termios.TCSADRAIN, saved)

    def _sized(self, menu: Menu) -> Menu:
        """What a terminal of Linux' knows of itself; a serial line's has to be asked."""
        size = os.get_terminal_size(self.screen)
        if size.columns and size.lines:
            return resize(menu, size.columns, size.lines)
        self._write(ASK_SIZE)
        return menu

    def _turns(self, menu: Menu, elsewhere: Elsewhere) -> tuple[Menu, bool]:
        """The menu with what was chosen, or as it is when somebody sits elsewhere."""
        shown, decoder = Frame(), Decoder()
        is_watched = True
        next_s = time.monotonic() + 1
        while menu.chosen is None:
            picture = frame(menu)
            self._write(update(shown, picture))
            shown = picture
            wait_s = None
            if decoder.is_pending:
                wait_s = ESCAPE_S
            elif is_watched or menu.left_s is not None:
                wait_s = max(next_s - time.monotonic(), 0)
            is_typed = select.select([self.keys], [], [], wait_s)[0]
            for event in decoder.feed(self._read()) if is_typed else decoder.flush():
                if isinstance(event, Size):
                    menu = resize(menu, event.columns, event.lines)
                    continue
                is_watched = False
                menu = press(menu, event)
                if event == "redraw":
                    shown = Frame()
                    self._write(ASK_SIZE)
            if time.monotonic() >= next_s:
                next_s += 1
                menu = tick(menu)
                where = elsewhere() if is_watched and menu.chosen is None else ""
                if where:  # Somebody is there: no time runs any more.
                    menu = press(menu, "redraw")
                if where == "keyboard":
                    return menu, True
        return menu, False

    def _read(self) -> bytes:
        if not (data := os.read(self.keys, _READ_SIZE)):
            raise EOFError("the console is gone")
        return data

    def _write(self, text: str) -> None:
        view = memoryview(text.encode())
        while view:
            view = view[os.write(self.screen, view) :]
