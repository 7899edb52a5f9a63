# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on webhooks."""

from __future__ import annotations

from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.store.webhooks import EVENTS, STATES, Webhook, Webhooks
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import NAME, TIME, time_text
from pykexec.server.web.shapes import Flag, Integer, ListOf, Nullable, Record, Shape, Text
from pykexec.server.webhooks.messenger import send_test
from pykexec.server.webhooks.settings import WebhookSettings, parse_target
from pykexec.server.webhooks.signature import secret_text

_EVENTS = ListOf(Text(16, choices=tuple(EVENTS)), len(EVENTS))
_ADDRESS = Text(2048, "[!-~]+", size_min=1)
_PATH = {"webhook": NAME}
_COLUMNS: dict[str, Shape] = {
    "name": NAME,
    "origin": Text(2048),
    "events": _EVENTS,
    "state": Text(16, choices=STATES),
    "seq": Integer(),
    "attempts": Integer(),
    "failing": Nullable(TIME),
    "next": Nullable(TIME),
    "last": Text(1024),
    "created": TIME,
    "created_by": Text(256),
}
_WEBHOOK = Record(_COLUMNS)
_MADE = Record({**_COLUMNS, "secret": Text(128)})
_ANYTHING = WebhookSettings(http=True, loopback=True)


def _json(hook: Webhook) -> dict[str, object]:
    """Without what may be a secret: path and query of the address."""
    waits = hook.attempts > 0 and hook.stopped is None
    return {
        "name": hook.name,
        "origin": parse_target(hook.address, _ANYTHING).origin,
        "events": list(hook.events),
        "state": hook.state,
        "seq": hook.seq,
        "attempts": hook.attempts,
        "failing": time_text(hook.failing) if hook.failing else None,
        "next": time_text(hook.due) if waits else None,
        "last": hook.last,
        "created": time_text(hook.created),
        "created_by": hook.created_by,
    }


def _of(call: Call) -> Webhooks:
    return Webhooks(call.web.store.database, call.web.store.keys)


def _list(call: Call) -> object:
    return {"webhooks": [_json(hook) for hook in _of(call).every()]}


def _add(call: Call) -> object:
    address = call.get("address", str, "")
    try:
        parse_target(address, call.web.options.webhooks)
    except UsageError as error:
        raise UsageError(f"address: {error}") from None
    events = [str(event) for event in call.get("events", list, list(EVENTS))]
    hook = _of(call).add(call.get("name", str, ""), address, events, call.actor)
    return {**_json(hook), "secret": secret_text(hook.secret)}


def _test(call: Call) -> object:
    taken, words = send_test(_of(call).get(call.path["webhook"]), call.web.options.webhooks)
    return {"taken": taken, "answer": words}


def _resume(call: Call) -> object:
    skip = call.get("skip", bool, False)
    return _json(_of(call).resume(call.path["webhook"], skip, call.actor))


def _remove(call: Call) -> object:
    _of(call).remove(call.path["webhook"], call.actor)
    return None


OPERATIONS = (
    Operation(
        "listWebhooks", "GET", "/webhooks", "viewer", "Who is told of what, and how that goes.",
        _list, Record({"webhooks": ListOf(_WEBHOOK, quotas.WEBHOOKS_MAX)}),
    ),
    Operation(
        "addWebhook", "POST", "/webhooks", "admin",
        "Tell one more of what happens from now on; its secret is told this once.", _add, _MADE,
        Record({"name": NAME, "address": _ADDRESS}, {"events": _EVENTS}), errors=(409,), status=201,
    ),
    Operation(
        "testWebhook", "POST", "/webhooks/{webhook}/test", "admin",
        "Send a message that tells of nothing.", _test,
        Record({"taken": Flag(), "answer": Text(1024)}), path_shapes=_PATH,
    ),
    Operation(
        "resumeWebhook", "POST", "/webhooks/{webhook}/resume", "admin",
        "Try again now; with skip, of what happens from now on alone.", _resume, _WEBHOOK,
        Record({}, {"skip": Flag()}), path_shapes=_PATH,
    ),
    Operation(
        "removeWebhook", "DELETE", "/webhooks/{webhook}", "admin", "Tell it no more.", _remove,
        path_shapes=_PATH,
    ),
)  # fmt: skip
