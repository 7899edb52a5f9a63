# SPDX-License-Identifier: Apache-2.0
"""The admin API's operation on what ends."""

from __future__ import annotations

from datetime import timedelta

from pykexec.server.expiry import KINDS, Expiry, now
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import TIME, time_text
from pykexec.server.web.shapes import Integer, ListOf, Record, Text

DAYS = 30
_ENDING = Record(
    {
        "kind": Text(16, choices=KINDS),
        "name": Text(4096),
        "ends": TIME,
        "days": Integer(-(2**31), 2**31),
        "text": Text(8192),
    }
)


def _list(call: Call) -> object:
    time, days = now(), call.get("days", int, DAYS)
    found = Expiry(call.web.store, call.web.options.certificates).endings(time)
    return {
        "endings": [
            {
                "kind": one.kind,
                "name": one.name,
                "ends": time_text(one.ends),
                "days": one.days(time),
                "text": one.text,
            }
            for one in found
            if one.ends <= time + timedelta(days=days)
        ]
    }


OPERATIONS = (
    Operation(
        "listExpiry", "GET", "/expiry", "viewer",
        "What ends within so many days (default: 30) or has ended, and what that means.", _list,
        Record({"endings": ListOf(_ENDING, 1_000_000)}), query={"days": Integer(0, 36_500)},
    ),
)  # fmt: skip
