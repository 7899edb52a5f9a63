# SPDX-License-Identifier: Apache-2.0
"""Roll-outs and trials of policies as JSON: their shapes, and records put into them."""

from __future__ import annotations

from pykexec.attest.verdict import Finding
from pykexec.server.policy_trial import Tried
from pykexec.server.store.rollout import Rollout
from pykexec.server.store.rollouts import Decided
from pykexec.server.web.record_shapes import (
    FINDINGS,
    NAME,
    PRINTABLE,
    SHA256,
    TIME,
    TITLE,
    finding_json,
    time_text,
)
from pykexec.server.web.shapes import Flag, Integer, ListOf, MapOf, Nullable, Record, Text

VERSION = Integer(1, 2**31 - 1)
TARGET = Text(512, f"(machine|tag):{PRINTABLE}+", size_min=5)
PAIR = Text(512, f"{PRINTABLE}+", size_min=3)
SHARE = Integer(0, 100)
ROLLOUT = Record(
    {
        "name": NAME,
        "live": VERSION,
        "previous": Nullable(VERSION),
        "draft": Nullable(VERSION),
        "tags": ListOf(PAIR, 64),
        "share": SHARE,
        "pins": MapOf(TARGET, VERSION, 1000),
    }
)
TRIED = Record(
    {
        "fingerprint": SHA256,
        "name": TITLE,
        "outcome": Text(16, choices=("accepted", "asks", "refused", "unknown")),
        "reasons": FINDINGS,
        "time": Nullable(TIME),
        "was_accepted": Nullable(Flag()),
    }
)
STATE = Record({"rollout": ROLLOUT, "decided": ListOf(TRIED, 1_000_000)})


def rollout_json(found: Rollout) -> dict[str, object]:
    """As ROLLOUT has it."""
    return {"name": found.name, **found.to_json()}


def tried_json(found: Tried) -> dict[str, object]:
    """As TRIED has it."""
    return {
        "fingerprint": found.fingerprint,
        "name": found.name,
        "outcome": found.outcome,
        "reasons": _reasons(found.reasons),
        "time": time_text(found.time) if found.time else None,
        "was_accepted": found.was_accepted,
    }


def decided_json(found: Decided) -> dict[str, object]:
    """As TRIED has it, of what a draft has decided."""
    return {
        "fingerprint": found.fingerprint,
        "name": found.name,
        "outcome": found.outcome,
        "reasons": _reasons(found.reasons),
        "time": time_text(found.time),
        "was_accepted": found.accepted,
    }


def _reasons(found: tuple[Finding, ...]) -> list[dict[str, object]]:
    return [finding_json(finding) for finding in found]
