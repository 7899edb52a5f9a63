# SPDX-License-Identifier: Apache-2.0
"""The menu for programs: a line of JSON that is said on a serial console before it is drawn.

    PK:menu:description:{"version":1,"entries":[...],...}

It is ASCII. nr_entries says how many there are, entries lists the first LISTED_MAX, so that a slow
line is not kept busy: number is what is typed to select one, kind what it does, needs what it
demands, spends that this boot is given no secrets afterwards, editable that `e` changes its
options. default is a number, or null; timeout_s what is left until it is started, or null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pykexec.log import marker, printable
from pykexec.menu.state import Menu

if TYPE_CHECKING:
    from pykexec.config.menu import Entry

VERSION = 1
LISTED_MAX = 64


def description(entries: Sequence[Entry], menu: Menu, attests: bool) -> str:
    """The line; entries are those of the menu's rows, attests whether a boot can be spent."""
    listed = []
    for number, (entry, row) in enumerate(zip(entries, menu.rows, strict=True), 1):
        if number > LISTED_MAX:
            break
        about: dict[str, object] = {"number": number, "name": printable(entry.name)}
        about["kind"] = entry.kind
        if entry.needs:
            about["needs"] = list(entry.needs)
        if entry.spends and attests:
            about["spends"] = True
        if row.options is not None:
            about["editable"] = True
        listed.append(about)
    document = {
        "version": VERSION,
        "nr_entries": len(entries),
        "default": None if menu.default is None else menu.default + 1,
        "timeout_s": menu.left_s,
        "entries": listed,
    }
    return marker("menu", "description", json.dumps(document, separators=(",", ":")))
