# SPDX-License-Identifier: Apache-2.0
"""The firmware's own boot options (Boot####) as entries, in its order."""

from __future__ import annotations

from pykexec.config.menu import Entry
from pykexec.config.payload import PayloadConfig
from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.ucs2 import decode_ucs2, encode_ucs2
from pykexec.efi.variables import (
    LOAD_OPTION_ACTIVE,
    LOAD_OPTION_CATEGORY,
    LOAD_OPTION_HIDDEN,
    LoadOption,
    boot_current,
    boot_options,
    boot_order,
)
from pykexec.errors import FormatError

KIND = "boot-option"


def firmware_entries(root: StrPath = EFIVARFS) -> list[Entry]:
    """Those that its own menu would show, but for the one that we came by."""
    current = boot_current(root)
    options = {number: each for number, each in boot_options(root).items() if number != current}
    order = [number for number in boot_order(root) if number in options]
    numbers = dict.fromkeys([*order, *sorted(options)])
    return [_entry(number, options[number]) for number in numbers if _is_shown(options[number])]


def _is_shown(option: LoadOption) -> bool:
    """UEFI 2.10, 3.1.3: neither switched off nor hidden, and no application such as setup."""
    wanted = LOAD_OPTION_ACTIVE | LOAD_OPTION_HIDDEN | LOAD_OPTION_CATEGORY
    return option.attributes & wanted == LOAD_OPTION_ACTIVE


def _entry(number: int, option: LoadOption) -> Entry:
    name = option.description.strip() or f"Boot{number:04X}"
    return Entry(name, KIND, payload(option), is_found=True, number=number)


def payload(option: LoadOption) -> PayloadConfig | None:
    """What we can start ourselves, a file on a GPT partition with options that are text; None for
    all else, which the firmware has to be started anew for.
    """
    guid, path = option.path.partition_guid, option.path.file_path
    options = _text(option.optional_data)
    if guid is None or options is None or not path.startswith("\\") or not path.isprintable():
        return None
    return PayloadConfig(path, str(guid), options)


def _text(data: bytes) -> str | None:
    """Load options as we would give them again byte for byte; None where they are no such text."""
    if not data:
        return ""
    text = decode_ucs2(data)
    try:
        return text if text.isprintable() and encode_ucs2(text) == data else None
    except FormatError:
        return None
