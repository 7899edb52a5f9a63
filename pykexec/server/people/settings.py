# SPDX-License-Identifier: Apache-2.0
"""Where persons log in: a file for `pykexec serve --people`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pykexec.config.toml import parse_toml
from pykexec.errors import FormatError

_TEXTS = ("address", "issuer", "client_id", "client_secret_file", "groups_claim", "ca")
_NEEDED = ("address", "issuer", "client_id")
_TEXT_MAX = 256
_SCOPES_MAX = 16


@dataclass(frozen=True, slots=True)
class PeopleSettings:
    """address is this server's as phones reach it, issuer the provider's.

    Without client_secret we are a public client. groups_claim is the claim of an ID token that has
    a person's groups, scopes is what is asked for besides openid. authorities is a file (PEM) of
    who may vouch for the provider; None: whom this system trusts.
    """

    address: str
    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    groups_claim: str = "groups"
    scopes: tuple[str, ...] = ("profile",)
    authorities: Path | None = None
    callback: str = "/approve/callback"

    @property
    def redirect_uri(self) -> str:
        """What has to be registered with the provider."""
        return f"{self.address}{self.callback}"


def read_people(path: Path) -> PeopleSettings:
    """The file (TOML); FormatError names key and fault. Paths in it start at its directory."""
    values = parse_toml(path.read_bytes())
    scopes = values.pop("scopes", ["profile"])
    texts = {key: values.pop(key, "") for key in _TEXTS}
    for key in values:
        raise FormatError(f"{path}: {key[:_TEXT_MAX]}: unknown key")
    for key, text in texts.items():
        if not isinstance(text, str) or len(text) > _TEXT_MAX or not (text + "x").isprintable():
            raise FormatError(f"{path}: {key}: must be a string of up to {_TEXT_MAX} characters")
        if key in _NEEDED and not text:
            raise FormatError(f"{path}: {key}: missing")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise FormatError(f"{path}: scopes: must be a list of strings")
    if len(scopes) > _SCOPES_MAX:
        raise FormatError(f"{path}: scopes: at most {_SCOPES_MAX} are taken")
    named = {key: str(text) for key, text in texts.items()}
    for key in ("address", "issuer"):
        if fault := address_fault(named[key]):
            raise FormatError(f"{path}: {key}: {fault}")
    if named["address"].rstrip("/").count("/") > 2:
        raise FormatError(f"{path}: address: pages are added to it, it has no path of its own")
    secret = named["client_secret_file"]
    return PeopleSettings(
        address=named["address"].rstrip("/"),
        issuer=named["issuer"],
        client_id=named["client_id"],
        client_secret=(path.parent / secret).read_text().strip() if secret else "",
        groups_claim=named["groups_claim"] or "groups",
        scopes=tuple(scopes),
        authorities=path.parent / named["ca"] if named["ca"] else None,
    )


def address_fault(address: str) -> str:
    """Why this is none that a login may go by; "" if it is."""
    try:
        url = urlsplit(address)
        host = url.hostname
    except ValueError:
        return "is no address"
    if not host or url.query or url.fragment or url.username is not None:
        return "must be https://HOST, without a query"
    if url.scheme == "https" or (url.scheme == "http" and _is_loopback(host)):
        return ""
    return "must be https:// (http:// on this very machine alone)"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
