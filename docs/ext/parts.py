# SPDX-License-Identifier: Apache-2.0
"""Small generated parts of pages: diagrams, the server's figures."""

from __future__ import annotations

from pathlib import Path

from pykexec.server.web import metrics

PICTURES = Path(__file__).resolve().parents[1] / "pictures"


def diagram(name: str) -> str:
    """A drawing within the page, so that it has the colours of the page's mode."""
    svg = (PICTURES / f"{name}.svg").read_text()
    return f'```{{raw}} html\n<div class="diagram">\n{svg}</div>\n```'


def figures(_words: str) -> str:
    """What /metrics tells, as a table."""
    rows = {**metrics.COUNTERS, **metrics.HISTOGRAMS, **metrics.GAUGES}
    lines = [f"| `{name}` | {text} |" for name, text in rows.items()]
    return "\n".join(["| figure | what |", "|---|---|", *lines])
