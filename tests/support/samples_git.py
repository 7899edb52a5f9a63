# SPDX-License-Identifier: Apache-2.0
"""Directories made into git repositories, for the tests that ask which commit something is."""

from __future__ import annotations

from pathlib import Path

from pykexec.run import run

# Nobody's configuration and identity.
ALONE = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "a" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "a@example.com" for who in ("AUTHOR", "COMMITTER")},
}


def git(directory: Path, *words: str) -> str:
    """What git prints in directory."""
    return run(["git", *words], cwd=directory, env=ALONE).decode().strip()


def commit_all(directory: Path) -> str:
    """Make everything in directory a commit, in a repository of its own if need be; its name."""
    git(directory, "init", "--quiet")
    git(directory, "add", "--all", "--force")
    git(directory, "commit", "--quiet", "--message=all")
    return git(directory, "rev-parse", "HEAD")
