# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on machines, their attestations and their secrets."""

from __future__ import annotations

import json

from pykexec.attest.fields import ProtocolError, from_base64url
from pykexec.attest.protocol import PUBLIC_MAX, SECRET_KINDS
from pykexec.server.keys.envelope import wipe
from pykexec.server.roles import Reach
from pykexec.server.store.records import MACHINE_STATES, Machine
from pykexec.server.store.secret_values import VALUE_MAX
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.problems import Problem
from pykexec.server.web.record_shapes import (
    ATTESTATION,
    BASE64URL,
    MACHINE,
    NAME,
    PARAMETER,
    REASON,
    SECRET,
    SHA256,
    TAGS,
    TITLE,
    attestation_json,
    machine_json,
    secret_json,
)
from pykexec.server.web.shapes import (
    AnyObject,
    Flag,
    Integer,
    ListOf,
    Nullable,
    Record,
    Tagged,
    Text,
)
from pykexec.verify.ek import Ek
from pykexec.verify.keys import check_ek

_LIMIT = Integer(1, 1000)
_OFFSET = Integer(0, 2**31)
_MACHINE_PATH = {"machine": SHA256}


def find(call: Call) -> Machine:
    """The machine that the path names."""
    machine = call.web.store.machine(call.path["machine"])
    if machine is None:
        raise Problem(404, "no such machine")
    return machine


def _list(call: Call) -> object:
    tag = call.optional("tag", str)
    key, _, value = tag.partition("=") if tag else ("", "", "")
    page = call.web.store.machines(
        state=call.optional("state", str),
        search=call.get("search", str, ""),
        tag=(key, value) if tag else None,
        policy=call.optional("policy", str),
        offset=call.get("offset", int, 0),
        limit=call.get("limit", int, 100),
    )
    return {"machines": [machine_json(machine) for machine in page.items], "total": page.total}


def _show(call: Call) -> object:
    return machine_json(find(call))


def _add(call: Call) -> object:
    public = from_base64url(call.get("ek_public", str, ""), "body.ek_public")
    ek, faults = check_ek(public)
    if ek is None or faults:
        words = "; ".join(fault.text for fault in faults) or "is no EK"
        raise ProtocolError(f"body.ek_public: {words}")
    machine = call.web.store.add_machine(
        Ek(public, ek.kind),
        call.actor,
        name=call.get("name", str, ""),
        policy=call.optional("policy", str),
        tags=_tags(call),
    )
    return machine_json(machine)


def _tags(call: Call) -> dict[str, str]:
    return {str(key): str(value) for key, value in call.get("tags", dict, {}).items()}


def _approve(call: Call) -> object:
    machine = find(call)
    if policy := call.optional("policy", str):
        call.web.store.set_policy(machine.id, policy, call.actor)
    return machine_json(call.web.store.approve(machine.id, call.actor))


def _refuse(call: Call) -> object:
    reason = call.get("reason", str, "")
    return machine_json(call.web.store.refuse(find(call).id, call.actor, reason))


def _retire(call: Call) -> object:
    reason = call.get("reason", str, "")
    return machine_json(call.web.store.retire(find(call).id, call.actor, reason))


def _reinstate(call: Call) -> object:
    reason = call.get("reason", str, "")
    return machine_json(call.web.store.reinstate(find(call).id, call.actor, reason))


def _forget_boots(call: Call) -> object:
    reason = call.get("reason", str, "")
    return machine_json(call.web.store.forget_boots(find(call).id, call.actor, reason))


def _set_tags(call: Call) -> object:
    return machine_json(call.web.store.set_tags(find(call).id, _tags(call), call.actor))


def _set_name(call: Call) -> object:
    name = call.get("name", str, "")
    return machine_json(call.web.store.set_name(find(call).id, name, call.actor))


def _set_policy(call: Call) -> object:
    policy = call.optional("policy", str)
    return machine_json(call.web.store.set_policy(find(call).id, policy, call.actor))


