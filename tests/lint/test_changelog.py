# SPDX-License-Identifier: Apache-2.0
"""CHANGELOG.md has the form of Keep a Changelog 1.1.0, and agrees with the version's number."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

from pykexec.about import NUMBER
from tests.lint.tree import ROOT

TEXT = (ROOT / "CHANGELOG.md").read_text()
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
HEADINGS = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)( \[YANKED\])?")


def sections(text: str, mark: str) -> list[tuple[str, str]]:
    """Heading and content of each section whose heading mark begins."""
    parts = re.split(rf"^{mark} (.*)\n", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_releases_follow_what_is_unreleased_newest_first() -> None:
    assert HEADINGS[0] == "[Unreleased]"
    releases = [match for heading in HEADINGS[1:] if (match := RELEASE.fullmatch(heading))]
    assert [match[0] for match in releases] == HEADINGS[1:]
    numbers = [tuple(map(int, match.groups()[:3])) for match in releases]
    days = [date.fromisoformat(match[4]) for match in releases]
    assert all(new > old for new, old in pairwise(numbers))
    assert all(new >= old for new, old in pairwise(days))


def test_changes_are_sorted_by_their_kind() -> None:
    for release, content in sections(TEXT, "##"):
        kinds = sections(content, "###")
        names = [name for name, _ in kinds]
        assert names == [kind for kind in KINDS if kind in names], release
        assert names or release == "[Unreleased]"


def test_every_change_is_an_item_of_a_list() -> None:
    for release, content in sections(TEXT, "##"):
        for kind, changes in sections(content, "###"):
            lines = [line for line in changes.splitlines() if line]
            assert lines and lines[0].startswith("- "), f"{release} {kind}"
            assert [line for line in lines if not re.match(r"(- |  )\S", line)] == []


def test_the_version_is_the_newest_release_or_on_the_way_to_the_next() -> None:
    newest = HEADINGS[1].partition("]")[0].removeprefix("[")
    number, dev, _ = NUMBER.partition(".dev")
    if dev:
        assert tuple(map(int, number.split("."))) > tuple(map(int, newest.split(".")))
    else:
        assert number == newest
