# SPDX-License-Identifier: Apache-2.0
"""The tables of agent.toml's keys are what the parser reads: each key is taken, and as its kind."""

from __future__ import annotations

import pytest

from pykexec.config import keys
from pykexec.config.agent import parse_config
from pykexec.config.table import FLAG, Key, Section
from pykexec.errors import ConfigError

NEEDED = {
    "payload": ("path = '\\a'",),
    "attest": ("server = 'https://s'",),
    "entry": ("name = 'a'", "path = '\\a'"),
}
EVERY = [(section, key) for section in keys.SECTIONS for key in section.keys]
NAMES = [f"{section.name}.{key.name}" for section, key in EVERY]


def document(section: Section, key: Key[object], value: str) -> bytes:
    """A file in which the key has the value, and what else its table needs."""
    others = (f"{key.name} =", "path =" if key is keys.URL else f"{key.name} =")
    needed = [line for line in NEEDED.get(section.name, ()) if not line.startswith(others)]
    head = [f"[[{section.name}]]" if section.repeated else f"[{section.name}]"]
    lines = [*(head if section.name else []), *needed, f"{key.name} = {value}", ""]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(("section", "key"), EVERY, ids=NAMES)
def test_a_key_is_read_and_its_kind_is_checked(section: Section, key: Key[object]) -> None:
    wrong = "7" if key.kind is FLAG else "true"
    with pytest.raises(ConfigError) as caught:
        parse_config(document(section, key, wrong), "a.toml")
    prefix = f"{section.name}[0]." if section.repeated else f"{section.name}."
    prefix = prefix if section.name else ""
    assert str(caught.value) == f"a.toml: {prefix}{key.name}: must be {key.kind.name}"


@pytest.mark.parametrize(
    ("section", "key"), [pair for pair in EVERY if pair[1].choices], ids=lambda each: each.name
)
def test_only_the_choices_are_taken(section: Section, key: Key[object]) -> None:
    value = "['no such']" if isinstance(key.default, tuple) else "'no such'"
    with pytest.raises(ConfigError, match=f"'no such' is not one of {', '.join(key.choices)}$"):
        parse_config(document(section, key, value), "a.toml")


def test_every_key_says_what_it_is_for() -> None:
    assert [name for name, (_, key) in zip(NAMES, EVERY, strict=True) if not key.what] == []


def test_an_empty_string_is_as_good_as_none() -> None:
    config = parse_config(b"[failure]\naction = ''\n[attest]\nserver = 'https://s'\nek = ''", "a")
    assert config.failure_action == "agent"
    assert config.attest and config.attest.ek == "auto"