def _attestations(call: Call) -> object:
    found = call.web.store.attestations(
        machine_id=find(call).id,
        accepted=call.optional("accepted", bool),
        before=call.optional("before", int),
        limit=call.get("limit", int, 100),
    )
    return {"attestations": [attestation_json(attestation) for attestation in found]}


def _attestation(call: Call) -> object:
    return attestation_json(call.web.store.attestation(int(call.path["attestation"])))


def _evidence(call: Call) -> object:
    found: object = json.loads(call.web.store.evidence(int(call.path["attestation"])))
    return found


def _secrets(call: Call) -> object:
    found = call.web.store.secrets(find(call).id, history=call.get("history", bool, False))
    return {"secrets": [secret_json(secret) for secret in found]}


def _put_secret(call: Call) -> object:
    parameters = {str(k): str(v) for k, v in call.get("parameters", dict, {}).items()}
    value = bytearray(from_base64url(call.get("value", str, ""), "body.value"))
    try:
        stored = call.web.store.put_secret(
            find(call).id,
            call.path["secret"],
            call.get("kind", str, ""),
            parameters,
            value,
            call.actor,
        )
    finally:
        wipe(value)
    return secret_json(stored)


def _revoke_secret(call: Call) -> object:
    return secret_json(call.web.store.revoke_secret(find(call).id, call.path["secret"], call.actor))


def _restore_secret(call: Call) -> object:
    machine, version = find(call).id, call.get("version", int, 0)
    name = call.path["secret"]
    current = call.web.store.restore_secret(machine, name, version, call.actor)
    return secret_json(next(secret for secret in current if secret.name == name))


