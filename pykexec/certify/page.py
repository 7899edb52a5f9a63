# SPDX-License-Identifier: Apache-2.0
"""A report as a page for a browser: one file that asks nobody for anything."""

from __future__ import annotations

from html import escape

from pykexec.certify.plan import ABSENT, OK, OUTCOMES, PLAN
from pykexec.certify.report import Entry, Report
from pykexec.certify.show import fact_lines, machine_line, verdict

_STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}
h1{font-size:1.4rem}li{margin:.4rem 0}pre{white-space:pre-wrap;overflow-wrap:anywhere;
background:#f4f4f4;padding:.6rem;font-size:.8rem}
b{display:inline-block;min-width:10.5rem}.ok b{color:#176b2c}.absent b{color:#555}
.failed b,.hung b,.crashed b{color:#a51d1d}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}
.ok b{color:#6fce86}.absent b{color:#aaa}.failed b,.hung b,.crashed b{color:#ff8f8f}}
"""


def encode_page(report: Report) -> bytes:
    """The page, HTML 5 in UTF-8."""
    name = escape(machine_line(report))
    about = escape(", ".join(f"{key} {value}" for key, value in report.about.items()))
    end = "" if report.complete else "<p>Cut off: not all steps were run.</p>\n"
    items = "\n".join(map(_item, report.entries))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>{_STYLE}</style></head><body>\n<h1>{name}</h1>\n"
        f"<p>{escape(verdict(report))}.</p>\n{end}<p>{about}</p>\n"
        f"<ul>\n{items}\n</ul>\n</body></html>\n"
    ).encode()


def _item(entry: Entry) -> str:
    outcome = entry.result.outcome
    reason = f"<br>{escape(entry.result.reason)}" if entry.result.reason else ""
    meaning = next((step.meaning for step in PLAN if step.name == entry.name), "")
    follows = f"<br>That means: {escape(meaning)}." if outcome not in (OK, ABSENT) else ""
    facts = escape("\n".join(line[2:] for line in fact_lines(entry)))
    details = f"<details><summary>facts</summary><pre>{facts}</pre></details>" if facts else ""
    return (
        f'<li class="{outcome}"><b>{escape(OUTCOMES[outcome])}</b> {escape(entry.title)}'
        f"{reason}{follows}{details}</li>"
    )
