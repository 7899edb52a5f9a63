# SPDX-License-Identifier: Apache-2.0
"""A keyboard beside a serial port: who presses a key is noticed, who types is not disturbed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from pykexec.abi_devices import ConsoleFlag
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest import console, watch
from tests.support.firmware_console import FirmwareConsole

HELD, NONE_HELD, UNKNOWN = 0x80000008, 0x80000000, 0


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would be waited."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def as_mailbox(firmware: FirmwareConsole) -> Mailbox:
    """The other end, as the type that is asked."""
    return firmware  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("modifiers", "where"), [(HELD, "keyboard"), (NONE_HELD, "keyboard"), (UNKNOWN, "port")]
)
def test_a_keyboard_knows_its_modifiers(modifiers: int, where: str) -> None:
    firmware = FirmwareConsole()
    firmware.typed.append((0, "a", modifiers))
    assert watch.where_typed(as_mailbox(firmware)) == where
    assert watch.where_typed(as_mailbox(firmware)) == ""


@pytest.mark.parametrize(
    ("terminal", "flags", "is_there"),
    [
        (None, ConsoleFlag.KEYS | ConsoleFlag.TEXT, True),
        (None, ConsoleFlag.TEXT | ConsoleFlag.SCREEN, False),
        (object(), ConsoleFlag.KEYS | ConsoleFlag.TEXT, False),
    ],
)
def test_a_second_seat_is_one_where_nobody_sits_and_somebody_can(
    terminal: object, flags: ConsoleFlag, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_terminal", terminal)
    assert watch.has_second_seat(as_mailbox(FirmwareConsole(flags=flags))) == is_there


@pytest.mark.parametrize(("available", "is_there"), [(0, True), (-1, False)])
def test_a_second_seat_leaves_a_payload_its_memory(
    available: int, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_terminal", None)
    monkeypatch.setattr(watch, "available_memory", lambda: watch.SEAT_ROOM + available)
    firmware = FirmwareConsole(flags=ConsoleFlag.TEXT | ConsoleFlag.KEYS)
    assert watch.has_second_seat(as_mailbox(firmware)) == is_there


def test_a_key_is_waited_for_until_it_is_pressed(pauses: list[float]) -> None:
    firmware = FirmwareConsole()
    asked: Iterator[int] = iter(range(100))

    def received() -> int:
        if next(asked) == 4:
            firmware.typed.append((0, "a", NONE_HELD))
        return 7

    assert watch.wait_for_keyboard(as_mailbox(firmware), received)
    assert pauses == [15.0, 1.0, 1.0, 1.0]


def test_who_types_on_the_port_ends_it_before_the_firmware_is_asked() -> None:
    firmware = FirmwareConsole()
    firmware.typed.append((0, "a", NONE_HELD))
    counts = iter([7, 8])
    assert not watch.wait_for_keyboard(as_mailbox(firmware), lambda: next(counts))
    assert firmware.nr_requests == 0


def test_what_is_no_serial_port_is_not_watched() -> None:
    ours, theirs = os.openpty()
    firmware = FirmwareConsole()
    assert watch.nr_received(theirs) is None
    assert not watch.wait_for_keyboard(as_mailbox(firmware), lambda: watch.nr_received(theirs))
    assert firmware.nr_requests == 0
    os.close(ours)
    os.close(theirs)


def test_a_firmware_that_fails_is_asked_again(capfd: pytest.CaptureFixture[str]) -> None:
    class Failing(FirmwareConsole):
        def ask(self, request: object) -> bytes:
            self.typed.append((0, "a", NONE_HELD))
            if len(self.typed) < 3:
                raise OSError(5, "Input/output error")
            return super().ask(request)  # type: ignore[arg-type]

    assert watch.wait_for_keyboard(as_mailbox(Failing()), lambda: 7)
    assert capfd.readouterr().err == "keyboard: Input/output error\n" * 2