_VALUE = Text(-(-VALUE_MAX * 4 // 3), BASE64URL, size_min=2, write_only=True)
_SECRET_BODY = Tagged(
    "kind",
    {
        kind: Record(
            {"value": _VALUE},
            {"parameters": Record({}, {name: PARAMETER for name in parameters})},
        )
        for kind, parameters in SECRET_KINDS.items()
    },
)
_SECRET_PATH = {**_MACHINE_PATH, "secret": NAME}
_ATTESTATION_PATH = {"attestation": Text(18, pattern="[1-9][0-9]{0,17}", size_min=1)}
_REASONED = Record({}, {"reason": REASON})

OPERATIONS = (
    Operation(
        "listMachines", "GET", "/machines", "viewer", "Machines, newest first.", _list,
        Record({"machines": ListOf(MACHINE, 1000), "total": Integer()}),
        query={
            "state": Text(16, choices=MACHINE_STATES), "search": Text(128), "policy": NAME,
            "tag": Text(321, pattern=r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}=[ -~]{0,256}"),
            "offset": _OFFSET, "limit": _LIMIT,
        },
        reach=Reach.SCOPED,
    ),
    Operation(
        "addMachine", "POST", "/machines", "operator",
        "Enrol a machine by the public part of its EK (TPMT_PUBLIC), before its first boot.",
        _add, MACHINE,
        Record(
            {"ek_public": Text(-(-PUBLIC_MAX * 4 // 3), BASE64URL, size_min=64)},
            {"name": TITLE, "policy": Nullable(NAME), "tags": TAGS},
        ),
        errors=(404, 409), status=201, reach=Reach.SCOPED,
    ),
    Operation(
        "showMachine", "GET", "/machines/{machine}", "viewer", "One machine, by fingerprint.",
        _show, MACHINE, path_shapes=_MACHINE_PATH, errors=(404,),
    ),
    Operation(
        "approveMachine", "POST", "/machines/{machine}/approve", "operator",
        "Enrol a machine that is pending or refused.", _approve, MACHINE,
        Record({}, {"policy": NAME}), path_shapes=_MACHINE_PATH, errors=(404, 409),
    ),
    Operation(
        "refuseMachine", "POST", "/machines/{machine}/refuse", "operator",
        "Give it nothing until it is approved.", _refuse, MACHINE, _REASONED,
        path_shapes=_MACHINE_PATH, errors=(404, 409),
    ),
    Operation(
        "retireMachine", "POST", "/machines/{machine}/retire", "operator",
        "Give it nothing any more; its secrets are withdrawn and destroyed later.", _retire,
        MACHINE, _REASONED, path_shapes=_MACHINE_PATH, errors=(404, 409),
    ),
    Operation(
        "reinstateMachine", "POST", "/machines/{machine}/reinstate", "admin",
        "Take a retirement back while its secrets are kept: it is refused then.", _reinstate,
        MACHINE, _REASONED, path_shapes=_MACHINE_PATH, errors=(404, 409),
    ),
    Operation(
        "forgetBoots", "POST", "/machines/{machine}/forget-boots", "admin",
        "Forget its counters: its TPM was cleared on purpose.", _forget_boots, MACHINE, _REASONED,
        path_shapes=_MACHINE_PATH, errors=(404, 409),
    ),
    Operation(
        "setTags", "PUT", "/machines/{machine}/tags", "operator", "Replace its tags.", _set_tags,
        MACHINE, Record({"tags": TAGS}), path_shapes=_MACHINE_PATH, errors=(404, 409),
    ),
    Operation(
        "setName", "PUT", "/machines/{machine}/name", "operator", "What people call it.",
        _set_name, MACHINE, Record({"name": TITLE}), path_shapes=_MACHINE_PATH,
        errors=(404, 409),
    ),
    Operation(
        "setPolicy", "PUT", "/machines/{machine}/policy", "operator",
        "The policy it must satisfy; with null it is refused whatever it attests.", _set_policy,
        MACHINE, Record({"policy": Nullable(NAME)}), path_shapes=_MACHINE_PATH,
        errors=(404, 409),
    ),
    Operation(
        "listAttestations", "GET", "/machines/{machine}/attestations", "viewer",
        "Its attestations, newest first; before is the id of the last one of the page before.",
        _attestations, Record({"attestations": ListOf(ATTESTATION, 1000)}),
        query={"accepted": Flag(), "before": Integer(1), "limit": _LIMIT},
        path_shapes=_MACHINE_PATH, errors=(404,),
    ),
    Operation(
        "showAttestation", "GET", "/attestations/{attestation}", "viewer", "One attestation.",
        _attestation, ATTESTATION, path_shapes=_ATTESTATION_PATH, errors=(404,),
    ),
    Operation(
        "showEvidence", "GET", "/attestations/{attestation}/evidence", "operator",
        "The evidence as it came, if it was kept.", _evidence, AnyObject(),
        path_shapes=_ATTESTATION_PATH, errors=(404,),
    ),
    Operation(
        "listSecrets", "GET", "/machines/{machine}/secrets", "viewer",
        "Its secrets, without their values.", _secrets,
        Record({"secrets": ListOf(SECRET, 10_000)}), query={"history": Flag()},
        path_shapes=_MACHINE_PATH, errors=(404,),
    ),
    Operation(
        "putSecret", "PUT", "/machines/{machine}/secrets/{secret}", "operator",
        "Store a secret, in place of the one of that name.", _put_secret, SECRET,
        _SECRET_BODY,
        path_shapes=_SECRET_PATH, errors=(404, 409), body_max=1 << 20,
    ),
    Operation(
        "revokeSecret", "DELETE", "/machines/{machine}/secrets/{secret}", "operator",
        "Withdraw its value, which is destroyed later.", _revoke_secret, SECRET,
        path_shapes=_SECRET_PATH, errors=(404, 409),
    ),
    Operation(
        "restoreSecret", "POST", "/machines/{machine}/secrets/{secret}/restore", "admin",
        "Give a version that was replaced or revoked its value back, while that is kept.",
        _restore_secret, SECRET, Record({"version": Integer(1, 2**31 - 1)}),
        path_shapes=_SECRET_PATH, errors=(404, 409),
    ),
)  # fmt: skip
