# SPDX-License-Identifier: Apache-2.0
"""Objects and sessions that somebody has loaded into the TPM, and getting rid of Linux' own.

Elsewhere a reset follows when an OS ends. Here the payload uses the TPM as Linux leaves it, and a
TPM has room for as few as three objects.
"""

from __future__ import annotations

import json
import logging
import os
import struct

from pykexec.tpm.capability import handles
from pykexec.tpm.command import Command, execute
from pykexec.tpm.constants import CommandCode, HandleType
from pykexec.tpm.transport import Transmit

log = logging.getLogger(__name__)

BASELINE = "/run/pykexec/tpm-handles"
"""What was in the TPM before Linux used it: the firmware's."""

_TYPES = (HandleType.HMAC_SESSION, HandleType.POLICY_SESSION, HandleType.TRANSIENT)


def loaded_handles(transmit: Transmit) -> set[int]:
    """Handles of all transient objects and sessions, those of saved sessions included."""
    return {handle for type_ in _TYPES for handle in handles(transmit, type_ << 24)}


def flush(transmit: Transmit, handle: int) -> None:
    """TPM2_FlushContext."""
    command = Command(CommandCode.FLUSH_CONTEXT, rest=struct.pack(">I", handle))
    execute(transmit, command).reader.end()


def flush_leftovers(transmit: Transmit, baseline: str = BASELINE) -> set[int]:
    """Remove what was not there when this was called first; the handles that were removed.

    Only while no program uses the TPM. TpmError when the TPM does not answer as it should.
    """
    now = loaded_handles(transmit)
    try:
        with open(baseline, encoding="ascii") as file:
            before = set(json.load(file))
    except FileNotFoundError:
        os.makedirs(os.path.dirname(baseline), exist_ok=True)
        with open(baseline, "w", encoding="ascii") as file:
            json.dump(sorted(now), file)
        return set()
    for handle in now - before:
        flush(transmit, handle)
    return now - before
