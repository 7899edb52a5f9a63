# SPDX-License-Identifier: Apache-2.0
"""Every exception that pykexec raises; the command line turns them into exit codes."""

from __future__ import annotations


class PykexecError(Exception):
    """Base of all errors; exit_code is what the command line ends with."""

    exit_code = 1


class UsageError(PykexecError):
    """The request makes no sense: wrong option, unknown name, impossible combination."""

    exit_code = 2


class FormatError(PykexecError):
    """A file or message is not what it should be; str() names it and the fault."""

    exit_code = 3


class ConfigError(FormatError):
    """agent.toml or a recipe has an unknown key, a wrong type or a missing value."""


class ToolError(PykexecError):
    """A program that was run failed; str() holds its command line and last words."""

    exit_code = 4


class MismatchError(PykexecError):
    """Windows on this machine would not start unattended."""


class KexecError(PykexecError, OSError):
    """The kernel refused kexec_file_load() or reboot(); errno is set."""

    exit_code = 5


class PayloadRefusedError(KexecError):
    """The kernel looked at the payload and refused it: no other way to start it may be tried."""


class DeniedError(PykexecError):
    """The verifier denied the attestation."""

    exit_code = 6


class TpmError(PykexecError):
    """The TPM answered with an error or not at all."""

    exit_code = 7


class FirmwareError(PykexecError, OSError):
    """A firmware call through the gate failed; errno is set, status is the efi_status_t."""

    exit_code = 8

    def __init__(
        self, errno: int, strerror: str, filename: str | None = None, status: int = 0
    ) -> None:
        super().__init__(errno, strerror, filename)
        self.status = status


class NotResidentError(FirmwareError):
    """This machine does not run under live boot services: there is no mailbox."""


class NetworkError(PykexecError):
    """A server cannot be reached, refuses, breaks off, or gives what is not wanted."""

    exit_code = 9


class NotOnServerError(NetworkError):
    """The server answers, but does not have the file."""
