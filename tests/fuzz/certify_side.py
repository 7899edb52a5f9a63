# SPDX-License-Identifier: Apache-2.0
"""What people send of their machines, and what a network says to a machine that is tried."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from pykexec.certify.history import salt_of, start_record
from pykexec.certify.journal import encode_record, parse_journal
from pykexec.certify.network import is_echo_reply
from pykexec.certify.replay import replay
from pykexec.certify.report import read_report
from pykexec.certify.show import report_lines
from pykexec.certify.trust import gpt_guids

_DATA = Path(__file__).resolve().parent.parent / "data"
_IDENTIFIER = 7


def report(data: bytes) -> None:
    """It is shown and replayed, whatever is in it; a journal is one."""
    records, size = parse_journal(data)
    assert 0 <= size <= len(data) and isinstance(salt_of(records), bytes)
    found = read_report(data, "x")
    assert all(line.isprintable() for line in report_lines(found))
    for check in replay(found):
        assert check.what


def _table(signature: bytes, body: bytes) -> dict[str, str]:
    """An ACPI table whose length and sum are right, as a report has it."""
    table = signature + (36 + len(body)).to_bytes(4, "little") + bytes(28) + body
    table = table[:9] + bytes([-sum(table) & 0xFF]) + table[10:]
    return {"signature": signature.decode(), "data": base64.b64encode(table).decode()}


def reports() -> list[bytes]:
    """A machine, a log with its registers, a table, a journal that was cut off."""
    machines = [path.read_bytes() for path in sorted((_DATA / "machines").glob("*.json"))[:1]]
    log = (_DATA / "eventlogs" / "tss-nuc.bin").read_bytes()
    facts: dict[str, dict[str, object]] = {
        "event-log": {"log": base64.b64encode(log).decode()},
        "tpm": {"pcrs": {"sha1": {"0": "00" * 20}}},
        "acpi": {"tables": [_table(b"NFIT", bytes(28)), _table(b"MCFG", bytes(8) + b"\1" * 16)]},
        "handles": {"handles": [{"path_hex": "7fff0400"}]},
        "variables": {"variables": [{"name": "Boot0000", "data": "AAAA"}]},
        "round-trips": {"trips": [{"to_linux_ms": 3}]},
    }
    steps = [{"name": name, "outcome": "ok", "facts": each} for name, each in facts.items()]
    whole = json.dumps({"format": "pykexec-machine", "version": 1, "steps": steps}).encode()
    journal = encode_record(start_record("machine", bytes(16), {}))
    journal += encode_record({"kind": "begin", "step": "disks"})
    return [*machines, whole, journal]


def echo(data: bytes) -> None:
    """Anybody on the wire may have sent it; partition tables are in event logs."""
    assert is_echo_reply(data, _IDENTIFIER) in (False, True)
    assert all(len(guid) <= 16 for guid in gpt_guids(data))


def echoes() -> list[bytes]:
    """An answer."""
    return [bytes([0x45, *bytes(19), 0, 0, 0, 0, 0, _IDENTIFIER, 0, 1])]
