# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on those who log in to the operator page by a password."""

from __future__ import annotations

from pykexec.server.roles import Grant
from pykexec.server.store import passwords
from pykexec.server.store.accounts import Operator
from pykexec.server.store.records import ROLES
from pykexec.server.web.admin.access import scope_of
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import NAME, SCOPE, TIME, time_text
from pykexec.server.web.shapes import ListOf, Record, Text

OPERATOR = Record(
    {
        "name": NAME,
        "role": Text(16, choices=ROLES),
        "scope": SCOPE,
        "created": TIME,
        "created_by": Text(256),
    }
)
_PASSWORD = Text(
    passwords.SIZE_MAX, size_min=passwords.SIZE_MIN, format="password", write_only=True
)
_ROLE = Text(16, choices=ROLES)
_PATH = {"operator": NAME}


def _json(operator: Operator) -> dict[str, object]:
    return {
        "name": operator.name,
        "role": operator.role,
        "scope": list(operator.scope),
        "created": time_text(operator.created),
        "created_by": operator.created_by,
    }


def _list(call: Call) -> object:
    return {"operators": [_json(operator) for operator in call.web.accounts.operators()]}


def _create(call: Call) -> object:
    name, role = call.get("name", str, ""), call.get("role", str, "")
    password = call.get("password", str, "")
    return _json(call.web.accounts.create(name, role, password, call.actor, scope_of(call)))


def _set_grant(call: Call) -> object:
    grant = Grant(call.get("role", str, ""), scope_of(call))
    return _json(call.web.accounts.set_grant(call.path["operator"], grant, call.actor))


def _set_password(call: Call) -> object:
    password = call.get("password", str, "")
    return _json(call.web.accounts.set_password(call.path["operator"], password, call.actor))


def _remove(call: Call) -> object:
    call.web.accounts.remove(call.path["operator"], call.actor)
    return None


OPERATIONS = (
    Operation(
        "listOperators", "GET", "/operators", "admin",
        "Who may log in to the operator page by a password.",
        _list, Record({"operators": ListOf(OPERATOR, 10_000)}),
    ),
    Operation(
        "createOperator", "POST", "/operators", "admin", "Let one more log in.", _create,
        OPERATOR,
        Record({"name": NAME, "role": _ROLE, "password": _PASSWORD}, {"scope": SCOPE}),
        errors=(409,), status=201,
    ),
    Operation(
        "setGrant", "PUT", "/operators/{operator}/grant", "admin",
        "Another role and scope; their sessions end, and the tokens that they have made.",
        _set_grant, OPERATOR, Record({"role": _ROLE}, {"scope": SCOPE}), path_shapes=_PATH,
        errors=(404, 409),
    ),
    Operation(
        "setPassword", "PUT", "/operators/{operator}/password", "admin",
        "Another password; their sessions end.", _set_password, OPERATOR,
        Record({"password": _PASSWORD}), path_shapes=_PATH, errors=(404,),
    ),
    Operation(
        "removeOperator", "DELETE", "/operators/{operator}", "admin",
        "Let them in no more; their sessions end.", _remove, path_shapes=_PATH,
        errors=(404, 409),
    ),
)  # fmt: skip
