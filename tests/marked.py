# SPDX-License-Identifier: Apache-2.0
"""Tables that a program writes into a page, between <!-- name: begin --> and <!-- name: end -->."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pykexec.run import run


def replaced(document: str, name: str, lines: Sequence[str]) -> str:
    """document with lines between the marks of name; ValueError if one is missing."""
    mark = f"<!-- {name}: begin -->"
    begin = document.index(mark) + len(mark)
    end = document.index(f"<!-- {name}: end -->", begin)
    return document[:begin] + "\n" + "".join(f"{line}\n" for line in lines) + document[end:]


def put(name: str, lines: Sequence[str], words: Sequence[str]) -> None:
    """Put lines into the page that words name, or print them where there is none."""
    if not words:
        print("\n".join(lines))
        return
    page = Path(words[0])
    page.write_text(replaced(page.read_text(), name, lines))


def stamp(file: Path, root: Path = Path(__file__).parents[1]) -> str:
    """When the results in file were found and, in a git checkout, at which commit."""
    when = f"on {date.fromtimestamp(file.stat().st_mtime)}"
    if not (root / ".git").exists():
        return when
    commit = run(["git", "rev-parse", "--short", "HEAD"], cwd=root).decode().strip()
    return f"{when} at commit {commit}"
