# SPDX-License-Identifier: Apache-2.0
"""What is started, as [payload] and entries of the menu name it."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.config import keys
from pykexec.config.table import Key, Table
from pykexec.config.wim import take_sha256
from pykexec.errors import UsageError


@dataclass(frozen=True, slots=True)
class PayloadConfig:
    """[payload]: a file on a volume, None being the one that the image came from, or on a server.

    path is such a file's path, or the address; a relative address is relative to that of the image.
    sha256 is what the file must have, in hex; "" is any. is_launch: it is a verified launch.
    """

    path: str
    volume: str | None = None
    options: str = ""
    is_remote: bool = False
    sha256: str = ""
    is_launch: bool = False


def parse_payload(table: Table, is_launch: bool) -> PayloadConfig:
    """Take the keys of a payload; ConfigError names what is wrong."""
    path, url = table.take(keys.PATH), table.take(keys.URL)
    if path and url:
        raise table.fault(keys.URL.name, "path and url exclude each other")
    options, sha256 = table.take(keys.OPTIONS), take_sha256(table, keys.SHA256)
    if is_launch and options:
        raise table.fault(keys.OPTIONS.name, "a launch has none: nobody measures them")
    if url:
        check_url(table, keys.URL, url)
        return PayloadConfig(url, None, options, True, sha256, is_launch)
    if not path:
        raise table.fault(keys.PATH.name, "missing")
    if not path.startswith("\\") or "\0" in path:
        fault = f"{path!r} is no path on a volume, such as '\\EFI\\BOOT\\BOOTX64.EFI'"
        raise table.fault(keys.PATH.name, fault)
    volume = table.take(keys.VOLUME) or None
    return PayloadConfig(path, volume, options, False, sha256, is_launch)


def check_url(table: Table, key: Key[object], url: str) -> None:
    """ConfigError, naming key, for what is no address and leads to none where the image lies."""
    from pykexec.config.url import parse_url

    try:
        parse_url("http://server/").join(url)
    except UsageError as error:
        raise table.fault(key.name, str(error)) from None
