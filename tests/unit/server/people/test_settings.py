# SPDX-License-Identifier: Apache-2.0
"""The file that says where persons log in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.server.people.settings import address_fault, read_people

GOOD = """\
address = "https://keys.example:8443/"
issuer = "https://login.example/realm"
client_id = "pykexec"
client_secret_file = "secret"
"""


def read(directory: Path, text: str) -> object:
    (directory / "secret").write_text("s3cret\n")
    (directory / "people.toml").write_text(text)
    return read_people(directory / "people.toml")


def test_the_file_says_where_and_its_secret_is_shown_nowhere(tmp_path: Path) -> None:
    read(tmp_path, GOOD)
    found = read_people(tmp_path / "people.toml")
    assert found.redirect_uri == "https://keys.example:8443/approve/callback"
    assert (found.client_secret, found.groups_claim) == ("s3cret", "groups")
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("issuer", "isuer"), "isuer: unknown key"),
        (('client_id = "pykexec"', ""), "client_id: missing"),
        (('"pykexec"', "7"), "client_id: must be a string"),
        (("https://login", "http://login"), "issuer: must be https://"),
        (("https://keys.example:8443/", "https://keys.example/x"), "address: pages are added"),
        (("client_id", "scopes = 7\nclient_id"), "scopes: must be a list of strings"),
        (("client_id", 'scopes = ["a", 7]\nclient_id'), "scopes: must be a list of strings"),
        (("client_id", "= 7"), "not TOML"),
    ],
)
def test_a_fault_names_its_key(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read(tmp_path, GOOD.replace(*change, 1))


@pytest.mark.parametrize(
    "address",
    ["https://a", "https://a:1/b", "http://127.0.0.1:1", "http://[::1]/", "http://localhost"],
)
def test_a_login_goes_by_https_or_stays_on_the_machine(address: str) -> None:
    assert address_fault(address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "http://a",
        "http://10.0.0.1",
        "https://",
        "https://a?x",
        "https://u:p@a",
        "ftp://a",
        "https://[",
        "https://a#b",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    assert address_fault(address)
