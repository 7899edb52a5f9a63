# SPDX-License-Identifier: Apache-2.0
"""Why it ended the last time, as the stub has kept it in a variable."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from pykexec._native import ffi, lib
from pykexec.abi import Action, LastEndConstant, Stage, sizeof, unpack
from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.guid import named_guids
from pykexec.efi.variables import VariableName, delete_variable, read_variable
from pykexec.errors import FormatError
from pykexec.firmware.status import SUCCESS, status_name
from pykexec.firmware.wire import enum_word
from pykexec.log import printable


@dataclass(frozen=True, slots=True)
class LastEnd:
    """Stage, status and action as in Outcome; reason is what Linux had to say, "" if nothing."""

    stage: str
    status: int
    action: str
    reason: str

    def __str__(self) -> str:
        came = [] if self.status == SUCCESS else [f"{self.stage}: {status_name(self.status)}"]
        return ", ".join([*filter(None, [self.reason]), *came, f"action {self.action}"])


def variable_name() -> VariableName:
    """Where it is kept."""
    name = bytes(ffi.string(lib.PK_LAST_END_NAME)).decode()
    return VariableName(name, named_guids()["pykexec_handoff"])


def decode_last_end(data: bytes) -> LastEnd:
    """A struct pk_last_end; FormatError if it is none that this version knows."""
    raw = unpack("struct pk_last_end", data)
    if len(data) != sizeof("struct pk_last_end") or raw.version != LastEndConstant.LAST_END_VERSION:
        raise FormatError(f"last end: version {raw.version} of {len(data)} bytes")
    reason = bytes(raw.reason).partition(b"\0")[0].decode(errors="replace")
    return LastEnd(
        enum_word(Stage, raw.stage), raw.status, enum_word(Action, raw.action), printable(reason)
    )


def read_last_end(root: StrPath = EFIVARFS) -> LastEnd | None:
    """None where nothing is kept. OSError, FormatError for a variable that cannot be read."""
    try:
        return decode_last_end(read_variable(variable_name(), root).data)
    except FileNotFoundError:
        return None


def forget_last_end(root: StrPath = EFIVARFS) -> None:
    """It has been said, and things go well: nothing is kept any more."""
    with suppress(FileNotFoundError):
        delete_variable(variable_name(), root)


def reason_bytes(reason: str) -> bytes:
    """As much of it as is kept, in UTF-8."""
    limit = LastEndConstant.REASON_MAX
    return printable(reason).encode(errors="replace")[:limit].decode(errors="ignore").encode()
