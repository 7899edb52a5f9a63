# SPDX-License-Identifier: Apache-2.0
"""[attest] of agent.toml: who judges the machine before its payload is started."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.config.table import Table
from pykexec.errors import UsageError

EK_KINDS = ("auto", "rsa2048", "ecc-p256", "ecc-p384")
"""Endorsement keys that may be asked for; "auto" is the best one that has a certificate."""
BANKS = ("sha256", "sha384")
"""PCR banks that may be quoted."""


@dataclass(frozen=True, slots=True)
class AttestConfig:
    """[attest]: the server, and what its answer means.

    server is an https:// address, to which the protocol's paths are added. required: without an
    accepted attestation the payload is not started. timeout_s is for all attempts together. bank ""
    leaves the choice to the server. persist: released secrets outlive boot services, so that the
    payload's operating system finds them (NFIT); it has to wipe them itself.
    """

    server: str
    required: bool = True
    timeout_s: int = 120
    bank: str = ""
    ek: str = "auto"
    persist: bool = False


def parse_attest(table: Table) -> AttestConfig:
    """Read the table; ConfigError names key and fault."""
    server = table.text("server")
    if server is None:
        raise table.fault("server", "missing")
    try:
        check_server(server)
    except UsageError as error:
        raise table.fault("server", str(error)) from None
    default = AttestConfig(server)
    timeout_s = table.number("timeout_s", default.timeout_s)
    if not timeout_s:
        raise table.fault("timeout_s", "must be 1 or more")
    return AttestConfig(
        server=server,
        required=table.flag("required", default.required),
        timeout_s=timeout_s,
        bank=_one_of(table, "bank", BANKS, default.bank),
        ek=_one_of(table, "ek", EK_KINDS, default.ek),
        persist=table.flag("persist", default.persist),
    )


def check_server(address: str) -> None:
    """UsageError unless it is the address of an HTTPS server, without a query."""
    from pykexec.config.url import parse_url

    url = parse_url(address)
    if url.scheme != "https":
        raise UsageError(f"{address}: evidence and secrets go by https:// alone")
    if "?" in address:
        raise UsageError(f"{address}: paths are added to it, a query is of no use")


def _one_of(table: Table, key: str, known: tuple[str, ...], default: str) -> str:
    text = table.text(key)
    if text is not None and text not in known:
        raise table.fault(key, f"{text!r} is not one of {', '.join(known)}")
    return text or default
