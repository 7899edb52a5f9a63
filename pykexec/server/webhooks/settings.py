# SPDX-License-Identifier: Apache-2.0
"""Whom webhooks may reach: a file for `pykexec serve --webhooks`, as a token alone must not say."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pykexec.config.toml import parse_toml
from pykexec.errors import FormatError, UsageError

_KEYS = {"ca": str, "allow_http": bool, "allow_loopback": bool}
_ADDRESS_MAX = 2048
_EVERYWHERE = ipaddress.ip_network("0.0.0.0/8")
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """authorities is a file (PEM) of who may vouch for receivers; None: whom the system trusts.
    Unless http is allowed all is by TLS; unless loopback is, nothing goes to this very host.
    """

    authorities: Path | None = None
    http: bool = False
    loopback: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """A receiver's address, taken apart; netloc is as it stands there, path has the query."""

    tls: bool
    host: str
    port: int
    netloc: str
    path: str

    @property
    def origin(self) -> str:
        """What of it may be shown: the rest may be a secret."""
        return f"{'https' if self.tls else 'http'}://{self.netloc}"


def read_webhooks(path: Path) -> WebhookSettings:
    """The file (TOML); FormatError names key and fault. Its paths start at its directory."""
    values = parse_toml(path.read_bytes())
    for key, value in values.items():
        if key not in _KEYS:
            raise FormatError(f"{path}: {key[:256]}: unknown key")
        if not isinstance(value, _KEYS[key]):
            kind = "a string" if _KEYS[key] is str else "true or false"
            raise FormatError(f"{path}: {key}: must be {kind}")
    authorities = str(values.get("ca", ""))
    return WebhookSettings(
        path.parent / authorities if authorities else None,
        bool(values.get("allow_http")),
        bool(values.get("allow_loopback")),
    )


def parse_target(address: str, settings: WebhookSettings) -> Target:
    """A receiver's address; UsageError, which does not repeat it."""
    fits = len(address) <= _ADDRESS_MAX and address.isascii() and address.isprintable()
    try:
        url = urlsplit(address if fits and " " not in address else "")
        host, port = url.hostname, url.port
    except ValueError:
        raise UsageError("the address is none") from None
    if url.scheme not in ("https", "http") or not host:
        raise UsageError("the address must be https://HOST/PATH")
    if url.username is not None or url.fragment:
        raise UsageError("the address has a user or a fragment, which are not sent")
    tls = url.scheme == "https"
    if not tls and not settings.http:
        raise UsageError("the address must be https:// (http:// only where --webhooks allows it)")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    target = Target(tls, host, port or (443 if tls else 80), url.netloc, path)
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return target
    if fault := address_fault(literal, settings):
        raise UsageError(fault)
    return target


def address_fault(address: _Ip, settings: WebhookSettings) -> str:
    """Why nothing is sent there, whatever name has led to it; "" if it may be."""
    for inner in ("ipv4_mapped", "sixtofour"):
        address = getattr(address, inner, None) or address
    here = address.is_loopback or address.is_unspecified
    if here or (address.version == 4 and address in _EVERYWHERE):
        return "" if settings.loopback else "it is on this very host, which --webhooks must allow"
    if address.is_link_local or address.is_multicast or address.is_reserved:
        return "it is a link-local, multicast or reserved address"
    return ""
