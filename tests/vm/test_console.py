# SPDX-License-Identifier: Apache-2.0
"""Machines without a serial port: keyboard and screen, a line that the firmware has, nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pykexec.vm import ovmf
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image
from tests.vm.screen import Seat

FIRMWARE = ovmf.firmware("2025.02")
USB_KEYBOARD = ("-device", "qemu-xhci", "-device", "usb-kbd")
COUNTDOWN = r"starting in \d+ s, press a key for the menu"
MENU = "choose 1-5:"


def config(path: str = HELLO_PATH, action: str = "shell", timeout_s: int = 60) -> str:
    """A payload, and a shell for who presses a key before."""
    return (
        f"[payload]\npath = '{path}'\noptions = 'typed'\n[failure]\naction = '{action}'\n"
        f"[agent]\ntimeout_s = {timeout_s}\nshell = true\n"
    )


def test_a_usb_keyboard_and_a_screen_are_enough(boot: Boot, tmp_path: Path) -> None:
    machine = machine_with(
        tmp_path,
        FIRMWARE,
        image(config=config()),
        serial="none",
        reboot=True,
        extra=USB_KEYBOARD,
    )
    seat = Seat(boot(machine), FIRMWARE)
    seat.expect(COUNTDOWN, within=120)
    seat.press("spc")
    seat.expect(MENU)
    seat.type("2\n")
    seat.expect("^pykexec#")
    seat.type("echo $((6*7)) Again\n")
    seat.expect("^42 Again$")
    seat.type("sleep 600\n")
    seat.press("ctrl", "c")
    seat.type("exit\n")
    seat.expect(MENU)
    seat.type("5\n")

    seat.expect("^last end: chosen in the menu, action reset$", within=120)
    seat.expect(COUNTDOWN)
    seat.press("spc")
    seat.expect(MENU)
    seat.type("1\n")
    # The payload has been there and has come back.
    seat.expect("^last end: returned: SUCCESS, action shell$", within=120)
    seat.expect("^pykexec#")


def test_without_any_console_it_goes_on_and_the_next_start_says_why(
    boot: Boot, tmp_path: Path
) -> None:
    missing = image(config=config(r"\EFI\none.efi", action="reset", timeout_s=1))
    alone = machine_with(tmp_path, FIRMWARE, missing, serial="none", screen=False)
    vm = boot(alone)
    assert vm.wait_exit(within=120) == "guest-reset"

    found = replace(alone, serial="com1", screen=True, variables=vm.files.variables)
    why = r"\\EFI\\none.efi: No such file or directory[^\n]*, action reset"
    boot(found).expect(f"^last end: {why}$", within=120)


def test_the_second_port_is_a_console_under_lockdown_too(boot: Boot, tmp_path: Path) -> None:
    second = image(cmdline="console=ttyS1,115200 quiet lockdown=integrity")
    guest = Guest(boot(machine_with(tmp_path, FIRMWARE, second, serial="com2"))).ready()
    assert guest.ok("tty") == "/dev/ttyS1"
