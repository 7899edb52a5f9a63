# SPDX-License-Identifier: Apache-2.0
"""Verified evidence for people: what it says, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pykexec.verify.verify import Verified

_SHORT = 16  # digits of a digest


def explain(verified: Verified) -> str:
    """Some lines about the machine, its boot, and each finding; always printable."""
    return "\n".join(_printable(line) for line in _lines(verified))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _lines(verified: Verified) -> Iterator[str]:
    claims = verified.claims
    yield "accepted" if verified.verdict.accepted else "refused"
    for finding in verified.verdict.findings:
        yield f"  {'' if finding.refuses else 'note: '}{finding}"
    yield from _machine(claims)
    yield from _firmware(claims)
    yield from _started(claims)


def _map(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Mapping[str, object]]:
    return [_map(item) for item in value] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _machine(claims: Mapping[str, object]) -> Iterator[str]:
    ek = _map(claims.get("ek"))
    by = f"trusted by {ek['trusted']}" if ek.get("trusted") else "not trusted"
    yield f"EK: {ek.get('fingerprint')}, {ek.get('algorithm', 'unknown')}, {by}"
    if certificate := _map(ek.get("certificate")):
        device = ", ".join(
            str(certificate.get(key)) for key in ("manufacturer", "model", "version")
        )
        yield f"EK certificate: TPM {device}; by {certificate.get('issuer')}"
        yield f"EK certificate: until {certificate.get('not_after')}"
    if tpm := _map(claims.get("tpm")):
        yield (
            f"TPM: reset {tpm['reset_count']} times, resumed {tpm['restart_count']} times, "
            f"clock {tpm['clock_ms']} ms"
        )
    if machine := _map(claims.get("machine")):
        yield "machine (stated): " + ", ".join(f"{key} {value}" for key, value in machine.items())


def _firmware(claims: Mapping[str, object]) -> Iterator[str]:
    yield f"firmware: {_map(claims.get('firmware')).get('version', 'version not told')}"
    secure_boot = _map(claims.get("secure_boot"))
    if not secure_boot:
        yield "Secure Boot: not told"
        return
    yield f"Secure Boot: {'on' if secure_boot.get('enabled') else 'off'}"
    for name, variable in _map(secure_boot.get("variables")).items():
        found = _map(variable)
        if "hashes" in found:
            subjects = ", ".join(str(c.get("subject")) for c in _list(found.get("certificates")))
            hashes = found["hashes"]
            count = len(hashes) if isinstance(hashes, list) else 0
            yield f"  {name}: {count} hashes; certificates: {subjects or 'none'}"


def _started(claims: Mapping[str, object]) -> Iterator[str]:
    for started in _list(_map(claims.get("boot")).get("applications")):
        digests = _map(started.get("authenticode"))
        text = ", ".join(f"{bank} {str(value)[:_SHORT]}..." for bank, value in digests.items())
        yield f"started: {started.get('path') or started.get('type') or 'somewhere'} ({text})"
    image = _map(claims.get("image"))
    for text in _texts(_map(claims.get("boot")).get("behind")):
        yield f"  behind it: {text}"
    for section in _list(image.get("sections")):
        yield f"  says of its {section.get('name')}: {str(section.get('sha256'))[:_SHORT]}..."
    for event in _list(image.get("config")):
        yield "configured by: " + ", ".join(f"{key} {value}" for key, value in event.items())
    for event in _list(image.get("hidden")):
        yield f"may be configured by what is not in the log: {event.get('event')}"
    if payload := _map(claims.get("payload")):
        yield "payload (stated): " + ", ".join(f"{key} {value}" for key, value in payload.items())
    yield f"secret released in this boot: {'yes' if claims.get('released') else 'no'}"
