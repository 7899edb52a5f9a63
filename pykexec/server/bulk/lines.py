# SPDX-License-Identifier: Apache-2.0
"""What a line of an import says, once its shape was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pykexec.server.store.records import EkHash
from pykexec.verify.ek import Ek

LINES_MAX = 10_000
"""Of one import, which is one transaction."""


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """A new version of a policy."""

    number: int
    name: str
    text: str
    comment: str


@dataclass(frozen=True, slots=True)
class HashLine:
    """An EK that may enrol itself."""

    number: int
    entry: EkHash


@dataclass(frozen=True, slots=True)
class MachineLine:
    """A machine, and what it is to have: of name and policy what values has, tags in addition to
    those that it has; a tag that is None is taken away. With its EK it may be a new one.
    """

    number: int
    fingerprint: str
    ek: Ek | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class SecretLine:
    """A secret of a machine, named by fingerprint or name; who gives the value wipes it."""

    number: int
    machine: str
    name: str
    kind: str
    parameters: Mapping[str, str]
    value: bytearray


Line: TypeAlias = PolicyLine | HashLine | MachineLine | SecretLine


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line cannot be taken."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a line did, or would do, as the audit trail says it."""

    line: int
    action: str
    subject: str
    detail: Mapping[str, object]
