# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on quarantine."""

from __future__ import annotations

from pykexec.server.store.quarantine import Quarantine, Quarantined
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import PRINTABLE, REASON, TIME, time_text
from pykexec.server.web.shapes import ListOf, Record, Text

_TARGET = Text(512, f"(machine|tag):{PRINTABLE}+", size_min=5)
_ENTRY = Record(
    {"target": _TARGET, "reason": REASON, "since": TIME, "created_by": Text(256)},
)


def _json(one: Quarantined) -> dict[str, object]:
    return {
        "target": one.target,
        "reason": one.reason,
        "since": time_text(one.since),
        "created_by": one.by,
    }


def _of(call: Call) -> Quarantine:
    return Quarantine(call.web.store.database, call.web.store.keys)


def _list(call: Call) -> object:
    return {"quarantine": [_json(one) for one in _of(call).every()]}


def _put(call: Call) -> object:
    target, reason = call.get("target", str, ""), call.get("reason", str, "")
    return _json(_of(call).put(target, reason, call.actor))


def _lift(call: Call) -> object:
    _of(call).lift(call.get("target", str, ""), call.get("reason", str, ""), call.actor)
    return None


OPERATIONS = (
    Operation(
        "listQuarantine", "GET", "/quarantine", "viewer", "What is given nothing for now.",
        _list, Record({"quarantine": ListOf(_ENTRY, 100_000)}),
    ),
    Operation(
        "putQuarantine", "POST", "/quarantine", "operator",
        "Give a machine (machine:FINGERPRINT), or all that have a tag (tag:KEY=VALUE), nothing "
        "until it is lifted.", _put, _ENTRY,
        Record({"target": _TARGET}, {"reason": REASON}), errors=(404, 409), status=201,
    ),
    Operation(
        "liftQuarantine", "POST", "/quarantine/lift", "operator", "End one.", _lift,
        body=Record({"target": _TARGET}, {"reason": REASON}), errors=(404,),
    ),
)  # fmt: skip
