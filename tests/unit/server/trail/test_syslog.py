# SPDX-License-Identifier: Apache-2.0
"""Entries as syslog: what RFC 5424 and RFC 6587 say, read by the grammar and not by our writer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pykexec.server.store.records import AuditEntry
from pykexec.server.trail.anchors import parse_entry
from pykexec.server.trail.syslog import counted, entry_line, head_line

ENTRY = AuditEntry(
    7,
    datetime(2026, 11, 29, 12, 0, 0, 5000, UTC),
    "operator:anna",
    "machine.approve",
    "machine:ab",
    {"reason": "new"},
    "0" * 64,
    "1" * 64,
)
# RFC 5424, 6: header fields, one element of structured data, the message.
FORM = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) "
    rb"([!-~]{1,128}) ([!-~]{1,32}) (\[[^ =\]\"]{1,32}(?: [^ =\]\"]{1,32}="
    rb'"(?:[^"\\\]]|\\["\\\]])*")*\]) ([ -~]*)'
)


def parts(line: bytes) -> tuple[bytes, ...]:
    found = FORM.fullmatch(line)
    assert found, line
    return found.groups()


def test_an_entry_is_a_message_that_has_all_of_it() -> None:
    priority, time, host, name, process, number, data, text = parts(entry_line(ENTRY, host="h"))
    assert (int(priority), time, host) == (13 * 8 + 5, b"2026-11-29T12:00:00.005Z", b"h")
    assert (name, process, number) == (b"pykexec", b"-", b"machine.approve")
    assert data == (
        b'[audit@32473 seq="7" actor="operator:anna" subject="machine:ab" previous="'
        + b"0" * 64 + b'" hash="' + b"1" * 64 + b'"]'
    )  # fmt: skip
    assert parse_entry(text, 1) == ENTRY


@pytest.mark.parametrize(
    ("action", "severity"),
    [("break-glass.released", 1), ("attestation.refused", 4), ("attestation.accepted", 6)],
)
def test_what_is_an_alarm_is_one_there(action: str, severity: int) -> None:
    priority = parts(entry_line(replace(ENTRY, action=action)))[0]
    assert int(priority) == 13 * 8 + severity


@pytest.mark.parametrize(
    "text", ['"]', "\\", "a\nb", "\0", "\x1b[2J", "é\u202e", "\ud800", "x" * 3000, "", "]"]
)
def test_whatever_a_stranger_is_called_it_stays_one_message(text: str) -> None:
    entry = replace(ENTRY, actor=text, subject=text, action=text, detail={"x": text})
    line = entry_line(entry, host=text)
    assert b"\n" not in line
    assert parse_entry(parts(line)[-1], 1) == entry


def test_the_enterprise_is_the_operators() -> None:
    assert b"[audit@99 " in entry_line(ENTRY, 99)


def test_a_signed_head_is_a_message() -> None:
    head = {"key": "k", "signature": "s", "statement": "{}"}
    found = parts(head_line(head, ENTRY.time, host="h"))
    assert (found[5], found[6]) == (b"audit.head", b'[head@32473 key="k"]')
    assert json.loads(found[7]) == head


def test_octets_are_counted_not_characters() -> None:
    assert counted("é".encode()) == b"2 \xc3\xa9"
