# SPDX-License-Identifier: Apache-2.0
"""One address for reports, in every file that names one."""

from __future__ import annotations

import re

from pykexec.about import REPORTS_TO
from tests.lint.tree import ROOT, relative, tracked

# Addresses of a domain that is nobody's; written apart, to be none itself.
PLACEHOLDER = re.compile(r"[\w.+-]+@" + r"pykexec\.example\b")
TELL_HOW_TO_REPORT = (ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md")


def test_no_file_names_another_address() -> None:
    others = {
        relative(path): found
        for path in tracked()
        if (found := set(PLACEHOLDER.findall(path.read_text(errors="replace"))) - {REPORTS_TO})
    }
    assert others == {}


def test_who_wants_to_report_finds_the_address() -> None:
    told = [path for path in TELL_HOW_TO_REPORT if path in tracked()]
    assert [relative(path) for path in told if REPORTS_TO not in path.read_text()] == []
