# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on mainboards that were swapped, and on what was destroyed."""

from __future__ import annotations

from pykexec.server.errors import NotFound
from pykexec.server.keys import destruction
from pykexec.server.roles import Reach
from pykexec.server.store import rebinding
from pykexec.server.store.machine_keys import MachineKeys
from pykexec.server.store.records import Machine
from pykexec.server.web.admin.machines import find
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import MACHINE, REASON, SHA256, TIME, machine_json, time_text
from pykexec.server.web.shapes import ListOf, Record, Text

_PATH = {"machine": SHA256}
_REBIND = Record({"to": SHA256, "actor": Text(256), "reason": REASON, "asked": TIME})


def _json(call: Call, found: rebinding.Rebind) -> dict[str, object]:
    return {
        "to": call.web.store.machine_by_id(found.to_id).fingerprint,
        "actor": found.actor,
        "reason": found.reason,
        "asked": time_text(found.asked),
    }


def _to(call: Call) -> Machine:
    found = call.web.store.machine(call.get("to", str, ""))
    if found is None:
        raise NotFound("there is no machine that the keys could go to")
    return found


def _ask(call: Call) -> object:
    store, reason = call.web.store, call.get("reason", str, "")
    return _json(call, rebinding.ask(store, find(call).id, _to(call).id, call.actor, reason))


def _show(call: Call) -> object:
    if (found := rebinding.asked_for(call.web.store, find(call).id)) is None:
        raise NotFound("nobody has asked for its keys to go elsewhere")
    return _json(call, found)


def _agree(call: Call) -> object:
    store = call.web.store
    return machine_json(rebinding.confirm(store, find(call).id, _to(call).id, call.actor))


def _destroyed(call: Call) -> object:
    store = call.web.store
    certificates = MachineKeys(store).destroyed(find(call).id)
    return {"key": destruction.public_key(store.keys), "certificates": list(certificates)}


OPERATIONS = (
    Operation(
        "showRebind", "GET", "/machines/{machine}/rebind", "viewer",
        "What one person has asked for, and nobody has agreed to yet.", _show, _REBIND,
        reach=Reach.WHOLE, path_shapes=_PATH, errors=(404,),
    ),
    Operation(
        "askRebind", "POST", "/machines/{machine}/rebind", "operator",
        "Ask for its keys to go to another EK, as its mainboard was swapped: another person has "
        "to agree within a day.", _ask, _REBIND,
        Record({"to": SHA256, "reason": Text(1024, size_min=1)}),
        reach=Reach.WHOLE, path_shapes=_PATH, errors=(404, 409),
    ),
    Operation(
        "agreeRebind", "POST", "/machines/{machine}/rebind/agree", "operator",
        "Agree, as another person than who has asked: it is retired, the other one is given its "
        "keys, name, tags and policy.", _agree, MACHINE, Record({"to": SHA256}),
        reach=Reach.WHOLE, path_shapes=_PATH, errors=(404, 409),
    ),
    Operation(
        "listDestroyed", "GET", "/machines/{machine}/destroyed", "viewer",
        "Certificates of its values that are gone, and the key that they are signed by.",
        _destroyed,
        Record(
            {
                "key": Text(64),
                "certificates": ListOf(Text(destruction.SIZE_MAX), 10_000),
            }
        ),
        reach=Reach.WHOLE, path_shapes=_PATH, errors=(404,),
    ),
)  # fmt: skip
