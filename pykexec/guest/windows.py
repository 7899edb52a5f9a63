# SPDX-License-Identifier: Apache-2.0
"""The agent's look at Windows before it is started: said in lines, and decided as configured."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import ExitStack

from pykexec.attest.deliver import startup_key_file
from pykexec.attest.opened import OpenedSecret
from pykexec.config.agent import WindowsConfig
from pykexec.config.payload import PayloadConfig
from pykexec.efi.guid import Guid
from pykexec.errors import FirmwareError, MismatchError
from pykexec.firmware.mailbox import Mailbox
from pykexec.log import print_marker
from pykexec.steps import attempt, words
from pykexec.windows.check import check
from pykexec.windows.disks import firmware_disks
from pykexec.windows.findings import Report, fault, lines
from pykexec.windows.keys import StartupKey, recovery_password, startup_key
from pykexec.windows.machine import read_machine

_EXTERNAL_KEY, _PASSWORD = "bitlocker-external-key", "bitlocker-recovery-password"


class WindowsCheck:
    """For one start of the payload: look() at most once, where secrets are at hand, then
    decide().
    """

    def __init__(
        self, mailbox: Mailbox, config: WindowsConfig, payload: PayloadConfig | None = None
    ) -> None:
        self._mailbox, self._config, self._payload = mailbox, config, payload
        self._report: Report | None = None

    def look(self, secrets: Sequence[OpenedSecret]) -> None:
        """Look at the firmware's disks with these secrets, and say what was found; what goes wrong
        with that is a fault among the others.
        """
        with ExitStack() as stack:
            try:
                keys = [_key(stack, each) for each in secrets if each.kind == _EXTERNAL_KEY]
                passwords = [
                    recovery_password(each.value.view, f"secret {each.name}")
                    for each in secrets
                    if each.kind == _PASSWORD
                ]
                machine = read_machine(log=event_log(self._mailbox))
                esp = attempt("pykexec: windows", self._esp, None)
                report = check(firmware_disks(self._mailbox), machine, keys, passwords, esp)
            except Exception as error:  # Disks, secrets and variables may be anything.
                report = Report((fault("windows", words(error)),), (), ())
        for line in lines(report.findings):
            print(f"windows: {line}")
        print(f"windows: {report.summary}", flush=True)
        print_marker("windows", "mismatch" if report.faults else "fits")
        self._report = report

    def _esp(self) -> Guid | None:
        """The partition that the payload is on; None for one from elsewhere."""
        from pykexec.kexec.request import boot_volume, named_volume

        if self._payload is None or self._payload.is_remote:
            return None
        name = self._payload.volume
        volume = named_volume(self._mailbox, name) if name else boot_volume(self._mailbox)
        return volume.path.partition_guid if volume.path else None

    def decide(self) -> None:
        """MismatchError, which names the first reason, if Windows would ask somebody and is not to
        be started then.
        """
        if self._report is None:
            self.look(())
        assert self._report
        if self._report.faults and self._config.on_mismatch == "fail":
            raise MismatchError(str(self._report.faults[0]))


def _key(stack: ExitStack, secret: OpenedSecret) -> StartupKey:
    name, view = startup_key_file(stack, secret)
    return startup_key(view, f"secret {secret.name} ({name})")


def event_log(mailbox: Mailbox) -> bytes | None:
    """The firmware's log, None where it has no TPM."""
    from pykexec.firmware.info import read_tpm_info
    from pykexec.tpm.transport import read_event_log

    try:
        present = read_tpm_info(mailbox).present
    except FirmwareError as error:
        if error.errno != errno.ENOENT:
            raise
        present = False
    return read_event_log(mailbox).data if present else None
