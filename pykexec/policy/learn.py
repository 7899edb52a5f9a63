# SPDX-License-Identifier: Apache-2.0
"""A policy from a known-good boot: this machine, as it was then, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pykexec.attest.protocol import CONFIG_PCR, OLD_CONFIG_PCR
from pykexec.errors import UsageError
from pykexec.policy.clause import at, mappings_at, shown, text_at, texts_at
from pykexec.policy.firmware import DRIVERS_PCR, added_drivers, is_on, named, variable_of
from pykexec.policy.image import at_pcr, configs, said_of_sections, started
from pykexec.policy.model import Claims
from pykexec.policy.text import banked, comment, image_lines, listed, quoted
from pykexec.policy.use import check_self_contained

Reference = Mapping[str, object]

DEFAULT_PCRS = (0, 2)
"""The firmware's code, and that of cards. What they are configured with (1, 3) changes too often;
4, 5 and 7 are demanded event by event."""
_KEYS = ("PK", "KEK", "db")


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """What goes into the policy: its name, registers to pin, images (reference values) to allow;
    without any of these it is the image of the evidence.
    """

    name: str
    pcrs: tuple[int, ...] = DEFAULT_PCRS
    references: tuple[Reference, ...] = ()
    payload: bool = True


def learn(claims: Claims, options: LearnOptions) -> str:
    """TOML of a policy that these claims fulfil; UsageError if no reference is the image's."""
    blocks = [
        _head(claims, options),
        *(_images(claims, options)),
        _boot(claims),
        _config(claims),
        _secure_boot(claims),
        _firmware(claims),
        _pcrs(claims, options.pcrs),
        _payload(claims) if options.payload else [],
    ]
    return "\n".join(line for block in blocks for line in block) + "\n"


def _head(claims: Claims, options: LearnOptions) -> list[str]:
    fingerprint = text_at(claims, "ek", "fingerprint")
    machine = " ".join(text_at(claims, "machine", key) for key in ("vendor", "product", "serial"))
    return [
        comment(f"learnt from one boot of {machine.strip() or 'a machine'} (EK {fingerprint})"),
        comment("Look through it: it allows what this boot was, be that good or bad."),
        "version = 1",
        f"name = {quoted(options.name)}",
    ]


def _images(claims: Claims, options: LearnOptions) -> list[list[str]]:
    bank, applications = text_at(claims, "bank"), started(claims)
    if not (applications and applications[-1][1]):
        raise UsageError("the log tells of no application that was started")
    if behind := texts_at(claims, "boot", "behind"):
        raise UsageError(f"the image that was started last does not run: behind it is {behind[0]}")
    digest = applications[-1][1]
    if not options.references:
        image = {
            "name": "learnt",
            "authenticode": {bank: digest},
            "sections": {name: {"sha256": v} for name, v in said_of_sections(claims).items()},
        }
        return [image_lines(image, "the image that was booted")]
    if not any(at(reference, "authenticode", bank) == digest for reference in options.references):
        raise UsageError(
            f"the image that was booted ({bank} {digest}) is in none of the reference values"
        )
    return [image_lines(reference, "from reference values") for reference in options.references]


def _boot(claims: Claims) -> list[str]:
    bank = text_at(claims, "bank")
    lines = []
    for number, (path, digest) in enumerate(started(claims)[:-1], 1):
        lines += ["", comment(f"started before the image: {path}")]
        lines += ["[[boot.applications]]", f'name = "application {number}"']
        lines += [f"authenticode = {banked({bank: digest})}"]
    return lines


def _config(claims: Claims) -> list[str]:
    events = configs(claims)
    if events is None:
        raise UsageError(f"what is in PCR {CONFIG_PCR} is not in the evidence")
    old = text_at(claims, "pcrs", str(OLD_CONFIG_PCR))
    if old.strip("0") and not any(at_pcr(event, OLD_CONFIG_PCR) for event in events):
        raise UsageError(f"PCR {OLD_CONFIG_PCR} is not zero, and no event tells why")
    if not events:
        return ["", comment("nothing may override the image's configuration")]
    lines, digests = [""], []
    for event in events:
        found = event if isinstance(event, Mapping) else {}
        digests.append(text_at(found, "sha256") or text_at(found, "digest"))
        if hidden := text_at(found, "event"):
            lines.append(comment(f"of no data in the log: {hidden}"))
    return [*lines, comment("may override it"), "[config]", f"allowed = {listed(digests)}"]


def _secure_boot(claims: Claims) -> list[str]:
    if not is_on(claims):
        off = "Secure Boot was off; what may be started before the image is judged by PCR 4 alone"
        return ["", comment(off), "[secure_boot]", "required = false"]
    lines = ["", "[secure_boot]", "required = true"]
    authorities = mappings_at(claims, "secure_boot", "authorities")
    digests = list(dict.fromkeys(text_at(each, "sha256") for each in authorities))
    if digests and all(digests):
        lines += [comment(named(each)) for each in authorities]
        lines += [f"authorities = {listed(digests)}"]
    for name in _KEYS:
        if (variable := variable_of(claims, name)) is not None:
            lines += ["", *_certificates(variable)]
            lines += [f"[secure_boot.{name}]", f"sha256 = {listed([text_at(variable, 'sha256')])}"]
    dbx = variable_of(claims, "dbx")
    if dbx is not None and (count := len(set(texts_at(dbx, "hashes")))):
        lines += ["", comment("revocations only become more"), "[secure_boot.dbx]"]
        lines += [f"at_least = {count}"]
    return lines


def _certificates(variable: Mapping[str, object]) -> list[str]:
    return [comment(named(each)) for each in mappings_at(variable, "certificates")]


def _firmware(claims: Claims) -> list[str]:
    version = text_at(claims, "firmware", "version")
    if not version:
        return ["", comment("the log has no version of the firmware")]
    # A version is a pattern here, and one may have its characters.
    pattern = "".join(f"[{char}]" if char in "*?[" else char for char in version)
    return ["", "[firmware]", f"versions = {listed([pattern])}"]


def _pcrs(claims: Claims, pcrs: Sequence[int]) -> list[str]:
    if not pcrs:
        return []
    bank = text_at(claims, "bank")
    lines = ["", f"[pcrs.{bank}]"]
    for number in pcrs:
        value = text_at(claims, "pcrs", str(number))
        if not value:
            raise UsageError(f"PCR {number} is not in the evidence")
        if number == DRIVERS_PCR and (added := added_drivers(claims)):
            lines += map(comment, ("drivers were added to the firmware's own:", *added))
        lines.append(f"{number} = {listed([value])}")
    return lines


def _payload(claims: Claims) -> list[str]:
    digest = text_at(claims, "payload", "authenticode_sha256")
    key = "authenticode_sha256" if digest else "sha256"
    digest = digest or text_at(claims, "payload", "sha256")
    if not digest:
        return ["", comment("no payload was stated: any may be started")]
    path = shown(text_at(claims, "payload", "path"))
    lines = ["", comment(path), "[payload]", "required = true", f"{key} = {listed([digest])}"]
    if next(check_self_contained(claims), None) is None:
        return [*lines, "self_contained = true"]
    return [*lines, comment("not self-contained: what it reads next is in no digest")]
