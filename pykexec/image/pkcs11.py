# SPDX-License-Identifier: Apache-2.0
"""Keys that a token or HSM keeps, named by a PKCS #11 URI (RFC 7512)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pykexec.errors import UsageError

SCHEME = "pkcs11:"
_PROXY = "p11-kit-proxy.so"
"""Where no module is named: all that p11-kit's configuration names (/usr/share/p11-kit/modules)."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """uri names the key alone; module is the PKCS #11 library that has it, pin a file with the PIN.

    Without pin the tool asks at the terminal, if the token wants one.
    """

    uri: str
    module: str = _PROXY
    pin: Path | None = None


def parse_key(text: str) -> TokenKey:
    """The key of a URI; UsageError for one that cannot be used."""
    name, _, query = text.partition("?")
    if not name.removeprefix(SCHEME):
        raise UsageError(f"{text}: names no key")
    found: dict[str, str] = {}
    for each in query.split("&") if query else ():
        attribute, _, value = each.partition("=")
        if attribute == "pin-value":
            raise UsageError(
                f"{name}: pin-value: who lists the processes would read it; pin-source=PATH names "
                "a file"
            )
        if attribute not in ("module-path", "pin-source") or not value:
            raise UsageError(f"{name}: {each}: only module-path=PATH and pin-source=PATH are known")
        found[attribute] = unquote(value)
    source = found.get("pin-source", "").removeprefix("file:").removeprefix("//")
    if "pin-source" in found and not source.startswith("/"):
        raise UsageError(f"{name}: pin-source={found['pin-source']}: must be an absolute path")
    return TokenKey(name, found.get("module-path", _PROXY), Path(source) if source else None)
