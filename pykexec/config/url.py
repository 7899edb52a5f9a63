# SPDX-License-Identifier: Apache-2.0
"""Addresses of files on servers: http and https (RFC 9110), tftp (RFC 3617)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pykexec.errors import UsageError

PORTS = {"http": 80, "https": 443, "tftp": 69}
_BACKSLASH = "%5C"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)(.*)", re.DOTALL)
_AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)(?:%25(?P<scope>[\w.-]+))?\]|(?P<name>[\w.-]+))"
    r"(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Url:
    """A file on a server; path begins with a slash and is percent-encoded, query included.

    host is an address or a name; an IPv6 address may have the scope that link-local ones need.
    """

    scheme: str
    host: str
    port: int
    path: str
    scope: str = ""

    def __str__(self) -> str:
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.authority_host}{port}{self.path}"

    @property
    def authority_host(self) -> str:
        """The host as it is written between slashes: an IPv6 address in brackets."""
        scope = f"%25{self.scope}" if self.scope else ""
        return f"[{self.host}{scope}]" if ":" in self.host else self.host

    @property
    def directory(self) -> Url:
        """Where the file lies: what relative addresses are relative to."""
        path = self.path.partition("?")[0]
        end = path.rindex("/") + 1
        if self.scheme == "tftp":
            # Windows' boot servers know names of parts with backslashes between, and no others.
            backslash = path.upper().rfind(_BACKSLASH)
            end = max(end, backslash + len(_BACKSLASH)) if backslash > 0 else end
        return replace(self, path=path[:end])

    @property
    def file_name(self) -> str:
        """What a TFTP server is asked for: everything behind the first slash (RFC 3617)."""
        from urllib.parse import unquote

        return unquote(self.path[1:])

    def join(self, reference: str) -> Url:
        """The absolute address that reference means in the directory of this one (RFC 3986, 5.2).

        UsageError for one that leads above the root or is not printable ASCII.
        """
        if is_absolute(reference):
            return parse_url(reference)
        _check_characters(reference)
        if reference.startswith("//"):
            return parse_url(f"{self.scheme}:{reference}")
        if reference.startswith("/"):
            return replace(self, path=_without_dots(reference, reference))
        directory = self.directory.path
        if not directory.upper().endswith(_BACKSLASH):
            return replace(self, path=_without_dots(directory + reference, reference))
        slashes = re.sub(_BACKSLASH, "/", directory, flags=re.IGNORECASE)
        path = _without_dots(slashes + reference, reference)
        return replace(self, path="/" + path[1:].replace("/", _BACKSLASH))


def is_absolute(text: str) -> bool:
    """Does it name its scheme and server?"""
    return _SCHEME.fullmatch(text) is not None


def parse_url(text: str) -> Url:
    """Read an absolute address; UsageError says what is wrong with it."""
    _check_characters(text)
    match = _SCHEME.fullmatch(text)
    if not match:
        raise UsageError(f"{text}: not an address such as http://server/file")
    scheme = match[1].lower()
    if scheme not in PORTS:
        raise UsageError(f"{text}: {scheme} is none of {', '.join(PORTS)}")
    authority, path = match[2], match[3]
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        raise UsageError(f"{text}: {authority!r} is no server (name, IPv4 or [IPv6], :port)")
    port = int(parts["port"]) if parts["port"] else PORTS[scheme]
    if not 0 < port < 65536:
        raise UsageError(f"{text}: no port {port}")
    # A query may follow the server at once (RFC 3986, 3.2).
    path = _without_dots(path if path.startswith("/") else f"/{path}", text)
    return Url(scheme, parts["v6"] or parts["name"], port, path, parts["scope"] or "")


def _check_characters(text: str) -> None:
    # What ends a line or a word would add headers to a request of ours.
    if not text or not all("!" <= char <= "~" for char in text) or "#" in text:
        raise UsageError(f"{text!r}: an address has printable ASCII, no space and no '#'")


def _without_dots(path: str, whole: str) -> str:
    """path with "." and ".." resolved; empty segments stay, TFTP servers may mean them."""
    path, mark, query = path.partition("?")
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if not kept:
                raise UsageError(f"{whole}: leads above the server's root")
            kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept) + mark + query
