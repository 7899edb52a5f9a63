# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on policies, enrolment and tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from pykexec.attest.fields import ProtocolError
from pykexec.errors import FormatError
from pykexec.server.roles import Reach
from pykexec.server.store.records import EkHash
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import (
    EK_HASH,
    EK_ROOT,
    NAME,
    POLICY,
    REASON,
    SETTINGS,
    SHA256,
    ek_hash_json,
    ek_root_json,
    policy_json,
    settings_json,
)
from pykexec.server.web.shapes import Flag, Integer, ListOf, Record, Text

POLICY_SIZE_MAX = 256 << 10  # characters
_POLICY_PATH = {"policy": NAME}
_HASH_PATH = {"sha256": SHA256}
_PEM_MAX = 16 << 10


def _policies(call: Call) -> object:
    return {"policies": [policy_json(policy) for policy in call.web.store.policies()]}


def _policy(call: Call) -> object:
    version = call.optional("version", int)
    return policy_json(call.web.store.policy(call.path["policy"], version), text=True)


def _policy_versions(call: Call) -> object:
    found = call.web.store.policy_versions(call.path["policy"])
    return {"policies": [policy_json(policy) for policy in found]}


def check_policy(text: str, source: str) -> str:
    """The policy in words; FormatError says what is wrong with it."""
    from pykexec.policy import explain, parse_policy

    return explain(parse_policy(text.encode(), source))


def _put_policy(call: Call) -> object:
    text, name = call.get("text", str, ""), call.path["policy"]
    check_policy(text, name)
    if not call.get("force", bool, False):
        from pykexec.policy import parse_policy
        from pykexec.server.policy_trial import check_rules

        check_rules(call.web.store, name, parse_policy(text.encode(), name))
    comment = call.get("comment", str, "")
    return policy_json(
        call.web.store.put_policy(call.path["policy"], text, call.actor, comment), text=True
    )


def _check_policy(call: Call) -> object:
    return {"explanation": check_policy(call.get("text", str, ""), "policy")}


def _enrolment(call: Call) -> object:
    return settings_json(call.web.store.settings())


def _set_enrolment(call: Call) -> object:
    settings = replace(call.web.store.settings(), **cast(dict[str, object], call.body))  # type: ignore[arg-type]
    call.web.store.set_settings(settings, call.actor)
    return settings_json(settings)


def _hashes(call: Call) -> object:
    page = call.web.store.ek_hashes(call.get("offset", int, 0), call.get("limit", int, 100))
    return {"hashes": [ek_hash_json(entry) for entry in page.items], "total": page.total}


def _add_hashes(call: Call) -> object:
    entries = [
        EkHash(entry["sha256"], entry.get("name", ""), entry.get("tags", {}), entry.get("policy"))
        for entry in call.get("hashes", list, [])
    ]
    return {"count": call.web.store.add_ek_hashes(entries, call.actor)}


def _remove_hash(call: Call) -> object:
    call.web.store.remove_ek_hash(call.path["sha256"], call.actor)
    return None


def _roots(call: Call) -> object:
    return {"roots": [ek_root_json(root) for root in call.web.store.ek_roots()]}


def _add_root(call: Call) -> object:
    from pykexec.verify.certificates import parse_bundle

    try:
        der, *_ = parse_bundle(call.get("certificate", str, "").encode(), "body.certificate")
    except FormatError as error:
        raise ProtocolError(str(error)) from None
    return ek_root_json(call.web.store.add_ek_root(der, call.actor))


def _remove_root(call: Call) -> object:
    call.web.store.remove_ek_root(call.path["sha256"], call.actor)
    return None


OPERATIONS = (
    Operation(
        "listPolicies", "GET", "/policies", "viewer", "The newest version of each policy.",
        _policies, Record({"policies": ListOf(POLICY, 100_000)}), reach=Reach.SCOPED,
    ),
    Operation(
        "checkPolicy", "POST", "/policies/check", "viewer",
        "Check a policy without storing it; the answer says in words what it demands.",
        _check_policy, Record({"explanation": Text(1 << 20)}),
        Record({"text": Text(POLICY_SIZE_MAX)}), body_max=4 * POLICY_SIZE_MAX,
        reach=Reach.SCOPED,
    ),
    Operation(
        "showPolicy", "GET", "/policies/{policy}", "viewer", "A version, or the newest.",
        _policy, POLICY, query={"version": Integer(1, 2**31 - 1)}, path_shapes=_POLICY_PATH,
        errors=(404,), reach=Reach.SCOPED,
    ),
    Operation(
        "putPolicy", "PUT", "/policies/{policy}", "admin",
        "Add a version, which counts at once for all its machines. Its rules are tried on evidence "
        "that was kept, unless forced.", _put_policy, POLICY,
        Record({"text": Text(POLICY_SIZE_MAX)}, {"comment": REASON, "force": Flag()}),
        path_shapes=_POLICY_PATH,
        errors=(409,), body_max=4 * POLICY_SIZE_MAX,
    ),
    Operation(
        "listPolicyVersions", "GET", "/policies/{policy}/versions", "viewer",
        "All versions, newest first.", _policy_versions,
        Record({"policies": ListOf(POLICY, 100_000)}), path_shapes=_POLICY_PATH, errors=(404,),
        reach=Reach.SCOPED,
    ),
    Operation(
        "showEnrolment", "GET", "/enrolment", "viewer", "How machines become known.", _enrolment,
        SETTINGS, reach=Reach.SCOPED,
    ),
    Operation(
        "setEnrolment", "PUT", "/enrolment", "admin", "Change some or all of it.",
        _set_enrolment, SETTINGS, Record({}, SETTINGS.fields), errors=(404,),
    ),
    Operation(
        "listEkHashes", "GET", "/enrolment/hashes", "viewer", "EKs that may enrol themselves.",
        _hashes, Record({"hashes": ListOf(EK_HASH, 1000), "total": Integer()}),
        query={"offset": Integer(0, 2**31), "limit": Integer(1, 1000)},
    ),
    Operation(
        "addEkHashes", "POST", "/enrolment/hashes", "admin",
        "Add to that list: SHA-256 of TPMT_PUBLIC, SubjectPublicKeyInfo or EK certificate.",
        _add_hashes, Record({"count": Integer()}), Record({"hashes": ListOf(EK_HASH, 10_000)}),
        errors=(404,), body_max=4 << 20,
    ),
    Operation(
        "removeEkHash", "DELETE", "/enrolment/hashes/{sha256}", "admin",
        "Take it off the list; a machine that enrolled by it stays.", _remove_hash,
        path_shapes=_HASH_PATH, errors=(404,),
    ),
    Operation(
        "listEkRoots", "GET", "/enrolment/roots", "viewer",
        "Certificate authorities whose EK certificates are trusted.", _roots,
        Record({"roots": ListOf(EK_ROOT, 10_000)}), reach=Reach.SCOPED,
    ),
    Operation(
        "addEkRoot", "POST", "/enrolment/roots", "admin", "Trust one more (PEM).", _add_root,
        EK_ROOT, Record({"certificate": Text(_PEM_MAX)}), errors=(409,), status=201,
    ),
    Operation(
        "removeEkRoot", "DELETE", "/enrolment/roots/{sha256}", "admin",
        "Trust it no more; machines that enrolled by it stay.", _remove_root,
        path_shapes=_HASH_PATH, errors=(404,),
    ),
)  # fmt: skip
