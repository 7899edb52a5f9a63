# SPDX-License-Identifier: Apache-2.0
"""Policies applied to evidence in files: nobody asked for it just now, and no TPM is at hand.

What only an exchange of messages shows stays open: that the evidence is fresh, and that EK and AK
are in one TPM.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from pykexec.attest.decode import parse_attest_request
from pykexec.attest.protocol import Evidence
from pykexec.attest.verdict import Finding, Verdict
from pykexec.errors import DeniedError, FormatError, UsageError
from pykexec.firmware.description import describe_digests
from pykexec.image.measure import PCR as SECTIONS_PCR
from pykexec.image.reference import VERSION, reference_values
from pykexec.policy.appraisal import appraise
from pykexec.policy.clause import text_at
from pykexec.policy.learn import Reference
from pykexec.policy.model import BANKS, Claims, Context, Policy
from pykexec.policy.parse import parse_policy
from pykexec.policy.predict import Changes, predict
from pykexec.policy.text import image_lines
from pykexec.policy.update import update_toml
from pykexec.tpm.eventlog import parse_event_log
from pykexec.verify.verify import Expected, Verified, verify

_NOT_CHECKED = Finding(
    "offline", "not checked: that this is fresh, and that EK and AK are in one TPM", refuses=False
)


def parse_evidence(data: bytes, source: str) -> Evidence:
    """Evidence from a file: an AttestRequest. FormatError names source."""
    try:
        return parse_attest_request(data).evidence
    except FormatError as error:
        raise FormatError(f"{source}: {error}") from None


def parse_reference(data: bytes, source: str) -> Reference:
    """Reference values: of an image, or as `pykexec build --reference` wrote them."""
    if data[:2] == b"MZ":
        return reference_values(data, source)
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: neither an image nor JSON: {error}") from None
    if not isinstance(values, dict) or values.get("version") != VERSION:
        raise FormatError(f"{source}: no reference values of version {VERSION}")
    for key in ("authenticode", "pcr11"):
        found = values.get(key)
        if found is None and key == "pcr11":
            continue  # Of an image that leaves its sections to the firmware.
        if not isinstance(found, dict) or not all(isinstance(found.get(b), str) for b in BANKS):
            raise FormatError(f"{source}: {key}: no values for {' and '.join(BANKS)}")
    return values


def examine(evidence: Evidence, now: datetime, roots: tuple[bytes, ...] = ()) -> Verified:
    """verify() as far as a file allows; without roots any EK will do."""
    expected = Expected(
        now=now,
        bank=evidence.bank,
        ek_roots=roots,
        enrolled=not roots,
    )
    return verify(evidence, expected)


def check(
    evidence: Evidence, policy: Policy, context: Context, roots: tuple[bytes, ...] = ()
) -> tuple[Verdict, Claims]:
    """The verdict on evidence under a policy, and the claims that it was about."""
    verified = examine(evidence, context.time, roots)
    verdict = verified.verdict.and_also(appraise(verified.claims, policy, context))
    return verdict.and_also([_NOT_CHECKED]), verified.claims


def genuine_claims(evidence: Evidence, source: str) -> Claims:
    """Claims of evidence that is consistent; DeniedError, with all reasons, of any other."""
    verified = examine(evidence, datetime.now(UTC))
    if not verified.verdict.accepted:
        reasons = "; ".join(map(str, verified.verdict.reasons))
        raise DeniedError(f"{source}: nothing to rely on: {reasons}")
    return verified.claims


def updated_policy(
    evidence: Evidence,
    source: str,
    changes: Changes,
    name: str,
    *,
    image: Reference | None = None,
    policy: tuple[bytes, str] | None = None,
) -> str:
    """TOML that allows what changes, and a new image, will make of the machine's values.

    With a policy (its bytes and name) it is that policy and what it lacks, "" where it lacks
    nothing; without one only what is to be added, as if everything were demanded.
    """
    genuine_claims(evidence, source)
    parsed = parse_policy(*policy) if policy else None
    if image:
        demanded = bool(parsed and evidence.bank in parsed.pcrs.get(SECTIONS_PCR, {}))
        changes = with_image(changes, image, evidence.bank, with_sections=demanded)
    log = parse_event_log(evidence.event_log)
    prediction = predict(log, evidence.bank, evidence.pcrs, changes)
    added = update_toml(prediction, name, parsed)
    if image and (parsed is None or parsed.images):
        added += "\n".join(image_lines({**image, "name": name}, "allowed in advance")) + "\n"
    if not added or policy is None:
        return added
    text = policy[0].decode().rstrip("\n") + "\n" + added
    parse_policy(text.encode(), policy[1])
    return text


def with_image(changes: Changes, image: Reference, bank: str, *, with_sections: bool) -> Changes:
    """These changes and another image of ours; with_sections with the register that some images
    extend by their sections, too.
    """
    pcrs = dict(changes.pcrs)
    if with_sections:
        zero = bytes(hashlib.new(bank).digest_size)
        pcrs[SECTIONS_PCR] = _digest(image, "pcr11", bank) if "pcr11" in image else zero
    return replace(
        changes,
        application=_digest(image, "authenticode", bank),
        description=_description(image),
        pcrs=pcrs,
    )


def _description(reference: Reference) -> bytes:
    """What the image has logged of its sections."""
    sections = reference.get("sections")
    if not reference.get("described") or not isinstance(sections, Mapping):
        return b""
    return describe_digests({name: text_at(sections, name, "sha256") for name in sections})


def _digest(reference: Reference, key: str, bank: str) -> bytes:
    values = reference[key]
    assert isinstance(values, Mapping)
    try:
        return bytes.fromhex(values[bank])
    except ValueError:
        raise UsageError(f"{key}: {values[bank]!r} is no digest") from None
