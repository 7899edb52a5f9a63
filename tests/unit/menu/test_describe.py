# SPDX-License-Identifier: Apache-2.0
"""What programs are told of a menu."""

from __future__ import annotations

import json

from pykexec.config.menu import Entry
from pykexec.config.payload import PayloadConfig
from pykexec.menu.describe import description
from pykexec.menu.state import Row, begin

ENTRIES = (
    Entry("Debian", "efi", PayloadConfig("\\a.efi"), ("attest",)),
    Entry("On a disk \u00e9\x1b", "efi", PayloadConfig("\\b.efi"), is_found=True),
    Entry("Shell", "shell", None, ("shell",)),
)
ROWS = (Row("Debian", options=""), Row("On a disk"), Row("Shell"))


def test_it_is_a_line_of_ascii_that_says_what_can_be_chosen() -> None:
    line = description(ENTRIES, begin(ROWS, 0, 5), attests=True)
    head, _, text = line.partition("{")
    assert (head, line.isascii(), line.isprintable()) == ("PK:menu:description:", True, True)
    assert json.loads("{" + text) == {
        "version": 1,
        "nr_entries": 3,
        "default": 1,
        "timeout_s": 5,
        "entries": [
            {"number": 1, "name": "Debian", "kind": "efi", "needs": ["attest"], "editable": True},
            {"number": 2, "name": "On a disk \u00e9?", "kind": "efi", "spends": True},
            {"number": 3, "name": "Shell", "kind": "shell", "needs": ["shell"], "spends": True},
        ],
    }


def test_nothing_is_spent_where_nothing_attests() -> None:
    line = description(ENTRIES, begin(ROWS), attests=False)
    assert "spends" not in line
    assert '"default":null,"timeout_s":null' in line


def test_a_thousand_entries_do_not_keep_a_slow_line_busy() -> None:
    entries = tuple(Entry(f"entry {number}", "efi") for number in range(1000))
    line = description(entries, begin(tuple(Row(each.name) for each in entries)), False)
    found = json.loads(line.partition("description:")[2])
    assert (found["nr_entries"], len(found["entries"])) == (1000, 64)
    assert len(line) < 4096
