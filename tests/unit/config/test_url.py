# SPDX-License-Identifier: Apache-2.0
"""Addresses of files on servers: what is read, what is refused, what is relative to what."""

from __future__ import annotations

import pytest

from pykexec.config.url import is_absolute, parse_url
from pykexec.errors import UsageError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://server", ("http", "server", 80, "/", "")),
        ("http://server?x=/1", ("http", "server", 80, "/?x=/1", "")),
        ("HTTPS://10.0.2.2:8443/a/b.efi?x=1", ("https", "10.0.2.2", 8443, "/a/b.efi?x=1", "")),
        ("tftp://[fd00::1]/a.efi", ("tftp", "fd00::1", 69, "/a.efi", "")),
        ("http://[fe80::1%25eth0]:81/", ("http", "fe80::1", 81, "/", "eth0")),
        ("tftp://server//srv/a.efi", ("tftp", "server", 69, "//srv/a.efi", "")),
        ("http://server/a/./b/../c", ("http", "server", 80, "/a/c", "")),
    ],
)
def test_an_address_has_these_parts(text: str, parts: tuple[object, ...]) -> None:
    url = parse_url(text)
    assert (url.scheme, url.host, url.port, url.path, url.scope) == parts
    assert parse_url(str(url)) == url


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "printable ASCII"),
        ("a.efi", "not an address"),
        ("ftp://server/a", "ftp is none of http, https, tftp"),
        ("file:///etc/passwd", "file is none of"),
        ("http:///a", "'' is no server"),
        ("http://user:word@server/a", "is no server"),
        ("http://server:99999/a", "no port 99999"),
        ("http://server:0/a", "no port 0"),
        ("http://[fe81]/a", "is no server"),
        pytest.param(f"http://server:{'9' * 5000}/a", "is no server", id="endless port"),
        ("http://server/../a", "above the server's root"),
        ("http://server/a b", "no space"),
        ("http://server/a\r\nX-Evil: 1", "printable ASCII"),
        ("http://server/ä", "printable ASCII"),
        ("http://server/a#b", "no '#'"),
    ],
)
def test_what_is_no_address_is_refused(text: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        parse_url(text)


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        ("agent.toml", "http://server:8080/boot/agent.toml"),
        ("os/grub.efi", "http://server:8080/boot/os/grub.efi"),
        ("../x.efi", "http://server:8080/x.efi"),
        ("/x.efi", "http://server:8080/x.efi"),
        ("..", "http://server:8080/"),
        ("https://other/x.efi", "https://other/x.efi"),
        ("//other/x.efi", "http://other/x.efi"),
    ],
)
def test_a_reference_is_relative_to_the_files_directory(reference: str, address: str) -> None:
    assert str(parse_url("http://server:8080/boot/pykexec.efi?v=/1").join(reference)) == address


@pytest.mark.parametrize("reference", ["../../x", "///x", "", "a b"])
def test_a_reference_that_leads_elsewhere_is_refused(reference: str) -> None:
    with pytest.raises(UsageError):
        parse_url("http://server/boot/pykexec.efi").join(reference)


@pytest.mark.parametrize(
    ("file", "reference", "asked"),
    [
        (r"boot\x64\pykexec.efi", "agent.toml", r"boot\x64\agent.toml"),
        (r"\boot\x64\pykexec.efi", "agent.toml", r"\boot\x64\agent.toml"),
        (r"boot\x64\pykexec.efi", "os/../b.efi", r"boot\x64\b.efi"),
        (r"boot\x64\pykexec.efi", "/b.efi", "b.efi"),
        (r"boot/x64\pykexec.efi", "b.efi", r"boot\x64\b.efi"),
        ("boot/a%5cb/pykexec.efi", "b.efi", r"boot/a\b/b.efi"),
    ],
)
def test_windows_boot_servers_are_asked_with_backslashes(
    file: str, reference: str, asked: str
) -> None:
    url = parse_url("tftp://server/" + file.replace("\\", "%5C"))
    assert url.join(reference).file_name == asked


def test_backslashes_are_nothing_special_to_http_or_a_query() -> None:
    assert str(parse_url("http://s/a%5Cb.efi").join("c")) == "http://s/c"
    assert str(parse_url("tftp://s/a.efi?x=%5C").join("c")) == "tftp://s/c"


def test_tftp_asks_for_what_follows_the_first_slash() -> None:
    assert parse_url("tftp://server/boot/a%20b.efi").file_name == "boot/a b.efi"
    assert parse_url("tftp://server//srv/a.efi").file_name == "/srv/a.efi"


def test_paths_of_the_firmware_are_no_addresses() -> None:
    assert not is_absolute("\\EFI\\a.efi")
    assert is_absolute("http://server/a.efi")
