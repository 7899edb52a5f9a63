# SPDX-License-Identifier: Apache-2.0
"""Clauses about our own image: what it is, what was started before it, how it was configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pykexec.attest.protocol import CONFIG_PCR
from pykexec.attest.verdict import Finding
from pykexec.policy.clause import (
    Clause,
    at,
    either,
    mappings_at,
    matches,
    shown,
    text_at,
)
from pykexec.policy.model import Claims, Context, Image, Policy

IMAGE_PCR = 11
_SHORT = 16  # digits of a digest that tell it from others


def _bank(claims: Claims) -> str:
    return text_at(claims, "bank")


def _matching(policy: Policy, claims: Claims) -> list[Image]:
    value = text_at(claims, "pcrs", str(IMAGE_PCR))
    bank = _bank(claims)
    return [image for image in policy.images if value and image.pcr11.get(bank) == value]


def _image_demands(policy: Policy) -> Iterator[str]:
    for image in policy.images:
        values = ", ".join(f"{bank} {value}" for bank, value in image.pcr11.items())
        yield f"one of the images: {shown(image.name)} (PCR 11 {values})"


def _image_found(policy: Policy, claims: Claims) -> Iterator[str]:
    names = [image.name for image in _matching(policy, claims)]
    value = text_at(claims, "pcrs", str(IMAGE_PCR)) or "missing"
    of = f", that of {either(names)}" if names else ""
    yield f"PCR 11 {_bank(claims)} {shown(value)}{of}"


def _check_image(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    if not policy.images or _matching(policy, claims):
        return
    value = text_at(claims, "pcrs", str(IMAGE_PCR))
    if not value:
        yield Finding("policy.image", "PCR 11 is not in the evidence")
        return
    bank = _bank(claims)
    allowed = either(
        f"{image.name} ({_difference(image, bank, claims)})" for image in policy.images
    )
    yield Finding("policy.image", f"PCR 11 ({bank}) is {shown(value)}, not that of {allowed}")


def _difference(image: Image, bank: str, claims: Claims) -> str:
    """Where the measured sections are not those of image."""
    if bank not in image.pcr11:
        return f"of which no {shown(bank)} value is known"
    measured = {
        text_at(section, "name"): text_at(section, "digest")
        for section in mappings_at(claims, "image", "sections")
    }
    expected = {name: digests[bank] for name, digests in image.sections.items() if bank in digests}
    names = sorted(
        name
        for name in {*measured, *expected}
        if expected and measured.get(name) != expected.get(name)
    )
    if names:
        return f"whose {', '.join(map(shown, names))} differ{'s' if len(names) == 1 else ''}"
    return image.pcr11[bank]


def _applications(claims: Claims) -> list[tuple[str, str]]:
    """Path and digest in the quoted bank of what the firmware started, in order."""
    bank = _bank(claims)
    return [
        (text_at(started, "path"), text_at(started, "authenticode", bank))
        for started in mappings_at(claims, "boot", "applications")
    ]


def _boot_demands(policy: Policy) -> Iterator[str]:
    boot = policy.boot
    if boot.any_application:
        yield "whatever application was started before the image"
    else:
        for application in boot.applications:
            values = ", ".join(
                f"{bank} {value}" for bank, value in application.authenticode.items()
            )
            yield f"{shown(application.name)} may be started ({values})"
        if any(image.authenticode for image in policy.images):
            only = "them" if boot.applications else "nothing else"
            yield f"the image itself is started by the firmware, last, before it {only}"
    if boot.paths:
        yield f"the image comes from {either(boot.paths)} (as the log says; no digest covers it)"


def _boot_found(policy: Policy, claims: Claims) -> Iterator[str]:
    for path, digest in _applications(claims):
        yield f"{shown(path) or 'somewhere'} {shown(digest)}"


def _check_boot(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    started = _applications(claims)
    if policy.boot.paths:
        path = started[-1][0] if started else ""
        if not matches(path, policy.boot.paths):
            allowed = either(policy.boot.paths)
            yield Finding(
                "policy.boot.path",
                f"the image comes from {shown(path) or 'nowhere'}, not {allowed}",
            )
    if not policy.boot.any_application:
        yield from _check_applications(policy, claims, started)


def _check_applications(
    policy: Policy, claims: Claims, started: list[tuple[str, str]]
) -> Iterator[Finding]:
    bank = _bank(claims)
    # An unknown image has a finding already; do not let it be told twice as an application.
    images = _matching(policy, claims) or policy.images
    ours = {i.authenticode[bank]: i.name for i in images if bank in i.authenticode}
    others = {
        a.authenticode[bank]: a.name for a in policy.boot.applications if bank in a.authenticode
    }
    demands_image = any(image.authenticode for image in policy.images)
    if not demands_image and not policy.boot.applications:
        return
    if not started:
        yield Finding("policy.boot.application", "the log tells of no application that was started")
        return
    *before, (path, digest) = started if demands_image else (*started, ("", ""))
    if demands_image and digest not in ours:
        yield Finding(
            "policy.boot.image",
            f"the last application started is {_named(digest, others)} from {shown(path)}, "
            f"not {either(_listed(ours))}",
        )
    for path, digest in before:
        if digest not in others:
            allowed = f"not {either(_listed(others))}" if others else "and nothing may be"
            yield Finding(
                "policy.boot.application",
                f"started before the image: {_named(digest, ours)} from {shown(path)}, {allowed}",
            )


def _named(digest: str, known: Mapping[str, str]) -> str:
    return f"{known[digest]} ({digest[:_SHORT]}...)" if digest in known else shown(digest)


def _listed(known: Mapping[str, str]) -> list[str]:
    return [f"{name} ({digest})" for digest, name in known.items()]


def _config_demands(policy: Policy) -> Iterator[str]:
    if policy.config.any:
        yield "the image's configuration may be overridden by any other"
    elif policy.config.allowed:
        yield f"the configuration is the image's own, or one of {either(policy.config.allowed)}"
    else:
        yield "nothing overrides the image's configuration (PCR 12 is zero)"


def _config_found(policy: Policy, claims: Claims) -> Iterator[str]:
    yield f"PCR 12 {shown(text_at(claims, 'pcrs', str(CONFIG_PCR)) or 'missing')}"
    for event in mappings_at(claims, "image", "config"):
        yield ", ".join(f"{key} {shown(value)}" for key, value in event.items())


def _check_config(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    if policy.config.any:
        return
    value = text_at(claims, "pcrs", str(CONFIG_PCR))
    events = at(claims, "image", "config")
    if not value:
        yield Finding("policy.config", "PCR 12 is not in the evidence")
    elif value.strip("0"):
        if not isinstance(events, list) or not events:
            yield Finding("policy.config", f"PCR 12 is {shown(value)}, and no event tells why")
            return
        for event in events:
            if not _is_allowed(event, policy.config.allowed):
                allowed = f"only {either(policy.config.allowed)} may be"
                if not policy.config.allowed:
                    allowed = "nothing may be"
                yield Finding("policy.config", f"measured into PCR 12: {_said(event)}; {allowed}")


def _is_allowed(event: object, allowed: tuple[str, ...]) -> bool:
    return isinstance(event, Mapping) and any(
        event.get(key) in allowed for key in ("digest", "sha256")
    )


def _said(event: object) -> str:
    if not isinstance(event, Mapping):
        return shown(event)
    return ", ".join(f"{shown(key)} {shown(value)}" for key, value in event.items())


IMAGE = Clause("image", _image_demands, _image_found, _check_image)
BOOT = Clause("started by the firmware", _boot_demands, _boot_found, _check_boot)
CONFIG = Clause("configuration", _config_demands, _config_found, _check_config)
