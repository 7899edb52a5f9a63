# SPDX-License-Identifier: Apache-2.0
"""Offer a menu at this console as the agent does; what is chosen is started."""

from pykexec.config.agent import parse_config
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest.boot_menu import run_menu

CONFIG = rb"""
[agent]
shell = true
[[entry]]
name = "First"
path = '\EFI\none.efi'
[[entry]]
name = "Second"
path = '\EFI\hello\hello.efi'
options = "second"
"""

run_menu(Mailbox(), parse_config(CONFIG, "menu"), again=True)
