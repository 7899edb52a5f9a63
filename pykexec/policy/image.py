# SPDX-License-Identifier: Apache-2.0
"""Clauses about our own image: what it is, what was started before it, how it was configured.

An image is known by what the firmware measured of it, and by the whole of that register: LoadImage
measures what StartImage may never start. So ours is what runs only if it is the last, nothing came
after it, and whatever was there before is named, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pykexec.attest.protocol import CONFIG_PCR, OLD_CONFIG_PCR
from pykexec.attest.verdict import Finding
from pykexec.image.measure import PCR as SECTIONS_PCR
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
from pykexec.policy.model import Claims, Context, Image, Policy

_SHORT = 16  # digits of a digest that tell it from others
_SAID = "sha256"  # of what an image says of its sections


def _bank(claims: Claims) -> str:
    return text_at(claims, "bank")


def started(claims: Claims) -> list[tuple[str, str]]:
    """Path and digest in the quoted bank of what the firmware started, in order."""
    bank = _bank(claims)
    return [
        (text_at(each, "path"), text_at(each, "authenticode", bank))
        for each in mappings_at(claims, "boot", "applications")
    ]


def said_of_sections(claims: Claims) -> dict[str, str]:
    """What the image says of its sections: SHA-256 by name."""
    return {
        text_at(section, "name"): text_at(section, _SAID)
        for section in mappings_at(claims, "image", "sections")
        if text_at(section, "name") and text_at(section, _SAID)
    }


def _matching(policy: Policy, claims: Claims) -> list[Image]:
    """Those whose digest the application that was started last has."""
    applications, bank = started(claims), _bank(claims)
    digest = applications[-1][1] if applications else ""
    return [image for image in policy.images if digest and image.authenticode.get(bank) == digest]


def _image_demands(policy: Policy) -> Iterator[str]:
    for image in policy.images:
        values = ", ".join(f"{bank} {value}" for bank, value in image.authenticode.items())
        yield f"one of the images: {shown(image.name)} ({values})"
        for bank, value in image.pcr11.items():
            yield f"with {shown(image.name)} PCR {SECTIONS_PCR} is {bank} {value}"
    if policy.images:
        yield "it is the application that was started last, and nothing is in PCR 4 behind it"


def _image_found(policy: Policy, claims: Claims) -> Iterator[str]:
    names = [image.name for image in _matching(policy, claims)]
    of = f", which is {either(names)}" if names else ""
    for path, digest in started(claims)[-1:]:
        yield f"the last is {shown(digest)} from {shown(path) or 'somewhere'}{of}"
    yield from (f"behind it: {shown(text)}" for text in texts_at(claims, "boot", "behind"))


def _check_image(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    if not policy.images:
        return
    applications, bank = started(claims), _bank(claims)
    if not applications:
        yield Finding("policy.image", "the log tells of no application that was started")
        return
    images = _matching(policy, claims)
    if not images:
        path, digest = applications[-1]
        allowed = either(
            f"{image.name} ({_difference(image, bank, claims)})" for image in policy.images
        )
        others = {a.authenticode.get(bank, ""): a.name for a in policy.boot.applications}
        yield Finding(
            "policy.image",
            f"the last application started is {_named(digest, others)} from {shown(path)}, "
            f"not {allowed}",
        )
        return
    for text in texts_at(claims, "boot", "behind"):
        yield Finding("policy.image", f"the image is not what runs: behind it is {shown(text)}")
    value = text_at(claims, "pcrs", str(SECTIONS_PCR))
    if all(image.pcr11.get(bank, value) != value for image in images):
        wanted = either(f"{image.name} ({image.pcr11.get(bank)})" for image in images)
        yield Finding(
            "policy.image",
            f"PCR {SECTIONS_PCR} ({bank}) is {shown(value) or 'not in the evidence'}, "
            f"not that of {wanted}",
        )


def _difference(image: Image, bank: str, claims: Claims) -> str:
    """Where another image says that its sections are not those of image; else what image is."""
    if bank not in image.authenticode:
        return f"of which no {shown(bank)} value is known"
    said = said_of_sections(claims)
    expected = {name: known[_SAID] for name, known in image.sections.items() if _SAID in known}
    names = sorted(name for name in {*said, *expected} if said.get(name) != expected.get(name))
    if said and expected and names:
        differ = f"differ{'s' if len(names) == 1 else ''}"
        return f"the image says that its {', '.join(map(shown, names))} {differ}"
    return image.authenticode[bank]


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
        if policy.images:
            yield f"before the image nothing {'else ' if boot.applications else ''}was started"
    if boot.paths:
        yield f"the image comes from {either(boot.paths)} (as the log says; no digest covers it)"


def _boot_found(policy: Policy, claims: Claims) -> Iterator[str]:
    for path, digest in started(claims):
        yield f"{shown(path) or 'somewhere'} {shown(digest)}"


def _check_boot(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    applications = started(claims)
    if policy.boot.paths:
        path = applications[-1][0] if applications else ""
        if not matches(path, policy.boot.paths):
            allowed = either(policy.boot.paths)
            yield Finding(
                "policy.boot.path",
                f"the image comes from {shown(path) or 'nowhere'}, not {allowed}",
            )
    if not policy.boot.any_application:
        yield from _check_applications(policy, claims, applications)


def _check_applications(
    policy: Policy, claims: Claims, applications: list[tuple[str, str]]
) -> Iterator[Finding]:
    bank = _bank(claims)
    ours = {i.authenticode[bank]: i.name for i in policy.images if bank in i.authenticode}
    others = {
        a.authenticode[bank]: a.name for a in policy.boot.applications if bank in a.authenticode
    }
    if policy.images:
        applications = applications[:-1]
    elif not policy.boot.applications:
        return
    elif not applications:
        yield Finding("policy.boot.application", "the log tells of no application that was started")
    for path, digest in applications:
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
        yield (
            "nothing overrides the image's configuration (no such event is in PCR "
            f"{CONFIG_PCR}, where the log shows what was measured; PCR {OLD_CONFIG_PCR} is zero)"
        )


def _config_found(policy: Policy, claims: Claims) -> Iterator[str]:
    events = configs(claims)
    yield from map(_said, events or ())
    if events is None:
        yield f"PCR {CONFIG_PCR} is not in the evidence"
    elif not events:
        yield "the configuration is the image's own"


def configs(claims: Claims) -> list[object] | None:
    """All that has overridden the configuration, or could have; None: that is not known."""
    found, hidden = at(claims, "image", "config"), at(claims, "image", "hidden")
    if not isinstance(found, list) or not isinstance(hidden, list):
        return None
    return [*found, *hidden]


def _check_config(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    if policy.config.any:
        return
    code, events = "policy.config", configs(claims)
    if events is None:
        yield Finding(code, f"what is in PCR {CONFIG_PCR} is not in the evidence")
    old = text_at(claims, "pcrs", str(OLD_CONFIG_PCR))
    if not old:
        yield Finding(code, f"PCR {OLD_CONFIG_PCR} is not in the evidence")
    elif old.strip("0") and not any(at_pcr(event, OLD_CONFIG_PCR) for event in events or ()):
        yield Finding(code, f"PCR {OLD_CONFIG_PCR} is {shown(old)}, and no event tells why")
    for event in events or ():
        if not _is_allowed(event, policy.config.allowed):
            allowed = f"only {either(policy.config.allowed)} may be"
            if not policy.config.allowed:
                allowed = "nothing may be"
            yield Finding(code, f"the configuration is overridden: {_said(event)}; {allowed}")


def at_pcr(event: object, pcr: int) -> bool:
    """Whether an event of configs() is of this register."""
    return isinstance(event, Mapping) and event.get("pcr") == pcr


def _is_allowed(event: object, allowed: tuple[str, ...]) -> bool:
    return isinstance(event, Mapping) and any(
        event.get(key) in allowed for key in ("digest", "sha256")
    )


def _said(event: object) -> str:
    if not isinstance(event, Mapping):
        return shown(event)
    if "event" in event:
        digest = shown(event.get("digest"))
        return f"by {shown(event['event'])} perhaps, whose digest {digest} is of no data in the log"
    return ", ".join(f"{shown(key)} {shown(value)}" for key, value in event.items())


IMAGE = Clause("image", _image_demands, _image_found, _check_image)
BOOT = Clause("started by the firmware", _boot_demands, _boot_found, _check_boot)
CONFIG = Clause("configuration", _config_demands, _config_found, _check_config)
