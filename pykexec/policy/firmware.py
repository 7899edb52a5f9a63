# SPDX-License-Identifier: Apache-2.0
"""Clauses about the firmware: Secure Boot and its keys, versions, values of registers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pykexec.attest.verdict import Finding
from pykexec.policy.clause import (
    Clause,
    at,
    either,
    mappings_at,
    matches,
    shown,
    text_at,
    texts_at,
)
from pykexec.policy.model import Claims, Context, Policy, VariableDemand

DRIVERS_PCR = 2
"""Where drivers are measured that are not the platform's: PC Client Platform Firmware Profile 1.05,
3.3.4.3. Those of cards come before the separator, those that an agent.toml adds behind it."""
_ADDED_MAX = 8
_DEBUG_MODE = "UEFI Debug Mode"  # PC Client Platform Firmware Profile 1.05, 3.3.4.8


def _secure_boot_demands(policy: Policy) -> Iterator[str]:
    demand = policy.secure_boot
    if demand.required:
        yield "Secure Boot is on, and the firmware lets no debugger in"
    if demand.authorities:
        yield f"what was started is vouched for by {either(demand.authorities)} alone"
    for name, variable in demand.variables.items():
        yield from _variable_demands(name, variable)


def _variable_demands(name: str, demand: VariableDemand) -> Iterator[str]:
    if demand.sha256:
        yield f"{name} as a whole has the SHA-256 {either(demand.sha256)}"
    if demand.certificates:
        yield f"{name} has no certificates but {either(demand.certificates)}"
    if demand.certificates or demand.hashes:
        yield f"{name} has no hashes but {either(demand.hashes)}"
    if demand.contains:
        yield f"{name} has the hashes {', '.join(demand.contains)}"
    if demand.at_least:
        yield f"{name} has {demand.at_least} hashes or more"


def _secure_boot_found(policy: Policy, claims: Claims) -> Iterator[str]:
    yield f"Secure Boot is {'on' if is_on(claims) else 'off'}"
    for authority in mappings_at(claims, "secure_boot", "authorities"):
        yield f"vouched for by {named(authority)} of {shown(text_at(authority, 'variable'))}"
    for name in policy.secure_boot.variables:
        variable = variable_of(claims, name)
        if variable is None:
            yield f"{name} is not in the log"
            continue
        certificates = mappings_at(variable, "certificates")
        yield (
            f"{name}: SHA-256 {shown(text_at(variable, 'sha256'))}, "
            f"{len(texts_at(variable, 'hashes'))} hashes, {len(certificates)} certificates"
            + "".join(f", {named(certificate)}" for certificate in certificates)
        )


def is_on(claims: Claims) -> bool:
    """Whether Secure Boot was on."""
    return at(claims, "secure_boot", "enabled") is True


def variable_of(claims: Claims, name: str) -> Mapping[str, object] | None:
    """The claims of a variable, None where the log does not have it."""
    value = at(claims, "secure_boot", "variables", name)
    return value if isinstance(value, Mapping) else None


def named(certificate: Mapping[str, object]) -> str:
    """A certificate of the claims for people."""
    subject, digest = text_at(certificate, "subject"), text_at(certificate, "sha256")
    return shown(f"{subject} ({digest})" if subject else digest or "nobody")


def is_one_of(certificate: Mapping[str, object], allowed: Iterable[str]) -> bool:
    """Whether a certificate's SHA-256 or subject is allowed."""
    return any(
        bool(text) and text in allowed
        for text in (text_at(certificate, "sha256"), text_at(certificate, "subject"))
    )


