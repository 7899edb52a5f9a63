# SPDX-License-Identifier: Apache-2.0
"""What an image that certifies was built to do: a file of its initramfs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pykexec.config.agent import CERTIFY_PATH
from pykexec.errors import FormatError

ROUND_TRIPS = 20
ROUND_TRIPS_MAX = 1000
APPLICATION_PATH = "\\EFI\\pykexec\\hello.efi"
APPLICATION_FILE = "/etc/pykexec/hello.efi"
"""The application that comes back: on the stick, and in the initramfs."""
SLOTS = 4
"""Machines that one stick has room for."""
JOURNAL_SIZE, REPORT_SIZE, PAGE_SIZE, SCRATCH_SIZE = 2 << 20, 3 << 20, 1 << 20, 1 << 20
SCRATCH_PATH = "\\certify\\scratch.bin"


@dataclass(frozen=True, slots=True)
class Settings:
    """round_trips to the test application; identifiers: as they are; write_scratch: a file of the
    stick is written and read back.
    """

    round_trips: int = ROUND_TRIPS
    identifiers: bool = False
    write_scratch: bool = False


def encode_settings(settings: Settings) -> bytes:
    """The file."""
    return json.dumps(asdict(settings), indent=2).encode() + b"\n"


def parse_settings(data: bytes, source: str = CERTIFY_PATH) -> Settings:
    """Read the file; FormatError for anything that encode_settings() would not have written."""
    try:
        value = json.loads(data)
        settings = Settings(**value)
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"{source}: {error}") from None
    is_number = type(settings.round_trips) is int
    if not is_number or not 0 <= settings.round_trips <= ROUND_TRIPS_MAX:
        raise FormatError(f"{source}: round_trips: not 0 to {ROUND_TRIPS_MAX}")
    if not (type(settings.identifiers) is type(settings.write_scratch) is bool):
        raise FormatError(f"{source}: identifiers and write_scratch are true or false")
    return settings


def slot_paths(number: int) -> tuple[str, str, str]:
    """Journal, report and page of the stick's machine number, which counts from 1."""
    folder = f"\\certify\\{number}"
    return f"{folder}\\journal.txt", f"{folder}\\report.json", f"{folder}\\report.html"
