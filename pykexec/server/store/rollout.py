# SPDX-License-Identifier: Apache-2.0
"""Which version of a policy counts for a machine: pinned, tried on a part of the fleet, or live."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pykexec.attest.verdict import Finding
from pykexec.server.keys.keys import Keys

OUTCOMES = ("accepted", "asks", "refused")
MACHINE, TAG = "machine:", "tag:"
_BUCKET = b"pykexec roll-out 1"


@dataclass(frozen=True, slots=True)
class Rollout:
    """live counts, previous did before; draft is decided beside it, without effect but for
    canaries: machines with one of tags (KEY=VALUE), and a share (percent). pins are versions by
    what they are for, "machine:FINGERPRINT" or "tag:KEY=VALUE", whatever else is said.
    """

    name: str
    live: int
    previous: int | None = None
    draft: int | None = None
    tags: tuple[str, ...] = ()
    share: int = 0
    pins: Mapping[str, int] = field(default_factory=dict)

    def version_for(self, fingerprint: str, labels: Mapping[str, str]) -> int:
        """What counts; a pin of the machine goes before those of tags, these by their order."""
        mine = [f"{TAG}{key}={value}" for key, value in labels.items()]
        for target in (f"{MACHINE}{fingerprint}", *sorted(mine)):
            if target in self.pins:
                return self.pins[target]
        return self.draft if self.draft and self._is_canary(fingerprint, labels) else self.live

    def _is_canary(self, fingerprint: str, labels: Mapping[str, str]) -> bool:
        pairs = {f"{key}={value}" for key, value in labels.items()}
        return bool(pairs & set(self.tags)) or bucket(self.name, fingerprint) < self.share

    def to_json(self) -> dict[str, object]:
        """As the database has it."""
        found = {key: value for key, value in asdict(self).items() if key != "name"}
        return {**found, "tags": list(self.tags), "pins": dict(self.pins)}


@dataclass(frozen=True, slots=True)
class DraftDecision:
    """What a draft says of an attestation that another version, or it, has decided; outcome is one
    of OUTCOMES, reasons are the findings that refuse, or that ask for persons.
    """

    policy: str
    version: int
    outcome: str
    reasons: tuple[Finding, ...] = ()


def bucket(name: str, fingerprint: str) -> int:
    """From 0 to 99, the same for a machine as long as the policy has its name: one that is among
    the first 5 percent is among the first 20, too.
    """
    digest = hashlib.sha256(b"\0".join((_BUCKET, name.encode(), fingerprint.encode()))).digest()
    return int.from_bytes(digest[:8], "big") % 100


def read(keys: Keys, name: str, value: Mapping[str, object], seal: bytes) -> Rollout:
    """The row's; Tampered when it is not ours."""
    keys.check(seal, "rollouts", name, value)
    known = {**value, "tags": tuple(value["tags"])}  # type: ignore[arg-type]
    return Rollout(name, **known)  # type: ignore[arg-type]
