# SPDX-License-Identifier: Apache-2.0
"""The API's document (OpenAPI 3.1), made of the very tables that the API runs by."""

from __future__ import annotations

from functools import cache

from pykexec.about import version
from pykexec.attest import protocol
from pykexec.server.roles import Reach
from pykexec.server.web import agent_shapes, escrow, problems
from pykexec.server.web.admin.operations import Operation
from pykexec.server.web.admin.routes import OPERATIONS
from pykexec.server.web.record_shapes import NAME
from pykexec.server.web.shapes import AnyObject, JsonSchema, Record, Shape, Text

JSON = "application/json"
_PROBLEMS = {
    400: "The request is not what the operation takes.",
    401: "There is no token, or it does not count.",
    403: "The token's role or scope does not allow it.",
    404: "There is no such thing.",
    405: "The path has no such method.",
    408: "The body did not come in time.",
    409: "What is there forbids it.",
    411: "Content-Length is missing.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "It is well formed, but means nothing that could be done.",
    429: "Too many requests; Retry-After says when to come back.",
    500: "The server failed.",
    503: "The server is busy or cannot reach its database.",
}
_REACHES = {Reach.WHOLE: ", and the whole server"}
_OF_ALL = (405, 408, 411, 413, 429, 500, 503)


@cache
def document() -> JsonSchema:
    """What /openapi.json answers."""
    paths: dict[str, dict[str, object]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.route, {})[operation.method.lower()] = _operation(operation)
    paths[protocol.CHALLENGES_PATH] = {"post": _challenge()}
    paths[protocol.ATTESTATIONS_PATH] = {"post": _attest()}
    paths[protocol.APPROVALS_PATH] = {"post": _poll()}
    paths[protocol.KEYS_PATH] = {"post": _key_report()}
    paths |= _escrow()
    paths |= _public()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pykexec attestation server",
            "version": version(),
            "description": "Integers are written without fraction and exponent; no key is "
            "unknown, and none occurs twice.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "escrow": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {"Problem": problems.PROBLEM.schema()},
        },
    }


def _content(shape: Shape, media_type: str = JSON) -> JsonSchema:
    return {media_type: {"schema": shape.schema()}}


def _body(shape: Shape) -> JsonSchema:
    return {"required": True, "content": _content(shape)}


def _refusals(*statuses: int) -> dict[str, object]:
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        str(status): {
            "description": _PROBLEMS[status],
            "content": {problems.CONTENT_TYPE: reference},
        }
        for status in sorted({*statuses, *_OF_ALL})
    }


def _operation(operation: Operation) -> JsonSchema:
    refusals = {400, 401, 403, 422, *operation.errors, *((415,) if operation.body else ())}
    refusals |= {404} if operation.path_shapes else set()
    found: JsonSchema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the role {operation.role}{_REACHES.get(operation.reaches, '')}.",
        "security": [{"token": []}],
        "responses": {**_answer(operation), **_refusals(*refusals)},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": shape.schema()}
        for name, shape in operation.path_shapes.items()
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": shape.schema()}
        for name, shape in operation.query.items()
    ]
    if parameters:
        found["parameters"] = parameters
    if operation.body:
        found["requestBody"] = _body(operation.body)
    return found


def _answer(operation: Operation) -> dict[str, object]:
    if operation.lines:
        # A stream has no schema of its own in OpenAPI 3.1; each line is an entry.
        lines = {"schema": {"type": "string"}}
        return {"200": {"description": "JSON lines.", "content": {"application/jsonl": lines}}}
    if operation.reply is None:
        return {"204": {"description": "Done."}}
    return {str(operation.status): {"description": "Done.", "content": _content(operation.reply)}}


def _challenge() -> JsonSchema:
    return {
        "operationId": "challenge",
        "summary": "First message of an attestation: who will attest; the answer is for its TPM.",
        "requestBody": _body(agent_shapes.CHALLENGE_REQUEST),
        "responses": {
            "200": {"description": "Done.", "content": _content(agent_shapes.CHALLENGE)},
            **_refusals(400, 422),
        },
    }


