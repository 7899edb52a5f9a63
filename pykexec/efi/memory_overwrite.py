# SPDX-License-Identifier: Apache-2.0
"""Having the firmware wipe memory at the next reset (TCG PC Client Platform Reset Attack Mitigation
Specification 1.10).

Whoever resets the machine while key material is in memory finds none of it afterwards.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.guid import named_guids
from pykexec.efi.variables import (
    BOOT_ATTRIBUTES,
    Variable,
    VariableName,
    read_variable,
    write_variable,
)

_CLEAR_MEMORY = 1  # bit 0 of MemoryOverwriteRequestControl


def request_memory_overwrite(
    root: StrPath = EFIVARFS,
    write: Callable[[VariableName, Variable, StrPath], None] = write_variable,
) -> bool:
    """Ask for it; False where the firmware does not offer it: it has no such variable, or one that
    nobody may write, as EDK II without SMM. OSError if it does not take it for another reason.
    """
    name = VariableName("MemoryOverwriteRequestControl", named_guids()["memory_overwrite"])
    try:
        old = read_variable(name, root).data
    except FileNotFoundError:
        return False
    control = old[0] if old else 0
    if not control & _CLEAR_MEMORY:
        new = Variable(BOOT_ATTRIBUTES, bytes([control | _CLEAR_MEMORY]))
        try:
            write(name, new, root)
        except OSError as error:
            if error.errno == errno.EROFS:  # EFI_WRITE_PROTECTED
                return False
            raise
    return True
