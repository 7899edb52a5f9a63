# SPDX-License-Identifier: Apache-2.0
"""Starts an EFI application by the route that is named, saying when it was decided to."""

import sys

from pykexec.abi import Action
from pykexec.efi.device_path import DevicePath
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.efi.variables import LOAD_OPTION_ACTIVE, LoadOption, set_boot_next
from pykexec.firmware import native
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.execute import exec_payload
from pykexec.kexec.leave import leave
from pykexec.kexec.native import takes_applications
from pykexec.kexec.request import boot_volume


def reset_into(mailbox: Mailbox, path: str, options: str) -> None:
    """BootNext and a reset: what a machine without pykexec would do."""
    volume = boot_volume(mailbox).path
    assert isinstance(volume, DevicePath)
    target = volume.append_file(path)
    set_boot_next(LoadOption(LOAD_OPTION_ACTIVE, "bench", target, encode_ucs2(options)))
    leave(mailbox, Action.RESET)


def choose(route: str) -> None:
    """Of the two ways of kexec: the kernel may not be one that has both."""
    native.allow(route == "native")
    assert takes_applications() == (route == "native")


with Mailbox() as box:
    route, file, words = sys.argv[1:]
    if route in ("native", "resume"):
        choose(route)
        route = "kexec"
    print("PK:bench:decided:0", flush=True)
    if route == "reset":
        reset_into(box, file, words)
    exec_payload(box, file, options=words, via=route)
