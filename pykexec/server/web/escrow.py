# SPDX-License-Identifier: Apache-2.0
"""What an operating system asks for, with the token that came beside its keys: which to make or to
remove, and to keep those that it has made. The agent's report of what it found is here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope

from pykexec.attest.fields import ProtocolError, from_base64url, parse_object
from pykexec.attest.key_report import REPORT_MAX, parse_key_report
from pykexec.attest.protocol import TOKEN_MAX, VERSION
from pykexec.errors import FormatError, UsageError
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.escrow import TOKEN_MAX as ESCROW_TOKEN_MAX
from pykexec.server.escrow import Escrow, Grant
from pykexec.server.keys.envelope import wipe
from pykexec.server.keys.escrow_values import KEY_FILE_MAX
from pykexec.server.keys.generations import STAGES
from pykexec.server.store import machines
from pykexec.server.store.machine_keys import SYSTEM, KeyState
from pykexec.server.web.problems import Problem
from pykexec.server.web.record_shapes import BASE64URL, NAME, time_text
from pykexec.server.web.shapes import Flag, Integer, ListOf, MapOf, Nullable, Record, Text
from pykexec.server.web.web import Web

PREFIX = "/escrow/v1"
UUID_HEADER = "pykexec-machine"
"""SMBIOS' UUID of who asks: a token that was copied into another machine counts there no more."""
_BODY_MAX = 32 << 10
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pykexec escrow"'}
_REPORT_BODY_MAX = 2 * REPORT_MAX + 2 * TOKEN_MAX

