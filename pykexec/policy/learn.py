# SPDX-License-Identifier: Apache-2.0
"""A policy from a known-good boot: this machine, as it was then, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pykexec.attest.protocol import CONFIG_PCR
from pykexec.errors import UsageError
from pykexec.policy.clause import at, mappings_at, shown, text_at, texts_at
from pykexec.policy.firmware import is_on, named, variable_of
from pykexec.policy.image import IMAGE_PCR
from pykexec.policy.model import Claims
from pykexec.policy.text import banked, comment, image_lines, listed, quoted
from pykexec.policy.use import check_self_contained

Reference = Mapping[str, object]

DEFAULT_PCRS = (0, 2)
"""The firmware's code, and that of cards. What they are configured with (1, 3) changes too often;
4, 7, 11 and 12 are demanded event by event."""
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
    bank, value = text_at(claims, "bank"), text_at(claims, "pcrs", str(IMAGE_PCR))
    if not value.strip("0"):
        raise UsageError("PCR 11 is zero: this was no boot of an image that measures itself")
    if not options.references:
        return [image_lines(_image(claims, bank, value), "the image that was booted")]
    if not any(at(reference, "pcr11", bank) == value for reference in options.references):
        raise UsageError(f"PCR 11 ({bank}) is {value}, which is in none of the reference values")
    return [image_lines(reference, "from reference values") for reference in options.references]


def _image(claims: Claims, bank: str, value: str) -> Reference:
    started = mappings_at(claims, "boot", "applications")
    digest = text_at(started[-1], "authenticode", bank) if started else ""
    if not digest:
        raise UsageError("the log tells of no application that was started")
    return {
        "name": "learnt",
        "pcr11": {bank: value},
        "authenticode": {bank: digest},
        "sections": {
            text_at(section, "name"): {bank: text_at(section, "digest")}
            for section in mappings_at(claims, "image", "sections")
            if text_at(section, "name") and text_at(section, "digest")
        },
    }


def _boot(claims: Claims) -> list[str]:
    bank = text_at(claims, "bank")
    lines = []
    for number, started in enumerate(mappings_at(claims, "boot", "applications")[:-1], 1):
        lines += ["", comment(f"started before the image: {text_at(started, 'path')}")]
        lines += ["[[boot.applications]]", f'name = "application {number}"']
        lines += [f"authenticode = {banked({bank: text_at(started, 'authenticode', bank)})}"]
    return lines


def _config(claims: Claims) -> list[str]:
    events = mappings_at(claims, "image", "config")
    if not text_at(claims, "pcrs", str(CONFIG_PCR)).strip("0"):
        return ["", comment("PCR 12 is zero: nothing may override the image's configuration")]
    digests = [text_at(event, "sha256") or text_at(event, "digest") for event in events]
    if not digests or not all(digests):
        raise UsageError("PCR 12 is not zero, and no event tells what configured the image")
    return ["", comment("measured into PCR 12"), "[config]", f"allowed = {listed(digests)}"]


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
