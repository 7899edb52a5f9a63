# SPDX-License-Identifier: Apache-2.0
"""`make` alone lists every target with its words."""

from __future__ import annotations

import re

from pykexec.run import run
from tests.lint.tree import ROOT

MAKEFILE = (ROOT / "Makefile").read_text().replace("\\\n", "")
PHONY = " ".join(re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE)).split()


def test_make_alone_lists_every_target_with_its_words() -> None:
    shown = run(["make", "--no-print-directory"], cwd=ROOT).decode()
    listed = re.findall(r"^  ([a-z0-9-]+) +\S", shown, re.MULTILINE)
    assert sorted(listed) == sorted(PHONY)
    assert [line for line in shown.splitlines() if len(line) > 100] == []
