# SPDX-License-Identifier: Apache-2.0
"""Small generated parts of pages: diagrams, the server's figures, the rooms of the package."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from pykexec.certify.plan import PLAN
from pykexec.server.web import metrics

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs/pictures"


def diagram(name: str) -> str:
    """A drawing within the page, so that it has the colours of the page's mode."""
    svg = (PICTURES / f"{name}.svg").read_text()
    return f'```{{raw}} html\n<div class="diagram">\n{svg}</div>\n```'


def figures(_words: str) -> str:
    """What /metrics tells, as a table."""
    rows = {**metrics.COUNTERS, **metrics.HISTOGRAMS, **metrics.GAUGES}
    lines = [f"| `{name}` | {text} |" for name, text in rows.items()]
    return "\n".join(["| figure | what |", "|---|---|", *lines])


def steps(_words: str) -> str:
    """What `pykexec certify` goes through, and what follows where it does not work."""
    lines = [f"| {step.title} | {step.meaning} |" for step in PLAN]
    return "\n".join(["| step | what it means if it fails |", "|---|---|", *lines])


def rooms(_words: str) -> str:
    """The rooms of the package, each above what it may use, with what they say of themselves."""
    lines = [f"| `{name}` | {_purpose(name)} |" for layer in layers() for name in layer]
    return "\n".join(["| `pykexec/` | what |", "|---|---|", *lines])


def layers() -> Iterator[tuple[str, ...]]:
    """Names of the rooms that stand beside each other, from the top, as lint checks them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    for layer in contract["layers"]:
        yield tuple(name.strip() for name in layer.split("|"))


def _purpose(name: str) -> str:
    path = ROOT / "pykexec" / name
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", r"\|")
