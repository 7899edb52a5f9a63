# SPDX-License-Identifier: Apache-2.0
"""[attest] of agent.toml: who judges the machine before its payload is started."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pykexec.config import keys
from pykexec.config.table import Table
from pykexec.errors import UsageError

_PAGES = re.compile(r"(?i:https)://[A-Za-z0-9.-]{1,120}(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class AttestConfig:
    """[attest]: the server, and what its answer means.

    server is an https:// address, to which the protocol's paths are added. required: without an
    accepted attestation the payload is not started. timeout_s is for all attempts together,
    approval_s for persons to approve. bank "" leaves the choice to the server. persist: released
    secrets outlive boot services, so that the payload's operating system finds them (NFIT); it has
    to wipe them itself. key_disks says which disks BitLocker's startup keys are put on. break_glass
    is where phones reach the server when this machine does not, "" nowhere. approval: an entry of
    the menu demands that persons have approved, whatever the server's policy does.
    """

    server: str
    required: bool = keys.REQUIRED.default
    timeout_s: int = keys.ATTEST_TIMEOUT_S.default
    bank: str = keys.BANK.default
    ek: str = keys.EK.default
    persist: bool = keys.PERSIST.default
    key_disks: str = keys.KEY_DISKS.default
    approval_s: int = keys.APPROVAL_S.default
    break_glass: str = keys.BREAK_GLASS.default
    approval: bool = False


def parse_attest(table: Table) -> AttestConfig:
    """Read the table; ConfigError names key and fault."""
    server = table.take(keys.SERVER)
    if not server:
        raise table.fault(keys.SERVER.name, "missing")
    try:
        check_server(server)
    except UsageError as error:
        raise table.fault(keys.SERVER.name, str(error)) from None
    timeout_s = table.take(keys.ATTEST_TIMEOUT_S)
    if not timeout_s:
        raise table.fault(keys.ATTEST_TIMEOUT_S.name, "must be 1 or more")
    break_glass = table.take(keys.BREAK_GLASS)
    if break_glass and not _PAGES.fullmatch(break_glass):
        # Any other character has no place in the QR code.
        raise table.fault(keys.BREAK_GLASS.name, "must be https://HOST or https://HOST:PORT")
    return AttestConfig(
        server=server,
        required=table.take(keys.REQUIRED),
        timeout_s=timeout_s,
        approval_s=table.take(keys.APPROVAL_S),
        break_glass=break_glass,
        bank=table.take(keys.BANK),
        ek=table.take(keys.EK),
        persist=table.take(keys.PERSIST),
        key_disks=table.take(keys.KEY_DISKS),
    )


def check_server(address: str) -> None:
    """UsageError unless it is the address of an HTTPS server, without a query."""
    from pykexec.config.url import parse_url

    url = parse_url(address)
    if url.scheme != "https":
        raise UsageError(f"{address}: evidence and secrets go by https:// alone")
    if "?" in address:
        raise UsageError(f"{address}: paths are added to it, a query is of no use")
