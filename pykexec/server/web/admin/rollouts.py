# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on roll-outs: which version of a policy counts for whom."""

from __future__ import annotations

from datetime import datetime

from pykexec.attest.fields import ProtocolError
from pykexec.server.policy_trial import Moment, check_rules, dry_run
from pykexec.server.store.rollouts import Rollouts
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.admin.settings import POLICY_SIZE_MAX, check_policy
from pykexec.server.web.record_shapes import NAME, POLICY, REASON, TIME, policy_json
from pykexec.server.web.rollout_shapes import (
    PAIR,
    ROLLOUT,
    SHARE,
    STATE,
    TARGET,
    TRIED,
    VERSION,
    decided_json,
    rollout_json,
    tried_json,
)
from pykexec.server.web.shapes import Flag, Integer, ListOf, MapOf, Nullable, Record, Text

_PATH = {"policy": NAME}
_AT_ONCE = 100
_TEXT = Text(POLICY_SIZE_MAX)


def _of(call: Call) -> tuple[Rollouts, str]:
    return Rollouts(call.web.store.database, call.web.store.keys), call.path["policy"]


def _show(call: Call) -> object:
    rollouts, name = _of(call)
    found = rollouts.find(name)
    decided = rollouts.decided(name, found.draft) if found.draft else ()
    return {"rollout": rollout_json(found), "decided": [decided_json(one) for one in decided]}


def _put_draft(call: Call) -> object:
    rollouts, name = _of(call)
    text = call.get("text", str, "")
    check_policy(text, name)
    if not call.get("force", bool, False):
        from pykexec.policy import parse_policy

        check_rules(call.web.store, name, parse_policy(text.encode(), name))
    return policy_json(rollouts.put_draft(name, text, call.actor, call.get("comment", str, "")))


def _abandon(call: Call) -> object:
    rollouts, name = _of(call)
    return rollout_json(rollouts.abandon(name, call.actor, ""))


def _canary(call: Call) -> object:
    rollouts, name = _of(call)
    tags, share = call.get("tags", list, []), call.get("share", int, 0)
    return rollout_json(rollouts.set_canary(name, tags, share, call.actor))


def _activate(call: Call) -> object:
    rollouts, name = _of(call)
    version, reason = call.optional("version", int), call.get("reason", str, "")
    return rollout_json(rollouts.activate(name, version, call.actor, reason))


def _pin(call: Call) -> object:
    rollouts, name = _of(call)
    target, version = call.get("target", str, ""), call.optional("version", int)
    reason = call.get("reason", str, "")
    return rollout_json(rollouts.pin(name, target, version, call.actor, reason))


def _try(call: Call) -> object:
    from pykexec.policy import parse_policy

    name, text = call.path["policy"], call.optional("text", str)
    if text is None:
        text = call.web.store.policy(name, call.optional("version", int)).text
    policy = parse_policy(text.encode(), name)
    moment = Moment(_time(call), call.optional("address", str), call.optional("released", dict))
    offset, limit = call.get("offset", int, 0), call.get("limit", int, _AT_ONCE)
    found = dry_run(call.web.store, name, policy, moment, offset, limit)
    return {"tried": [tried_json(one) for one in found]}


def _time(call: Call) -> datetime | None:
    if (text := call.optional("time", str)) is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ProtocolError(f"body.time: {text!r} is no time") from None
    if time.tzinfo is None:
        raise ProtocolError("body.time: has no time zone")
    return time


OPERATIONS = (
    Operation(
        "showRollout", "GET", "/policies/{policy}/rollout", "viewer",
        "Which version counts, and what a draft said of each machine's last attestation.",
        _show, STATE, path_shapes=_PATH, errors=(404,),
    ),
    Operation(
        "putDraft", "PUT", "/policies/{policy}/draft", "admin",
        "Add a version that counts for nobody: it is decided beside the live one.", _put_draft,
        POLICY, Record({"text": _TEXT}, {"comment": REASON, "force": Flag()}),
        path_shapes=_PATH, errors=(404, 409), body_max=4 * POLICY_SIZE_MAX,
    ),
    Operation(
        "abandonDraft", "DELETE", "/policies/{policy}/draft", "admin",
        "Look at the draft no more.", _abandon, ROLLOUT, path_shapes=_PATH, errors=(404, 409),
    ),
    Operation(
        "setCanary", "PUT", "/policies/{policy}/canary", "admin",
        "For whom the draft counts: who has one of these tags (KEY=VALUE), and a share in percent.",
        _canary, ROLLOUT, Record({}, {"tags": ListOf(PAIR, 64), "share": SHARE}),
        path_shapes=_PATH, errors=(404, 409),
    ),
    Operation(
        "activatePolicy", "POST", "/policies/{policy}/activate", "admin",
        "Have a version count for all that are not pinned, by default the one before.", _activate,
        ROLLOUT, Record({}, {"version": VERSION, "reason": REASON}), path_shapes=_PATH,
        errors=(404, 409),
    ),
    Operation(
        "pinPolicy", "POST", "/policies/{policy}/pins", "admin",
        "Have a version count for a machine or tag whatever else is said; null ends that.", _pin,
        ROLLOUT, Record({"target": TARGET, "version": Nullable(VERSION)}, {"reason": REASON}),
        path_shapes=_PATH, errors=(404, 409),
    ),
    Operation(
        "tryPolicy", "POST", "/policies/{policy}/trial", "operator",
        "What a text, or a version, would say of the policy's machines by the evidence that was "
        "kept; time, address and released are as if, by default those of each attestation.", _try,
        Record({"tried": ListOf(TRIED, _AT_ONCE)}),
        Record(
            {},
            {
                "text": _TEXT, "version": VERSION, "offset": Integer(0, 2**31),
                "limit": Integer(1, _AT_ONCE), "time": TIME, "address": Text(64),
                "released": MapOf(Text(128), Integer(0, 1_000_000), 16),
            },
        ),
        path_shapes=_PATH, errors=(404,), body_max=4 * POLICY_SIZE_MAX,
    ),
)  # fmt: skip
