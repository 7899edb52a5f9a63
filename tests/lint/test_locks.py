# SPDX-License-Identifier: Apache-2.0
"""What the server is packaged with is locked: all that pyproject.toml demands, by hashes, from no
index of anybody's.
"""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.lint.tree import ROOT

LOCKS = ROOT / "packaging/locks"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEMANDED = {
    "server.txt": [*PROJECT["dependencies"], *EXTRAS["build"], *EXTRAS["server"][1:]],
    "build.txt": PYPROJECT["build-system"]["requires"],
}
# A line of pip's: a release by its number, for whom, and what its files must be.
PIN = re.compile(r"[a-z0-9-]+==\S+(?: ; [^\\]+)?(?: --hash=sha256:[0-9a-f]{64})+")


def lines(text: str) -> list[str]:
    """Without comments, each of those that were continued in one piece."""
    whole = re.sub(r"\s*\\\n\s*", " ", text)
    return [line for line in whole.splitlines() if line and not line.startswith("#")]


def not_locked(demanded: list[str], text: str) -> list[str]:
    """Which of the requirements no pin meets."""
    words = (line.partition(" ")[0].partition("==") for line in lines(text))
    pins = {name: version for name, _, version in words}
    return [
        str(wanted)
        for wanted in map(Requirement, demanded)
        if not wanted.specifier.contains(pins.get(wanted.name, "0"), prereleases=True)
    ]


def test_the_server_has_what_it_judges_images_by() -> None:
    assert EXTRAS["server"][0] == "pykexec[build]"


@pytest.mark.parametrize("name", DEMANDED)
def test_what_the_project_demands_is_locked(name: str) -> None:
    assert not_locked(DEMANDED[name], (LOCKS / name).read_text()) == []


def test_what_is_missing_or_too_old_is_found() -> None:
    text = (
        "# why\nold==1.9 \\\n    --hash=sha256:00\nnew==2.1 ; x == 'y' \\\n    --hash=sha256:00\n"
    )
    assert not_locked(["old>=2", "new[more]>=2", "other>=1"], text) == ["old>=2", "other>=1"]


@pytest.mark.parametrize("name", DEMANDED)
def test_a_lock_has_releases_with_hashes_and_nothing_else(name: str) -> None:
    assert [line for line in lines((LOCKS / name).read_text()) if not PIN.fullmatch(line)] == []