GENERATION = Record(
    {
        "version": Integer(1),
        "stage": Text(16, choices=STAGES),
        "created": Text(64, format="date-time"),
        "proven": Flag(),
        "used": Flag(),
        "verdict": Text(1024),
    }
)
KEY = Record(
    {
        "name": NAME,
        "kind": Text(64),
        "parameters": MapOf(Text(64), Text(256), 8),
        "create": Flag(),
        "remove": Nullable(Integer(1)),
        "reason": Nullable(Text(1024)),
        "generations": ListOf(GENERATION, 3),
    }
)
KEYS = Record({"keys": ListOf(KEY, 64)})
VALUE = Record(
    {},
    {
        "text": Text(512, size_min=1, write_only=True),
        "value": Text(-(-KEY_FILE_MAX * 4 // 3), BASE64URL, size_min=2, write_only=True),
    },
)
HANDED_IN = Record({"version": Integer(1), "stage": Text(16, choices=STAGES)})
REMOVED = Record({"version": Integer(1, 2**31 - 1)})


@dataclass(frozen=True, slots=True)
class _Asked:
    web: Web
    escrow: Escrow
    grant: Grant
    name: str
    body: bytes


def routes(web: Web) -> list[Route]:
    """All of it but the agent's report, which is dispatched with its other messages."""
    one = f"{PREFIX}/keys/{{key}}"
    return [
        Route(f"{PREFIX}/keys", _endpoint(web, "escrowKeys", _list), methods=["GET"]),
        Route(one, _endpoint(web, "escrowKey", _hand_in), methods=["PUT"]),
        Route(f"{one}/removed", _endpoint(web, "escrowRemoved", _removed), methods=["POST"]),
    ]


async def report(web: Web, scope: Scope, receive: Receive) -> Response:
    """POST /v1/keys: what the agent found."""
    if scope["method"] != "POST":
        raise Problem(405, "POST is needed", {"Allow": "POST"})
    with web.bodies.charging(scope) as reader:
        body = await reader.read(scope, receive, _REPORT_BODY_MAX)
        await web.run_for_agent(_report, web, body)
    return JSONResponse({"version": VERSION})


def _report(web: Web, body: bytes) -> None:
    try:
        machine = Escrow(web.store).report(parse_key_report(body), datetime.now(UTC))
    except ProtocolError as error:
        raise Problem(400, str(error)) from None
    if machine is None:
        raise Problem(403, "this is not from who was given the keys, or it comes too late")


def _endpoint(web: Web, name: str, handler: Callable[[_Asked], object]) -> Callable[..., object]:
    async def endpoint(request: Request) -> Response:
        scope = request.scope
        scope["pykexec.route"] = name
        token = _bearer(request)
        grant, escrow = await web.run(_grant, web, token, request)
        key = str(request.path_params.get("key", ""))
        with web.bodies.charging(scope) as reader:
            body = await reader.read(scope, request.receive, _BODY_MAX)
            asked = _Asked(web, escrow, grant, key, body)
            return JSONResponse(await web.run(_answer, handler, asked))

    return endpoint


def _bearer(request: Request) -> str:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip()[: ESCROW_TOKEN_MAX + 1] if scheme.lower() == "bearer" else ""


def _grant(web: Web, token: str, request: Request) -> tuple[Grant, Escrow]:
    """Who asks; 401 and 429 as Problem. What was once a token of ours leaves an audit entry."""
    escrow, peer = Escrow(web.store), request.scope["pykexec.peer"]
    grant = escrow.open(token)
    fault = "a token that came beside the machine's keys is needed"
    if grant is not None:
        fault = escrow.fault(grant, request.headers.get(UUID_HEADER, ""), datetime.now(UTC))
        if not fault:
            escrow.keys.came_up(grant.machine_id, grant.given)
            return grant, escrow
    web.hold_guesses(peer)
    if grant is not None:
        subject = machines.subject(web.store.machine_by_id(grant.machine_id).fingerprint)
        web.store.audit(SYSTEM, "escrow.refused", subject, {"reason": fault, "peer": peer})
    raise Problem(401, fault, _CHALLENGE)


def _answer(handler: Callable[[_Asked], object], asked: _Asked) -> object:
    try:
        return handler(asked)
    except ProtocolError as error:
        raise Problem(400, str(error)) from None
    except NotFound as error:
        raise Problem(404, str(error)) from None
    except Conflict as error:
        raise Problem(409, str(error)) from None
    except (FormatError, UsageError) as error:
        raise Problem(422, str(error)) from None


def _list(asked: _Asked) -> object:
    asked.escrow.keys.look_at_ages(asked.grant.machine_id)
    states = asked.escrow.keys.states(asked.grant.machine_id)
    return {"keys": [_key_json(state) for state in states if state.plan is not None]}


def _hand_in(asked: _Asked) -> object:
    fields = VALUE.read(parse_object(asked.body, "body", _BODY_MAX).rest(), "body")
    if len(fields) != 1:
        raise ProtocolError("body: text or value is needed, and not both")
    text = fields.get("text")
    if text is not None:
        value = bytearray(str(text).encode())
    else:
        value = bytearray(from_base64url(str(fields["value"]), "body.value"))
    try:
        stored = asked.escrow.keys.escrow(asked.grant.machine_id, asked.name, value)
    finally:
        wipe(value)
    return {"version": stored.version, "stage": stored.stage}


def _removed(asked: _Asked) -> object:
    fields = REMOVED.read(parse_object(asked.body, "body", _BODY_MAX).rest(), "body")
    machine_id = asked.grant.machine_id
    asked.escrow.keys.removed(machine_id, asked.name, int(str(fields["version"])))
    return _list(asked)


def _key_json(state: KeyState) -> dict[str, object]:
    plan, rotation = state.plan, state.rotation
    assert plan is not None
    return {
        "name": state.name,
        "kind": plan.kind,
        "parameters": dict(plan.parameters),
        "create": state.orders.create,
        "remove": state.orders.remove or None,
        "reason": rotation.reason if rotation and state.orders.create else None,
        "generations": generations_json(state),
    }


def generations_json(state: KeyState) -> list[dict[str, object]]:
    """A key's generations, without their values."""
    return [
        {
            "version": each.version,
            "stage": each.stage,
            "created": time_text(each.created),
            "proven": each.proven is not None,
            "used": each.used is not None,
            "verdict": each.verdict,
        }
        for each in state.generations
    ]