def _attest() -> JsonSchema:
    reply = _content(agent_shapes.ATTEST_REPLY)
    return {
        "operationId": "attest",
        "summary": "Second message: evidence; the answer is the verdict and what is released.",
        "requestBody": _body(agent_shapes.ATTEST_REQUEST),
        "responses": {
            "200": {"description": "Judged: accepted or refused.", "content": reply},
            **_refusals(400),
        },
    }


def _poll() -> JsonSchema:
    reply = _content(agent_shapes.ATTEST_REPLY)
    return {
        "operationId": "poll",
        "summary": "Third message, while a person decides: the answer is as to the second.",
        "requestBody": _body(agent_shapes.POLL_REQUEST),
        "responses": {
            "200": {"description": "Still pending, accepted or refused.", "content": reply},
            **_refusals(400),
        },
    }


def _key_report() -> JsonSchema:
    answer = _content(Record({"version": agent_shapes.VERSION}))
    return {
        "operationId": "reportKeys",
        "summary": "Last message: whether the keys of the release open their volumes.",
        "requestBody": _body(agent_shapes.KEY_REPORT),
        "responses": {
            "200": {"description": "Done.", "content": answer},
            **_refusals(400, 403),
        },
    }


def _escrow() -> dict[str, dict[str, object]]:
    """By the token that came beside a machine's keys."""
    name = {"name": "key", "in": "path", "required": True, "schema": NAME.schema()}
    machine = {
        "name": escrow.UUID_HEADER,
        "in": "header",
        "required": False,
        "schema": Text(64, pattern="[0-9A-Fa-f-]*").schema(),
    }

    def asked(operation: str, summary: str, reply: Record, body: Record | None) -> JsonSchema:
        refusals = (400, 401) if body is None else (400, 401, 404, 409, 422)
        return {
            "operationId": operation,
            "summary": summary,
            "security": [{"escrow": []}],
            "parameters": [machine] if body is None else [name, machine],
            **({} if body is None else {"requestBody": _body(body)}),
            "responses": {
                "200": {"description": "Done.", "content": _content(reply)},
                **_refusals(*refusals),
            },
        }

    one = f"{escrow.PREFIX}/keys/{{key}}"
    made = "Keep a key that the system has made, until the agent has proven it."
    gone = "The system has taken a generation off the volume, as it was told."
    return {
        f"{escrow.PREFIX}/keys": {
            "get": asked("escrowKeys", "What the system is to do now.", escrow.KEYS, None)
        },
        one: {"put": asked("escrowKey", made, escrow.HANDED_IN, escrow.VALUE)},
        f"{one}/removed": {"post": asked("escrowRemoved", gone, escrow.KEYS, escrow.REMOVED)},
    }


def _done(description: str, shape: Shape) -> object:
    return {"description": description, "content": _content(shape)}


def _text(description: str) -> object:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _public() -> dict[str, dict[str, object]]:
    status = _content(Record({"status": Text(16)}))
    done: dict[str, object] = {"description": "Yes.", "content": status}
    figures = {"200": _text("Text format 0.0.4."), **_refusals(401, 403)}
    described = {"200": _done("OpenAPI 3.1.", AnyObject()), **_refusals()}
    ready: dict[str, object] = {
        "200": done,
        **_refusals(),
        "503": {"description": "No.", "content": status},
    }
    return {
        "/healthz": {
            "get": {
                "operationId": "alive",
                "summary": "Whether the server runs.",
                "responses": {"200": done, **_refusals()},
            }
        },
        "/readyz": {
            "get": {
                "operationId": "ready",
                "summary": "Whether it can attest: database and master key work.",
                "responses": ready,
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Counters and latencies for Prometheus.",
                "description": "Needs the role viewer, and the whole server.",
                "security": [{"token": []}],
                "responses": figures,
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "openapi",
                "summary": "This document.",
                "responses": described,
            }
        },
    }
