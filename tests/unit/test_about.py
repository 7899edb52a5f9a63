# SPDX-License-Identifier: Apache-2.0
"""The version names the commit, what was changed since, and a release by its number alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.about import NUMBER, describe
from tests.support.samples_git import commit_all, git


@pytest.fixture(name="checkout")
def checkout_fixture(tmp_path: Path) -> Path:
    """A repository with one commit of one file."""
    (tmp_path / "file").write_text("as committed\n")
    commit_all(tmp_path)
    return tmp_path


def commit(checkout: Path) -> str:
    """As many digits of the last commit as a version has."""
    return git(checkout, "rev-parse", "HEAD")[:12]


def test_a_commit(checkout: Path) -> None:
    assert describe(str(checkout)) == f"{NUMBER}+g{commit(checkout)}"


def test_a_commit_that_was_changed(checkout: Path) -> None:
    (checkout / "file").write_text("changed\n")
    assert describe(str(checkout)) == f"{NUMBER}+g{commit(checkout)}.dirty"


def test_a_file_that_git_does_not_know_changes_nothing(checkout: Path) -> None:
    (checkout / "other").write_text("new\n")
    assert describe(str(checkout)) == f"{NUMBER}+g{commit(checkout)}"


def test_a_release(checkout: Path) -> None:
    git(checkout, "tag", f"v{NUMBER}")
    assert describe(str(checkout)) == NUMBER


def test_a_release_that_was_changed(checkout: Path) -> None:
    git(checkout, "tag", f"v{NUMBER}")
    (checkout / "file").write_text("changed\n")
    assert describe(str(checkout)) == f"{NUMBER}+g{commit(checkout)}.dirty"


def test_what_follows_a_release_is_none(checkout: Path) -> None:
    git(checkout, "tag", f"v{NUMBER}")
    (checkout / "file").write_text("changed\n")
    commit_all(checkout)
    assert describe(str(checkout)) == f"{NUMBER}+g{commit(checkout)}"


def test_another_project_s_repository_around_it_is_not_asked(checkout: Path) -> None:
    (checkout / "vendor").mkdir()
    assert describe(str(checkout / "vendor")) == NUMBER


def test_a_repository_without_commit_has_none_to_name(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert describe(str(tmp_path)) == NUMBER