def _check_secure_boot(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    demand = policy.secure_boot
    if demand.required and not is_on(claims):
        yield Finding("policy.secure-boot", "Secure Boot is off, it has to be on")
    if demand.required and _DEBUG_MODE in texts_at(claims, "secure_boot", "actions"):
        yield Finding("policy.secure-boot", "the firmware lets a debugger in")
    if demand.authorities:
        authorities = mappings_at(claims, "secure_boot", "authorities")
        if not is_on(claims) or not authorities:
            text = f"vouched for by nobody, not by {either(demand.authorities)}"
            yield Finding("policy.secure-boot.authority", text)
        for authority in authorities:
            if not is_one_of(authority, demand.authorities):
                yield Finding(
                    "policy.secure-boot.authority",
                    f"vouched for by {named(authority)}, not by {either(demand.authorities)}",
                )
    for name, variable in demand.variables.items():
        yield from _check_variable(name, variable, variable_of(claims, name))


def _check_variable(
    name: str, demand: VariableDemand, found: Mapping[str, object] | None
) -> Iterator[Finding]:
    code = f"policy.secure-boot.{name}"
    if found is None:
        yield Finding(code, f"the log does not have {name}")
        return
    digest = text_at(found, "sha256")
    if demand.sha256 and digest not in demand.sha256:
        yield Finding(code, f"{name} has the SHA-256 {shown(digest)}, not {either(demand.sha256)}")
    hashes = texts_at(found, "hashes")
    if demand.certificates or demand.hashes:
        yield from check_contents(code, name, found, demand.certificates, demand.hashes)
    if missing := [text for text in demand.contains if text not in hashes]:
        yield Finding(code, f"{name} lacks {len(missing)} hashes: {either(missing)}")
    # Distinct ones: a variable full of one hash refuses one image.
    if (count := len(set(hashes))) < demand.at_least:
        yield Finding(code, f"{name} has {count} hashes, at least {demand.at_least} are wanted")


def check_contents(
    code: str,
    name: str,
    found: Mapping[str, object],
    certificates: Iterable[str],
    hashes: Iterable[str],
) -> Iterator[Finding]:
    """A finding for each entry of the variable `found` that is neither of these."""
    if "certificates" not in found or "hashes" not in found:
        yield Finding(code, f"what {name} lists cannot be read")
    for certificate in mappings_at(found, "certificates"):
        if not is_one_of(certificate, certificates):
            allowed = either(certificates)
            yield Finding(code, f"{name} has the certificate {named(certificate)}, not {allowed}")
    if other := [text for text in texts_at(found, "hashes") if text not in hashes]:
        yield Finding(
            code,
            f"{name} has {len(other)} hashes that are not allowed: {either(other)}; "
            f"allowed are {either(hashes)}",
        )


def _version_demands(policy: Policy) -> Iterator[str]:
    if policy.versions:
        yield f"the firmware's version is {either(policy.versions)}"


def _version_found(policy: Policy, claims: Claims) -> Iterator[str]:
    yield shown(text_at(claims, "firmware", "version") or "not in the log")


def _check_version(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    version = text_at(claims, "firmware", "version")
    if policy.versions and not (version and matches(version, policy.versions)):
        yield Finding(
            "policy.firmware.version",
            f"the firmware's version is {shown(version) or 'not in the log'}, "
            f"not {either(policy.versions)}",
        )


def _pcr_demands(policy: Policy) -> Iterator[str]:
    for number, banks in sorted(policy.pcrs.items()):
        values = (f"{bank} {either(allowed)}" for bank, allowed in banks.items())
        yield f"PCR {number} is {', '.join(values)}"


def _pcr_found(policy: Policy, claims: Claims) -> Iterator[str]:
    bank = text_at(claims, "bank")
    for number in sorted(policy.pcrs):
        value = text_at(claims, "pcrs", str(number)) or "not in the evidence"
        yield f"PCR {number} is {bank} {shown(value)}{_why(number, claims)}"


def added_drivers(claims: Claims) -> list[str]:
    """What was added to the firmware's own drivers, a line each; only the first of many."""
    bank, found = text_at(claims, "bank"), mappings_at(claims, "boot", "drivers")
    lines = [
        f"{shown(text_at(each, 'authenticode', bank))} from "
        f"{shown(text_at(each, 'path') or 'somewhere')}"
        for each in found[:_ADDED_MAX]
    ]
    return lines + ([f"{more} others"] if (more := len(found) - _ADDED_MAX) > 0 else [])


def _why(pcr: int, claims: Claims) -> str:
    """What may be why PCR 2 is another one, in words."""
    added = added_drivers(claims) if pcr == DRIVERS_PCR else []
    return f"; drivers were added to the firmware's own: {', '.join(added)}" if added else ""


def _check_pcrs(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    bank = text_at(claims, "bank")
    for number, banks in sorted(policy.pcrs.items()):
        code, value = f"policy.pcr.{number}", text_at(claims, "pcrs", str(number))
        if bank not in banks:
            yield Finding(code, f"no value of PCR {number} is allowed in the bank {shown(bank)}")
        elif value not in banks[bank]:
            yield Finding(
                code,
                f"PCR {number} ({bank}) is {shown(value) or 'not in the evidence'}, "
                f"not {either(banks[bank])}{_why(number, claims)}",
            )


SECURE_BOOT = Clause("Secure Boot", _secure_boot_demands, _secure_boot_found, _check_secure_boot)
FIRMWARE = Clause("firmware version", _version_demands, _version_found, _check_version)
PCRS = Clause("registers", _pcr_demands, _pcr_found, _check_pcrs)
