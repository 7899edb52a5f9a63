# SPDX-License-Identifier: Apache-2.0
"""The file that says how operators log in: what it may hold, and the words for what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.server.people.operators import OperatorSettings, read_operators
from pykexec.server.people.settings import PeopleSettings
from pykexec.server.roles import Grant

PEOPLE = PeopleSettings("https://keys.example:8443", "https://login.example", "pykexec")
WHOLE = """
passwords = "all"
second_factor = "everybody"
idle_min = 5
lifetime_h = 2
max_age_s = 60
acr = ["phr"]
[[groups]]
group = "admins"
role = "admin"
[[groups]]
group = "north"
role = "operator"
scope = ["site=north"]
"""


def read(tmp_path: Path, text: str, people: PeopleSettings | None = PEOPLE) -> OperatorSettings:
    path = tmp_path / "operators.toml"
    path.write_text(text)
    return read_operators(path, people)


def test_all_of_it(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    assert (found.address, found.passwords, found.second_factor) == (
        "https://keys.example:8443", "all", "everybody",
    )  # fmt: skip
    assert (found.idle_s, found.lifetime_s, found.max_age_s, found.acr) == (300, 7200, 60, ("phr",))
    assert found.grant(["north", "cooks"]) == Grant("operator", ("site=north",))
    assert found.grant(["north", "admins"]) == Grant("admin")
    assert found.grant(["cooks"]) is None


def test_with_groups_passwords_are_for_the_first_administrator(tmp_path: Path) -> None:
    group = '[[groups]]\ngroup = "a"\nrole = "viewer"\n'
    assert read(tmp_path, group).passwords == "first"
    assert read(tmp_path, "").passwords == "all"


@pytest.mark.parametrize(
    ("factor", "password", "provider"),
    [("registered", False, False), ("passwords", True, False), ("everybody", True, True)],
)
def test_who_needs_a_security_key(factor: str, password: bool, provider: bool) -> None:
    settings = OperatorSettings(second_factor=factor)
    assert settings.wants_key("password") is password
    assert settings.wants_key("provider") is provider


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("more = 1", "more: unknown key"),
        ('passwords = "none"', "passwords: must be one of first, all"),
        ('second_factor = "sms"', "second_factor: must be one of"),
        ("idle_min = 0", "idle_min: must be from 1 to 1440"),
        ("idle_min = true", "idle_min: must be from"),
        ("lifetime_h = 1000", "lifetime_h: must be from 1 to 168"),
        ("groups = 1", "groups: must be at most"),
        ("groups = [1]", r"groups\[0\]: must be a table"),
        ('groups = [{role = "admin"}]', r"groups\[0\]\.group: missing"),
        ('groups = [{group = "a", role = "root"}]', r"groups\[0\]: 'root' is not one of"),
        ('groups = [{group = "a", role = "admin", x = 1}]', r"groups\[0\]\.x: unknown key"),
        ('groups = [{group = "a", role = "admin", scope = ["x"]}]', r"tags are KEY=VALUE"),
        ('groups = [{group = "a", role = "admin", scope = "x=y"}]', r"must be a list of strings"),
        ("acr = 1", "acr: must be a list of strings"),
        ('address = "https://other.example"', "address: --people has another one"),
        ("=", "not TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        read(tmp_path, text)
    assert "operators.toml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('groups = [{group = "a", role = "admin"}]', "where do they log in"),
        ("max_age_s = 60", "where do they log in"),
        ('address = "http://keys.example"', "must be https"),
        ('second_factor = "everybody"', "need an address with a host's name"),
        ('second_factor = "everybody"\naddress = "https://192.0.2.1"', "need an address with"),
    ],
)
def test_what_cannot_be_without_people_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read(tmp_path, text, None)
