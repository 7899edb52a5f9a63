# SPDX-License-Identifier: Apache-2.0
"""Were Xen and dom0 started with the command lines that PCR 4 vouches for, and no other words?

Load options behind "--" are put in front of Xen's own command line; behind a second "--" they are
dom0's, and xen_commandline does not show them: so both lines are compared. Words that keep this
from running ("rdinit=") are what the empty options are for, with which our image starts Xen.
"""

from __future__ import annotations

from pykexec.errors import FormatError
from pykexec.launch.dom0.settings import Settings

_KEY = "xen_commandline"


class LaunchError(FormatError):
    """This is not the launch that was built, or it cannot go on; str() says why."""


def xen_commandline(info: str) -> str:
    """Xen's command line, of what `xl info` prints; LaunchError where it does not say."""
    for line in info.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == _KEY:
            return value.strip()
    raise LaunchError(f"xl info: says nothing of {_KEY}")


def check_command_lines(settings: Settings, xen: str, own: str) -> None:
    """LaunchError unless xen, Xen's, and own, this Linux', are those of the manifest."""
    for whose, found, wanted in (
        ("Xen", xen, settings.options),
        ("dom0", own.strip(), settings.cmdline),
    ):
        if found != wanted:
            raise LaunchError(f"{whose}'s command line is {found!r}, not {wanted!r}")
