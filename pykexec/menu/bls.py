# SPDX-License-Identifier: Apache-2.0
"""Boot loader specification entries (UAPI.1), type 1: a text file for each.

https://uapi-group.org/specifications/specs/boot_loader_specification/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pykexec.errors import FormatError

SIZE_MAX = 65536
"""Bytes of an entry."""
ARCHITECTURE = "x64"
_SUFFIX = ".conf"
_TRIES = re.compile(r"\+\d+(?:-\d+)?\Z")
_MANY = ("initrd", "options")
"""May be there more than once; of all others the last one counts."""


@dataclass(frozen=True, slots=True)
class BlsEntry:
    """What it starts: path on its own volume, with backslashes, and load options."""

    title: str
    path: str
    options: str
    order: tuple[object, ...] = ()


def parse_bls_entry(data: bytes, name: str) -> BlsEntry | None:
    """Read the file of that name; None if it is for other machines. FormatError names what is
    wrong.
    """
    if len(data) > SIZE_MAX:
        raise FormatError(f"{name}: {len(data)} bytes, at most {SIZE_MAX}")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise FormatError(f"{name}: not UTF-8") from None
    one, many = _fields(text)
    if one.get("architecture", ARCHITECTURE).casefold() != ARCHITECTURE:
        return None
    options = " ".join(many["options"])
    if path := one.get("linux"):
        # Linux' own stub takes what it is told from the volume that it came from.
        initrds = (f"initrd={_efi_path(initrd, name)}" for initrd in many["initrd"])
        options = " ".join([*initrds, *filter(None, [options])])
    elif not (path := one.get("uki") or one.get("efi")):
        raise FormatError(f"{name}: neither linux nor efi nor uki")
    title = one.get("title") or _TRIES.sub("", name.removesuffix(_SUFFIX))
    return BlsEntry(title, _efi_path(path, name), options, _order(one, name))


def _fields(text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    one: dict[str, str] = {}
    many: dict[str, list[str]] = {key: [] for key in _MANY}
    for line in text.splitlines():
        key, _, value = line.strip().replace("\t", " ").partition(" ")
        value = value.strip()
        if key in many:
            many[key].append(value)
        elif key and not key.startswith("#") and value:
            one[key] = value
    return one, many


def _efi_path(path: str, name: str) -> str:
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    if not parts or ".." in parts or not path.isprintable() or " " in path:
        raise FormatError(f"{name}: {path!r} is no path on a volume")
    return "\\" + "\\".join(parts)


def _order(one: dict[str, str], name: str) -> tuple[object, ...]:
    """By sort-key, those without one behind; then the newest version first."""
    key = one.get("sort-key", "")
    version = tuple(
        (0, -int(part[:18]), "") if part.isascii() and part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", one.get("version", ""))
    )
    return (not key, key, one.get("machine-id", "") if key else "", version, name)
