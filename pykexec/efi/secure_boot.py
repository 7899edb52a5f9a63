# SPDX-License-Identifier: Apache-2.0
"""Whom this machine trusts to sign what LoadImage takes, and why it would refuse an image.

The firmware's LoadImage looks at db and dbx (UEFI 2.10, 32.4.2). shim 16 and later puts its own in
that place, which takes what the firmware's would, what its vendor has signed and what the machine's
owner has enrolled, but is stricter about the file (verify.c and pe.c of rhboot/shim).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pykexec.efi import authenticode, pe
from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.guid import Guid
from pykexec.efi.signature_list import SECURITY_DATABASE, SignatureList, parse_signature_lists
from pykexec.efi.variables import VariableName, global_name, read_variable
from pykexec.errors import FormatError
from pykexec.log import printable, reason

SHIM_LOCK = Guid.parse("605dab50-e046-4300-abb6-3dd810dd8b23")
"""The vendor of shim's variables."""
_PIECES_MAX = 16
_RELOCS_STRIPPED = 0x0001
_DIRECTORY_RELOCATIONS = 5
_UNINITIALIZED, _DISCARDABLE, _READ = 0x80, 0x02000000, 0x40000000


@dataclass(frozen=True, slots=True)
class Trust:
    """by_shim says who serves LoadImage; owned and unowned are then MokListRT and MokListXRT, which
    have shim's own keys, too, and levels are the least generations that SbatLevelRT asks for.
    """

    db: tuple[SignatureList, ...]
    dbx: tuple[SignatureList, ...]
    by_shim: bool = False
    owned: tuple[SignatureList, ...] = ()
    unowned: tuple[SignatureList, ...] = ()
    levels: tuple[tuple[str, int], ...] = ()


def read_trust(by_shim: bool, root: StrPath = EFIVARFS) -> Trust | None:
    """What efivarfs says; None where nobody looks at signatures: Secure Boot is off, or its owner
    has told shim so (`mokutil --disable-validation`). FormatError names a variable that is none of
    its kind.
    """
    if read_raw(global_name("SecureBoot"), root) != b"\1":
        return None
    db, dbx = (read_database(name, root) or () for name in ("db", "dbx"))
    if not by_shim:
        return Trust(db, dbx)
    if read_raw(VariableName("MokSBStateRT", SHIM_LOCK), root) == b"\1":
        return None
    level = read_raw(VariableName("SbatLevelRT", SHIM_LOCK), root) or b""
    owned, unowned = (_read_list(name, root) for name in ("MokListRT", "MokListXRT"))
    return Trust(db, dbx, True, owned, unowned, generations(level))


def read_database(name: str, root: StrPath = EFIVARFS) -> tuple[SignatureList, ...] | None:
    """db or dbx; None where there is none."""
    data = read_raw(VariableName(name, SECURITY_DATABASE), root)
    return None if data is None else parse_signature_lists(data, f"variable {name}")


def read_raw(name: VariableName, root: StrPath = EFIVARFS) -> bytes | None:
    """A variable's content; None where there is none."""
    try:
        return read_variable(name, root).data
    except FileNotFoundError:
        return None


def refusals(data: bytes, source: str, trust: Trust) -> Iterator[str]:
    """Why LoadImage would not take an image under Secure Boot, a line each; none if it would."""
    return map(printable, _refusals(data, source, trust))


def _refusals(data: bytes, source: str, trust: Trust) -> Iterator[str]:
    try:
        image = pe.parse(data, source)
        db, dbx = trust.db + trust.owned, trust.dbx + trust.unowned
        verdict = authenticode.appraise(data, image, db, dbx, source)
    except FormatError as error:
        yield reason(error, source)
        return
    lists = "db, or enrolled by the machine's owner" if trust.by_shim else "db"
    if verdict.forbidden_by is not None:
        yield f"dbx forbids it, by {_describe(verdict.forbidden_by)}"
    if verdict.allowed_by is None:
        signers = ", ".join(str(each.certificates[-1]) for each in verdict.signatures)
        how = f"signed by {signers}, which is not" if signers else "has no signature, and is not"
        yield f"{how} in {lists}"
    if trust.by_shim:
        yield from _strict(data, image, trust)


def generations(table: bytes) -> tuple[tuple[str, int], ...]:
    """Components and generations: the first two columns of SBAT's lines (SBAT.md, rhboot/shim)."""
    lines = table.split(b"\0")[0].decode("ascii", "replace").splitlines()
    matches = [re.match(r"([^,]+),(\d{1,9})(?:,|$)", line) for line in lines]
    return tuple((match[1], int(match[2])) for match in matches if match)


def _describe(found: authenticode.Certificate | str) -> str:
    return f"its {found}" if isinstance(found, str) else str(found)


def _strict(data: bytes, image: pe.Image, trust: Trust) -> Iterator[str]:
    if image.characteristics & _RELOCS_STRIPPED or image.nr_directories <= _DIRECTORY_RELOCATIONS:
        yield "it cannot be relocated, and shim takes no such file"
    for section in image.sections:
        flags = section.characteristics
        if flags & (_UNINITIALIZED | _DISCARDABLE) or not flags & _READ:
            continue
        if min(section.file_offset, section.address) < image.size_of_headers:
            yield f"section {section} lies within the headers, and shim takes no such file"
    sbat = image.section(".sbat")
    said = dict(generations(pe.section_data(data, sbat))) if sbat else {}
    for component, least in trust.levels:
        if said.get(component, least) < least:
            has = f"{component} of generation {said[component]}"
            yield f"{has}: shim's revocations ask for {least} (SBAT)"


def _read_list(name: str, root: StrPath) -> tuple[SignatureList, ...]:
    """One of shim's, which it cuts into pieces where the firmware takes no variable of its size."""
    found: tuple[SignatureList, ...] = ()
    for number in ("", *map(str, range(1, _PIECES_MAX))):
        data = read_raw(VariableName(f"{name}{number}", SHIM_LOCK), root)
        if data is None:
            break
        found += parse_signature_lists(data, f"variable {name}{number}")
    return found
