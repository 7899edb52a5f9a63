# SPDX-License-Identifier: Apache-2.0
"""Which machines will ask for BitLocker's recovery password after a change: those whose TPM holds a
part of a volume's key, sealed to a register that the change moves.

Nothing is guessed: a machine whose last boot or protectors are not known is said to be unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pykexec.attest.protocol import Evidence
from pykexec.errors import FormatError, UsageError
from pykexec.policy.learn import Reference
from pykexec.policy.offline import with_image
from pykexec.policy.predict import Changes, predict
from pykexec.tpm.eventlog import parse_event_log

TAG = "bitlocker-pcrs"
"""A machine's tag with what its protector is sealed to, as manage-bde says it: "0, 2, 4, 11"."""
NO_TPM = "none"
"""The tag's value where the TPM has no part in any protector."""
_NR_PCRS = 24


class Verdict(StrEnum):
    """What will happen at the first boot after the change."""

    ASKS = "asks"
    UNKNOWN = "unknown"
    UNAFFECTED = "unaffected"


@dataclass(frozen=True, slots=True)
class Change:
    """One part of an update, and in words; image are reference values of a new image of ours."""

    words: str
    changes: Changes = field(default_factory=Changes)
    image: Reference | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a machine: how it booted last, and the registers that protectors of it are
    sealed to, none where the TPM has no part in them; a str says why that is not known.
    """

    machine: str
    fingerprint: str
    evidence: Evidence | str
    pcrs: frozenset[int] | str


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of one machine; pcrs are the protectors' that move, why names each part of the change that
    moves one, or what is not known.
    """

    machine: str
    fingerprint: str
    verdict: Verdict
    pcrs: tuple[int, ...] = ()
    why: tuple[str, ...] = ()


def outlook(known: Known, changes: Iterable[Change]) -> Outlook:
    """What will come of all changes together."""
    evidence, sealed = known.evidence, known.pcrs
    moved, faults = ({}, [evidence]) if isinstance(evidence, str) else _foresee(evidence, changes)
    hit: list[int] = []
    if isinstance(sealed, str):
        why = [*faults, sealed, *_reasons(moved, moved)] if moved or faults else []
    elif hit := sorted(sealed & moved.keys()):
        why = _reasons(moved, hit)
    else:
        why = faults if sealed else []
    verdict = Verdict.ASKS if hit else Verdict.UNKNOWN if why else Verdict.UNAFFECTED
    return Outlook(known.machine, known.fingerprint, verdict, tuple(hit), tuple(why))


def _foresee(
    evidence: Evidence, changes: Iterable[Change]
) -> tuple[dict[int, list[str]], list[str]]:
    """Which changes move a register, and what cannot be told."""
    moved: dict[int, list[str]] = {}
    faults = []
    for change in changes:
        try:
            for pcr in _moved(evidence, change):
                moved.setdefault(pcr, []).append(change.words)
        except (FormatError, UsageError) as error:
            faults.append(f"{change.words}: {error}")
    return moved, faults


def _reasons(moved: dict[int, list[str]], pcrs: Iterable[int]) -> list[str]:
    return [f"PCR {pcr}: {', '.join(moved[pcr])}" for pcr in sorted(pcrs)]


def _moved(evidence: Evidence, change: Change) -> list[int]:
    """The registers that will have another value than at the last boot."""
    changes, registers = change.changes, evidence.pcrs
    if change.image:
        changes = with_image(changes, change.image, evidence.bank, with_sections=True)
    found = predict(parse_event_log(evidence.event_log), evidence.bank, registers, changes)
    if missing := [pcr for pcr in found.pcrs if pcr not in registers]:
        raise UsageError(f"PCR {missing[0]} is not in the machine's evidence")
    return [pcr for pcr, value in found.pcrs.items() if registers[pcr].hex() != value]


def tagged(tag: str | None) -> frozenset[int] | str:
    """Registers out of the tag's value, or why they are not known."""
    if tag is None:
        return f"its protectors are not known: no tag {TAG}, no report"
    if tag == NO_TPM:
        return frozenset()
    words = tag.replace(",", " ").split()
    if not words or not all(w.isascii() and w.isdigit() and int(w) < _NR_PCRS for w in words):
        return f"its protectors are not known: tag {TAG}={tag} is no list of registers"
    return frozenset(map(int, words))


def reported(data: bytes, source: str) -> frozenset[int] | str:
    """Registers out of what `pykexec windows check --json` said on the machine; FormatError, which
    names source, for what is none.

    A volume that opens without the TPM, by a startup key that was proven or because protection is
    suspended, asks nobody.
    """
    pcrs: set[int] = set()
    try:
        volumes = json.loads(data)["volumes"]
        if not volumes:
            return "its protectors are not known: the report has no BitLocker volume"
        for volume in volumes:
            protectors: Sequence[dict[str, object]] = volume["protectors"]
            by_tpm = [each for each in protectors if str(each["kind"]).startswith("TPM")]
            if not by_tpm or any(each["proven"] for each in protectors):
                continue
            sealed = by_tpm[0]["pcrs"]
            if len(by_tpm) > 1 or not isinstance(sealed, list):
                return f"the report does not tell what {volume['place']} is sealed to"
            pcrs.update(int(pcr) for pcr in sealed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FormatError(f"{source}: not what `pykexec windows check --json` prints") from None
    return frozenset(pcrs)
