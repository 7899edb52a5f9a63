# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on keys that machines hand in: plans, generations, who saw them."""

from __future__ import annotations

from pykexec.attest.protocol import SECRET_KINDS
from pykexec.server.keys.envelope import wipe
from pykexec.server.keys.escrow_values import ESCROWED_KINDS, KEY_FILE_MAX
from pykexec.server.roles import Reach
from pykexec.server.store.key_plans import NAME_MAX, ROTATE_DAYS_MAX
from pykexec.server.store.machine_keys import KeyState, MachineKeys, Seen
from pykexec.server.store.records import KeyPlan
from pykexec.server.web.admin.machines import find
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.escrow import GENERATION, generations_json
from pykexec.server.web.limits import Rate
from pykexec.server.web.record_shapes import NAME, PARAMETER, REASON, SHA256, TIME, TITLE, time_text
from pykexec.server.web.shapes import Integer, ListOf, MapOf, Nullable, Record, Tagged, Text

REVEALS = Rate(1 / 60, 10)
"""Of one person: a help desk does not see a fleet's keys in an afternoon."""
_KEY_NAME = Text(NAME_MAX, pattern=NAME.pattern, size_min=1)
_DAYS = Integer(0, ROTATE_DAYS_MAX)
_PLAN = Tagged(
    "kind",
    {
        kind: Record(
            {},
            {
                "parameters": Record({}, {name: PARAMETER for name in SECRET_KINDS[kind]}),
                "rotate_days": _DAYS,
            },
        )
        for kind in ESCROWED_KINDS
    },
)
KEY = Record(
    {
        "name": Text(256),
        "plan": Nullable(
            Record(
                {
                    "kind": Text(64, choices=ESCROWED_KINDS),
                    "parameters": MapOf(Text(64), PARAMETER, 8),
                    "rotate_days": _DAYS,
                }
            )
        ),
        "rotation": Nullable(Record({"version": Integer(1), "reason": Text(1024), "since": TIME})),
        "generations": ListOf(GENERATION, 3),
    }
)
_SEEN = Record(
    {
        "time": TIME,
        "name": Text(256),
        "version": Integer(1),
        "actor": Text(256),
        "person": Text(256),
        "reason": REASON,
    }
)
_VALUE = Record(
    {
        "name": Text(256),
        "version": Integer(1),
        "kind": Text(64),
        "text": Text(2 * KEY_FILE_MAX),
        "encoding": Text(8, choices=("utf-8", "hex")),
    }
)
_PATH = {"machine": SHA256, "key": _KEY_NAME}


def _keys(call: Call) -> MachineKeys:
    return MachineKeys(call.web.store)


def _list(call: Call) -> object:
    keys, machine = _keys(call), find(call)
    return {
        "keys": [_key_json(state) for state in keys.states(machine.id)],
        "seen": [_seen_json(seen) for seen in keys.revealed(machine.id)],
    }


def _plan(call: Call) -> object:
    name, machine = call.path["key"], find(call)
    parameters = {str(k): str(v) for k, v in call.get("parameters", dict, {}).items()}
    plan = KeyPlan(name, call.get("kind", str, ""), parameters, call.get("rotate_days", int, 0))
    keys = _keys(call)
    keys.plan(machine.id, plan, call.actor)
    return next(_key_json(state) for state in keys.states(machine.id) if state.name == name)


def _remove_plan(call: Call) -> object:
    _keys(call).remove_plan(find(call).id, call.path["key"], call.actor)
    return None


def _reveal(call: Call) -> object:
    person, reason = call.get("person", str, ""), call.get("reason", str, "")
    call.web.hold_to("reveals", call.actor, REVEALS)
    secret, value = _keys(call).reveal(
        find(call).id,
        call.path["key"],
        call.optional("version", int),
        call.actor,
        reason,
        person,
    )
    try:
        text, encoding = in_words(value)
    finally:
        wipe(value)
    return {
        "name": secret.name,
        "version": secret.version,
        "kind": secret.kind,
        "text": text,
        "encoding": encoding,
    }


def in_words(value: bytearray) -> tuple[str, str]:
    """What a person can type or copy, and how it is written: "utf-8" as it stands, or "hex"."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    return (text, "utf-8") if text and text.isprintable() else (value.hex(), "hex")


def _seen_json(seen: Seen) -> dict[str, object]:
    return {
        "time": time_text(seen.time),
        "name": seen.name,
        "version": seen.version,
        "actor": seen.actor,
        "person": seen.person,
        "reason": seen.reason,
    }


def _rotate(call: Call) -> object:
    name, machine, keys = call.path["key"], find(call), _keys(call)
    keys.rotate(machine.id, name, call.actor, call.get("reason", str, ""))
    return next(_key_json(state) for state in keys.states(machine.id) if state.name == name)


def _key_json(state: KeyState) -> dict[str, object]:
    plan, rotation = state.plan, state.rotation
    return {
        "name": state.name,
        "plan": plan
        and {
            "kind": plan.kind,
            "parameters": dict(plan.parameters),
            "rotate_days": plan.rotate_days,
        },
        "rotation": rotation
        and {
            "version": rotation.version,
            "reason": rotation.reason,
            "since": time_text(rotation.since),
        },
        "generations": generations_json(state),
    }


OPERATIONS = (
    Operation(
        "listKeys", "GET", "/machines/{machine}/keys", "viewer",
        "Its keys with their generations, without values, and who has seen which.", _list,
        Record({"keys": ListOf(KEY, 128), "seen": ListOf(_SEEN, 100)}),
        reach=Reach.WHOLE, path_shapes={"machine": SHA256}, errors=(404,),
    ),
    Operation(
        "planKey", "PUT", "/machines/{machine}/keys/{key}", "operator",
        "Let its system hand in a key of this kind, and replace it after rotate_days.", _plan,
        KEY, _PLAN, reach=Reach.WHOLE, path_shapes=_PATH, errors=(404, 409),
    ),
    Operation(
        "unplanKey", "DELETE", "/machines/{machine}/keys/{key}", "operator",
        "Take nothing more of that name; what is kept stays.", _remove_plan,
        reach=Reach.WHOLE, path_shapes=_PATH, errors=(404,),
    ),
    Operation(
        "revealKey", "POST", "/machines/{machine}/keys/{key}/reveal", "operator",
        "Show a value to a person, who is named with a reason; it is replaced from then on.",
        _reveal, _VALUE,
        Record(
            {"person": Text(128, TITLE.pattern, size_min=1), "reason": Text(512, size_min=1)},
            {"version": Integer(1, 2**31 - 1)},
        ),
        reach=Reach.WHOLE, path_shapes=_PATH, errors=(404, 409),
    ),
    Operation(
        "rotateKey", "POST", "/machines/{machine}/keys/{key}/rotate", "operator",
        "Have its system make another.", _rotate, KEY, Record({"reason": Text(512, size_min=1)}),
        reach=Reach.WHOLE, path_shapes=_PATH, errors=(404, 409),
    ),
)  # fmt: skip
