# SPDX-License-Identifier: Apache-2.0
"""A TPM in software that has seen a boot, for our attester."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pykexec.attest.client import Facts
from pykexec.attest.protocol import RELEASE_EVENT, RELEASE_PCR
from pykexec.attest.spend import spend
from pykexec.tpm.client import Tpm
from pykexec.tpm.transport import FirmwareLog
from tests.support.attest_log import IPL, Boot, Measured, boot_events, encode_log
from tests.support.software_tpm import SoftwareTpm, software_tpm

BANKS = ("sha256", "sha384")
MACHINE = {"vendor": "QEMU", "uuid": "01234567-89ab-cdef-0123-456789abcdef"}
PAYLOAD = {"path": "\\EFI\\a.efi", "sha256": "00" * 32, "authenticode_sha256": "11" * 32}


@dataclass(slots=True)
class Booted:
    """A TPM whose registers are those of a boot, and that boot's event log."""

    transmit: SoftwareTpm
    events: tuple[Measured, ...]

    @property
    def facts(self) -> Facts:
        return Facts(MACHINE, PAYLOAD, lambda: FirmwareLog(encode_log(BANKS, self.events), False))

    def spend(self, tpm: Tpm) -> None:
        """As the agent does it; here the log is ours to write."""
        spend(tpm, None, RELEASE_EVENT)
        self.events += (Measured(RELEASE_PCR, IPL, RELEASE_EVENT),)


@contextmanager
def booted_tpm(directory: Path) -> Iterator[Booted]:
    """A new TPM with its state in directory, after a boot."""
    with software_tpm(directory) as transmit:
        booted = Booted(transmit, boot_events(Boot(drivers=2)))
        for event in booted.events:
            if event.extends:
                Tpm(transmit).extend(event.pcr, {bank: event.digest(bank) for bank in BANKS})
        yield booted
