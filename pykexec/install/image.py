# SPDX-License-Identifier: Apache-2.0
"""What an image is, whether it is whole and ours, who vouches for it, and whether it is older."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pykexec.efi import pe
from pykexec.efi.secure_boot import Trust, generations, refusals
from pykexec.errors import FormatError
from pykexec.firmware.description import (
    DESCRIPTION,
    SECTION_ORDER,
    os_release,
    parse_description,
    section_text,
)
from pykexec.log import reason

_PARTS = (".linux", ".initrd", ".cmdline", ".osrel", ".uname", ".sbat")
_TOKEN = re.compile(r"[-~]?rc(\d+)|(\d+)")
_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Identity:
    """pykexec is its version, kernel that of Linux as uname -r says it; generations are those of
    stub and kernel by component (SBAT), the higher one where both name it.
    """

    sha256: str
    pykexec: str
    kernel: str
    generations: Mapping[str, int]

    def __str__(self) -> str:
        return f"pykexec {self.pykexec} (Linux {self.kernel})"


def identify(data: bytes, source: str) -> Identity:
    """Of one of our images; FormatError, which names source, for anything else, or what is cut off
    or changed.
    """
    image = pe.check_application(data, source)
    for name in _PARTS:
        section = image.section(name)
        if section is None or not section.size_in(len(data)):
            raise FormatError(f"{source}: no section {name}: not an image of pykexec")

    def content(name: str) -> bytes:
        section = image.section(name)
        return pe.section_data(data, section) if section else b""

    release = os_release(content(".osrel"))
    if release.get("ID") != "pykexec":
        raise FormatError(f"{source}: .osrel is not of pykexec")
    _check_digests(content, source)
    found: dict[str, int] = {}
    for component, generation in (
        *generations(content(".sbat")),
        *_kernel_generations(content(".linux"), f"{source}: section .linux"),
    ):
        found[component] = max(generation, found.get(component, 0))
    return Identity(
        hashlib.sha256(data).hexdigest(),
        release.get("VERSION_ID", ""),
        section_text(content(".uname")),
        found,
    )


def _check_digests(content: Callable[[str], bytes], source: str) -> None:
    """By what the image says of its sections: that proves nothing, and finds what broke. One at a
    time is in memory.
    """
    own = content(DESCRIPTION)
    if not own:
        raise FormatError(f"{source}: no section {DESCRIPTION}: nobody could tell if it is whole")
    said = parse_description(own)
    for name in SECTION_ORDER:
        found = content(name)
        if (found or name in said) and said.get(name) != hashlib.sha256(found).hexdigest():
            raise FormatError(f"{source}: section {name} is not what the image says of it")


def _kernel_generations(kernel: bytes, source: str) -> tuple[tuple[str, int], ...]:
    """A kernel since Linux 6.16 may have .sbat of its own; nothing of one that has none."""
    image = pe.check_application(kernel, source)
    section = image.section(".sbat")
    return generations(pe.section_data(kernel, section)) if section else ()


def downgrades(new: Identity, old: Identity) -> Iterator[str]:
    """In which respects new is older than old, a line each."""
    for component, generation in sorted(old.generations.items()):
        given = new.generations.get(component)
        if given is None or given < generation:
            has = "has none" if given is None else f"is of generation {given}"
            yield f"{component} {has}, {generation} is in use (SBAT)"
    if _is_older(new.pykexec, old.pykexec):
        yield f"pykexec {new.pykexec}, {old.pykexec} is in use"
    if _is_older(new.kernel, old.kernel):
        yield f"Linux {new.kernel}, {old.kernel} is in use"


def _is_older(new: str, old: str) -> bool:
    """By the numbers in them, from the left; a release candidate comes before its release."""
    for mine, others in zip_longest(_numbers(new), _numbers(old), fillvalue=(0, 0)):
        if mine != others:
            return mine < others
    return False


def _numbers(version: str) -> list[tuple[int, int]]:
    found = _TOKEN.finditer(version)
    return [(-1, int(match[1])) if match[1] else (0, int(match[2])) for match in found]


def check_signatures(
    data: bytes, source: str, certificates: Sequence[bytes], trust: Trust | None
) -> bool:
    """Whether anybody vouches for the image: one of certificates (DER), where any are given, and
    under Secure Boot whom the machine trusts. FormatError where one of these is asked and does not.
    """
    if certificates:
        _check_signer(data, source, certificates)
    if trust is not None and (faults := list(refusals(data, source, trust))):
        raise FormatError(f"{source}: the firmware would not start it: {'; '.join(faults)}")
    return bool(certificates or trust)


def _check_signer(data: bytes, source: str, certificates: Sequence[bytes]) -> None:
    from pykexec.efi.authenticode import certificate, leads_to, signatures

    found = signatures(data, pe.parse(data, source), source)
    if not any(leads_to(each, anchor) for each in found for anchor in certificates):
        names = ", ".join(str(certificate(anchor)) for anchor in certificates)
        raise FormatError(f"{source}: not signed by {names}")


def read_certificates(data: bytes, source: str) -> tuple[bytes, ...]:
    """Certificates in DER out of PEM, or the one that data is; FormatError if there is none."""
    from ssl import PEM_cert_to_DER_cert

    pieces = data.decode("latin-1").split(_PEM_BEGIN)[1:]
    try:
        found = tuple(PEM_cert_to_DER_cert(_PEM_BEGIN + _until_end(piece)) for piece in pieces)
    except ValueError as error:
        raise FormatError(f"{source}: {reason(error, source)}") from None
    found = found or (data,)
    if any(der[:1] != b"\x30" for der in found):  # SEQUENCE
        raise FormatError(f"{source}: no certificate, in PEM or DER")
    return found


def _until_end(piece: str) -> str:
    end = "-----END CERTIFICATE-----"
    return piece.partition(end)[0] + end
