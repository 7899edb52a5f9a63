# SPDX-License-Identifier: Apache-2.0
"""[wim] of agent.toml: what is started beside a boot manager."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.config import keys
from pykexec.config.table import Key, Table
from pykexec.errors import UsageError


@dataclass(frozen=True, slots=True)
class WimPart:
    """A file: its address or path, or its name where the payload is; sha256 is "" for any."""

    source: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class WimConfig:
    """The files of a WinPE or an installer; stl None is none."""

    wim: WimPart
    sdi: WimPart = WimPart(keys.SDI.default)
    bcd: WimPart = WimPart(keys.BCD.default)
    stl: WimPart | None = None


def parse_wim(table: Table, payload_is_remote: bool) -> WimConfig:
    """Read the table of a payload; ConfigError names what is wrong."""
    wim, sdi, bcd, stl = (_part(table, *pair, payload_is_remote) for pair in keys.WIM_FILES)
    if not wim.source:
        raise table.fault(keys.WIM.name, "missing")
    if stl.sha256 and not stl.source:
        raise table.fault(keys.STL_SHA256.name, "there is no stl")
    return WimConfig(wim, sdi, bcd, stl if stl.source else None)


def _part(table: Table, name: Key[str], digest: Key[str], remote: bool) -> WimPart:
    source = table.take(name)
    if source:
        _check_source(table, name, source, remote)
    return WimPart(source, take_sha256(table, digest))


def _check_source(table: Table, name: Key[str], source: str, remote: bool) -> None:
    from pykexec.config.url import parse_url

    if "\0" in source:
        raise table.fault(name.name, f"{source!r} is no name of a file")
    try:
        if "://" in source:
            parse_url(source)
        elif remote and not source.startswith("\\"):
            parse_url("http://server/").join(source)
    except UsageError as error:
        raise table.fault(name.name, str(error)) from None


def take_sha256(table: Table, key: Key[str]) -> str:
    """A digest in small digits, "" for none."""
    sha256 = table.take(key).lower()
    if sha256 and (len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef")):
        raise table.fault(key.name, "must be 64 hexadecimal digits")
    return sha256
