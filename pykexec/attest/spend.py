# SPDX-License-Identifier: Apache-2.0
"""Ending this boot's right to secrets: before they are opened, and before a person gets a shell.

RELEASE_PCR is zero as long as a server may release something. What is extended is in every later
quote of the same boot, and nothing but a reset takes it back.
"""

from __future__ import annotations

import hashlib

from pykexec.attest.protocol import BANKS, RELEASE_PCR
from pykexec.errors import TpmError
from pykexec.firmware.mailbox import Mailbox
from pykexec.tpm.client import Tpm


def spend(tpm: Tpm, mailbox: Mailbox | None, event: bytes) -> None:
    """Extend RELEASE_PCR with event in all banks, and make sure that it is.

    By the firmware where there is a mailbox, so that its event log tells; else by the TPM's own
    command. TpmError or FirmwareError: the boot may still be unspent, so nothing must be opened and
    nobody be let in.
    """
    before = _read(tpm)
    if mailbox:
        from pykexec.firmware.measure import measure

        measure(mailbox, RELEASE_PCR, event)
    else:
        tpm.event(RELEASE_PCR, event)
    after = _read(tpm)
    for bank, value in before.items():
        expected = hashlib.new(bank, value + hashlib.new(bank, event).digest()).digest()
        if after.get(bank) != expected:
            raise TpmError(f"PCR {RELEASE_PCR} of bank {bank} was not extended as it should be")


def _read(tpm: Tpm) -> dict[str, bytes]:
    """RELEASE_PCR in every bank that can be quoted; TpmError without one."""
    found = {}
    for bank in BANKS:
        values = tpm.read_pcrs(bank, (RELEASE_PCR,))
        if RELEASE_PCR in values:
            found[bank] = values[RELEASE_PCR]
    if not found:
        raise TpmError(f"the TPM has none of the banks {', '.join(BANKS)}")
    return found
