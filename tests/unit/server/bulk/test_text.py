# SPDX-License-Identifier: Apache-2.0
"""CSV and JSON lines say the same, and a fault in either names its line."""

from __future__ import annotations

import pytest

from pykexec.attest.fields import base64url
from pykexec.errors import FormatError
from pykexec.server.bulk.text import FORMATS, Row, read, write

ROWS: list[Row] = [
    {"kind": "machine", "fingerprint": "ab", "name": 'with "quotes", Gerät', "policy": "p",
     "tags": {"site": "north", "rack": "7"}},
    {"kind": "policy", "name": "p", "text": "version = 1\nname = \"p\"\n", "comment": "x"},
    {"kind": "secret", "machine": "m", "name": "n", "type": "luks-key", "value": "AAAA",
     "parameters": {"file": "k"}},
]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_written_is_read_again(form: str) -> None:
    found = [{k: v for k, v in row.items() if k != "line"} for row in read(_text(ROWS, form), form)]
    if form == "csv":
        # A cell that says nothing takes a machine's tag away, which is not one of these.
        assert found[0] == ROWS[0]
    assert found == ROWS


def _text(rows: list[Row], form: str) -> str:
    return "".join(write(rows, form))


def test_a_line_has_the_number_where_it_begins() -> None:
    text = 'kind,name,text\npolicy,a,"one\ntwo"\n\npolicy,b,c\n'
    assert [row["line"] for row in read(text, "csv")] == [2, 5]
    assert [row["line"] for row in read('{"a":1}\n\n{"a":2}', "jsonl")] == [1, 3]


def test_spreadsheets_that_write_semicolons_are_understood() -> None:
    (row,) = read("kind;name;tag:site\r\nmachine;a,b;north\r\n", "csv")
    assert row == {"line": 2, "kind": "machine", "name": "a,b", "tags": {"site": "north"}}


def test_an_empty_cell_takes_a_machines_tag_away_and_says_nothing_else() -> None:
    text = "kind,name,tag:site,parameter:file\nmachine,,,\nek-hash,,,\n"
    first, second = read(text, "csv")
    assert first == {"line": 2, "kind": "machine", "tags": {"site": None}}
    assert second == {"line": 3, "kind": "ek-hash"}


@pytest.mark.parametrize("form", FORMATS)
def test_a_value_may_be_text(form: str) -> None:
    text = {"csv": "kind,plain\nsecret,pässword\n", "jsonl": '{"kind":"secret","plain":"pässword"}'}
    (row,) = read(text[form], form)
    assert row["value"] == base64url("pässword".encode()) and "plain" not in row


@pytest.mark.parametrize(
    ("form", "text", "fault"),
    [
        ("csv", "", "line 1: names the columns"),
        ("csv", "name\nx\n", "line 1: names the columns"),
        ("csv", "kind,name,name\n", "line 1: names the columns"),
        ("csv", "kind,name\nmachine,a\nmachine\n", "line 3: 1 cells, where there are 2 columns"),
        ("csv", 'kind,name\nmachine,"a\n', "line 2: unexpected end of data"),
        ("csv", 'kind,name\nmachine,"a"b\n', "line 2: "),
        ("csv", "kind,line\nmachine,1\n", "line 2: a key or column must not be called line"),
        ("csv", "kind,plain,value\nsecret,a,b\n", "line 2: plain is a text, instead of value"),
        ("csv", f"kind,name\nmachine,{'a' * (1 << 20)}b\n", "line 2: field larger than"),
        ("jsonl", '{"a":1}\n{"a":\n', "line 2: not JSON"),
        ("jsonl", "[]", "line 1: not an object"),
        ("jsonl", '{"plain":1}', "line 1: plain is a text"),
        ("jsonl", '{"a":1,"a":2}', "line 1: a key occurs twice"),
    ],
)
def test_a_fault_names_its_line(form: str, text: str, fault: str) -> None:
    with pytest.raises(FormatError, match=f"^{fault}"):
        list(read(text, form))
