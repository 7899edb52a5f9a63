# SPDX-License-Identifier: Apache-2.0
"""PCR 7 binding: does Windows seal BitLocker's key to Secure Boot's state, or to firmware and boot
loaders?

It does the first only if Secure Boot is on and its own authority alone has vouched for everything
on the way (Microsoft, "BitLocker FAQ" and "BitLocker countermeasures"); else it takes 0, 2, 4, 11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pykexec.efi.authenticode import Certificate
from pykexec.windows.boot_manager import describe, is_windows_authority
from pykexec.windows.findings import Finding, note
from pykexec.windows.machine import Machine

WHAT = "PCR 7 binding"
_SECURE_BOOT_PCR = 7


def foreign(machine: Machine) -> tuple[Certificate | str, ...]:
    """Who but Windows' own authorities has vouched for something in this boot."""
    return tuple(
        each
        for each in machine.authorities or ()
        if isinstance(each, str) or not is_windows_authority(each)
    )


def disturbs(pcrs: Sequence[int], machine: Machine) -> str:
    """Why a key that was sealed to these registers without us on the way does not open now; ""
    where nothing is known that keeps it from it.

    Sealed to PCR 7 it was in a boot in which nobody else had vouched for anything.
    """
    if _SECURE_BOOT_PCR not in pcrs:
        return ""
    if machine.secure_boot is False:
        return "Secure Boot is off"
    if others := foreign(machine):
        return f"{describe(others[0])} vouched for something in this boot"
    return ""


def binding(machine: Machine) -> Iterator[Finding]:
    """Whether it is possible in a boot like this one, and why not."""
    consequence = "Windows seals to PCR 0, 2, 4, 11"
    if machine.secure_boot is False:
        yield note(WHAT, f"not possible, Secure Boot is off: {consequence}")
    elif machine.authorities is None:
        yield note(WHAT, "not known: there is no event log to read")
    elif others := foreign(machine):
        names = ", ".join(dict.fromkeys(map(describe, others)))
        yield note(WHAT, f"not possible, {names} vouched for something on the way: {consequence}")
    elif machine.secure_boot is None:
        yield note(WHAT, "not known: there is no variable SecureBoot to read")
    else:
        yield note(WHAT, "possible: nobody but Windows' authority vouched for anything so far")
