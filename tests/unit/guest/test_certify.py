# SPDX-License-Identifier: Apache-2.0
"""What an image that certifies says is seen once by whoever looks, at whatever screen."""

from __future__ import annotations

from typing import cast

import pytest

from pykexec.firmware.mailbox import Mailbox
from pykexec.guest import console
from pykexec.guest.certify import say_everywhere
from tests.support.firmware_console import FirmwareConsole


@pytest.fixture(name="screen")
def screen_fixture(monkeypatch: pytest.MonkeyPatch) -> FirmwareConsole:
    monkeypatch.setattr(console, "_active_devices", list)
    return FirmwareConsole(columns=40)


def say(screen: FirmwareConsole, line: str) -> None:
    say_everywhere(cast(Mailbox, screen), line)


def test_beside_a_serial_line_it_is_on_the_firmwares_screen_too(
    screen: FirmwareConsole, capfd: pytest.CaptureFixture[str]
) -> None:
    say(screen, "[1/18] memory map ...")
    say(screen, "disks: does not work: read \U0001f4be\x1b[2J")
    assert screen.lines == ["[1/18] memory map ...", "disks: does not work: read ??[2J"]
    assert capfd.readouterr().out.startswith("[1/18] memory map ...\ndisks: ")


def test_markers_are_for_programs(screen: FirmwareConsole) -> None:
    say(screen, "PK:certify:memory:begin")
    assert screen.lines == [""]


def test_who_sits_at_the_firmwares_console_reads_it_once(
    screen: FirmwareConsole,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(console, "_terminal", object())
    say(screen, "memory map")
    assert (screen.lines, capfd.readouterr().out) == ([""], "memory map\n")


def test_a_firmware_that_has_no_console_keeps_nobody_from_going_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_active_devices", list)
    say_everywhere(cast(Mailbox, None), "memory map")
    assert capfd.readouterr().out == "memory map\n"
