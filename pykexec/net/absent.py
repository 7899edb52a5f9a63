# SPDX-License-Identifier: Apache-2.0
"""Why there is no network: the firmware has no Simple Network, and what PCI has all the same."""

from __future__ import annotations

from collections.abc import Sequence

from pykexec.errors import NetworkError, PykexecError
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.pci import Function, functions
from pykexec.log import describe

NONE = "this machine has no network device that its firmware knows"


def no_nic(mailbox: Mailbox) -> NetworkError:
    """The error for a machine without one, with what can be done about it."""
    try:
        nics = [function for function in functions(mailbox) if function.is_nic]
    except PykexecError as error:
        return NetworkError(f"{NONE}; what PCI has is not known: {describe(error)}")
    return NetworkError(f"{NONE}, {advice(nics)}")


def advice(nics: Sequence[Function]) -> str:
    """What to do where PCI has these network controllers."""
    if not nics:
        return "and PCI has none"
    listed = ", ".join(map(str, nics))
    return (
        f"but PCI has {listed}: switch the network stack on in its setup (it may be called network "
        "boot, PXE, or option ROMs of the network), or have an EFI driver loaded by "
        "`[firmware] drivers` in agent.toml"
    )
