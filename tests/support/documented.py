# SPDX-License-Identifier: Apache-2.0
"""Scripts and commands as the documentation has them, so that tests run what operators read."""

from __future__ import annotations

import re
from pathlib import Path

_DOCS = Path(__file__).resolve().parents[2] / "docs"


def script(page: str, language: str) -> str:
    """The one block of that language on a page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", _text(page), re.DOTALL | re.MULTILINE)
    return str(found)


def commands(page: str, heading: str) -> list[str]:
    """What the console blocks under a heading say after "$ "; the next heading ends it."""
    _, _, rest = _text(page).partition(f"\n### {heading}\n")
    section = re.split(r"^#{1,3} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```console\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def _text(page: str) -> str:
    return (_DOCS / page).read_text()
