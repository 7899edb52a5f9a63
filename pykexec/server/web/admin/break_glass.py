# SPDX-License-Identifier: Apache-2.0
"""The admin API's operation on break-glass: its rehearsal."""

from __future__ import annotations

from datetime import UTC, datetime

from pykexec.server.rehearsal import rehearse
from pykexec.server.roles import Reach
from pykexec.server.web.admin.machines import find
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import SHA256
from pykexec.server.web.shapes import Flag, ListOf, Record, Text

_CHECK = Record({"name": Text(64), "ok": Flag(), "text": Text(8192)})
_REHEARSAL = Record({"ok": Flag(), "checks": ListOf(_CHECK, 16)})


def _rehearse(call: Call) -> object:
    machine = find(call)
    checks = rehearse(call.web.store, call.web.provider, machine, datetime.now(UTC))
    ok = all(check.ok for check in checks)
    detail = {"missing": [check.name for check in checks if not check.ok]}
    call.web.store.audit(
        call.actor, "break-glass.rehearse", f"machine:{machine.fingerprint}", detail
    )
    rows = [{"name": check.name, "ok": check.ok, "text": check.text} for check in checks]
    return {"ok": ok, "checks": rows}


OPERATIONS = (
    Operation(
        "rehearseBreakGlass", "POST", "/machines/{machine}/break-glass/rehearse", "operator",
        "Find out whether break-glass would work for it today; nothing is released.", _rehearse,
        _REHEARSAL, reach=Reach.WHOLE, path_shapes={"machine": SHA256}, errors=(404,),
    ),
)  # fmt: skip
