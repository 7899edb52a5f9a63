# SPDX-License-Identifier: Apache-2.0
"""What the project says of itself, wherever it is asked: its version, its address."""

from __future__ import annotations

import os
from functools import cache

from pykexec.errors import ToolError

NUMBER = "0.2.0.dev0"
"""The number of this version, or of the one to come; a commit with the tag v<NUMBER> is a release.
"""

AUTHORS = "The pykexec authors"

REPORTS_TO = "maintainers@pykexec.example"
"""Where reports go, those of security holes too. A placeholder: whoever publishes the project sets
the address here, and lint names the files that say another one.
"""

VERSION_FILE = "data/version"
"""In the package: what version() was where this wheel, source distribution or image was made."""

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_COMMIT_DIGITS = 12


@cache
def version() -> str:
    """NUMBER and, unless a release, the commit: 0.2.0.dev0+g0123456789ab, with .dirty behind it if
    files differ from the commit's; the bare number where neither git nor who packed it can tell.
    """
    try:
        with open(os.path.join(_PACKAGE, VERSION_FILE), encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return describe(os.path.dirname(_PACKAGE))


def describe(root: str) -> str:
    """The version of the sources in root: what git says of them if it has them."""
    from pykexec.run import run

    repository = os.path.join(root, ".git")
    if not os.path.exists(repository):
        return NUMBER
    release = f"v{NUMBER}"
    git = ["git", "--no-optional-locks", f"--git-dir={repository}", f"--work-tree={root}"]
    asked = ["describe", "--always", "--long", "--tags", f"--match={release}", "--dirty=.dirty"]
    try:
        said = run([*git, *asked, f"--abbrev={_COMMIT_DIGITS}"]).decode().strip()
    except ToolError as error:
        import logging  # The command line starts without it.

        logging.getLogger(__name__).info("the version's commit is not known: %s", error)
        return NUMBER
    place, _, commit = said.rpartition("-g")
    if place == f"{release}-0" and commit.isalnum():
        return NUMBER
    return f"{NUMBER}+g{commit}"
