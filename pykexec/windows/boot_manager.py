# SPDX-License-Identifier: Apache-2.0
"""Windows' boot manager on an ESP: its signature against db and dbx, and what its configuration
has it start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pykexec.efi import authenticode, pe
from pykexec.efi.authenticode import Certificate
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.log import reason
from pykexec.windows import bcd
from pykexec.windows.bcd import BootConfiguration
from pykexec.windows.disks import Place
from pykexec.windows.findings import Finding, fault, fine, note
from pykexec.windows.machine import Machine

PATH = r"\EFI\Microsoft\Boot\bootmgfw.efi"
SIZE_MAX = 32 << 20
"""Bytes; the boot manager has some 3 MiB."""

AUTHORITIES = {
    "e8e95f0733a55e8bad7be0a1413ee23c51fcea64b3c8fa6a786935fddcc71961": (
        "Microsoft Windows Production PCA 2011"
    ),
    "076f1fea90ac29155ebf77c17682f75f1fdd1be196da302dc8461e350a9ae330": "Windows UEFI CA 2023",
}
"""Whom Microsoft has Windows' boot manager signed by: fingerprint (SHA-256) and common name."""


def is_windows_authority(found: Certificate) -> bool:
    """Is it one of Microsoft's two for Windows, by its fingerprint?"""
    return found.sha256 in AUTHORITIES


def describe(found: Certificate | str) -> str:
    """A certificate's name; with a word where it has the name of Microsoft's and is not it."""
    if isinstance(found, str):
        return found
    named = found.name in AUTHORITIES.values() and not is_windows_authority(found)
    return f"{found} (not Microsoft's: {found.sha256[:16]}...)" if named else str(found)


def signature(data: bytes, what: str, machine: Machine) -> Iterator[Finding]:
    """What firmware says of the boot manager: an application, signed, allowed, not forbidden."""
    try:
        image = pe.check_application(data, what)
        verdict = authenticode.appraise(data, image, machine.db or (), machine.dbx or (), what)
    except FormatError as error:
        yield fault(what, reason(error, what))
        return
    for each in verdict.signatures:
        chain = " < ".join(map(str, each.certificates))
        yield fine(what, f"signed by {chain}")
    refused = fault if machine.secure_boot else note
    if not verdict.signatures and verdict.allowed_by is None:
        yield refused(what, "has no signature: firmware refuses it under Secure Boot")
        return
    if verdict.forbidden_by is not None:
        yield refused(what, f"dbx forbids it, by {describe(verdict.forbidden_by)}")
    if machine.db is None:
        yield note(what, "which signers the firmware allows is not known: there is no db to read")
    elif verdict.allowed_by is None:
        yield refused(what, _no_authority(verdict.signatures))
    else:
        yield fine(what, f"db allows it, by {describe(verdict.allowed_by)}")
    if machine.secure_boot is False:
        yield note(what, "Secure Boot is off: the firmware looks at no signature")


def _no_authority(signatures: Sequence[authenticode.Signature]) -> str:
    """Which of Microsoft's authorities is missing in db, or that it is another's."""
    known = {each.name for found in signatures for each in found.certificates}
    issuers = sorted(known & set(AUTHORITIES.values()))
    missing = f"of {issuers[0]} " if issuers else ""
    return f"db has no certificate {missing}that its signature leads to: firmware refuses it"


def configuration(data: bytes | None, what: str) -> BootConfiguration | Finding:
    """The boot configuration, or why there is none."""
    if data is None:
        return fault(what, "is not there: the boot manager stops with 0xc000000f")
    try:
        return bcd.parse_bcd(data, what)
    except FormatError as error:
        return fault(what, f"{reason(error, what)}: the boot manager stops with 0xc000014c")


def entries(found: BootConfiguration, what: str) -> Iterator[Finding]:
    """What the configuration says, and what of it leads nowhere."""
    if not found.is_whole:
        yield note(what, "its last change was not written to the end; Windows repeats it")
    default = found.default
    device = f" on {default.device}" if default.device else ""
    if not default.path:
        yield fault(what, f"the default entry {default} names no file to start")
    else:
        yield fine(what, f"starts {default}: {default.path}{device}")
    if default.os_device is None:
        yield fault(what, f"the default entry {default} names no device of Windows: 0xc000000e")
    if default.resume and found.resume is None:
        yield note(what, f"resume object {{{default.resume}}} is not there")


def missing_partition(found: BootConfiguration, places: Sequence[Place]) -> Iterator[Finding]:
    """The device of the default entry that is on none of the disks; only a note of an MBR's, since
    how such a one is named is inferred.
    """
    known = {place.partition for place in places if place.partition}
    for device in (found.default.device, found.default.os_device):
        if device and device.partition and device.partition not in known:
            text = f"the default entry's {device} is on none of these disks: 0xc000000e"
            yield (fault if isinstance(device.partition, Guid) else note)(bcd.PATH, text)
            return
