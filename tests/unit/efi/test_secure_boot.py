# SPDX-License-Identifier: Apache-2.0
"""What LoadImage, the firmware's or shim's, will refuse under Secure Boot is known before."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import pytest

from pykexec.efi import pe
from pykexec.efi.guid import Guid
from pykexec.efi.secure_boot import SHIM_LOCK, Trust, read_trust, refusals
from pykexec.efi.signature_list import SECURITY_DATABASE, SignatureList
from pykexec.efi.variables import global_name
from pykexec.errors import FormatError
from tests.support.windows_disk import PCA_2011, UEFI_CA_2011, authority, certificates
from tests.unit.image.inputs import PE_OFFSET, TEXT, SectionInput, patched, pe_bytes

MICROSOFT = certificates(authority(UEFI_CA_2011).der)
OWNER = certificates(authority("a machine's owner").der)
UNSIGNED = pe_bytes()
OURS = authority("a machine's owner").sign(UNSIGNED)
LEVEL = b"sbat,1,2025051000\nshim,4\ngrub,5\n"
SHIM = Trust(MICROSOFT, (), True, OWNER, (), (("sbat", 1), ("shim", 4), ("grub", 5)))
FIRMWARE = Trust(MICROSOFT, ())


def said(data: bytes, trust: Trust) -> list[str]:
    return list(refusals(data, "x.efi", trust))


def of_grub(generation: int) -> bytes:
    """Signed by the owner, and of such a generation."""
    table = SectionInput(".sbat", 0x2000, f"sbat,1,x\ngrub,{generation},x\nus,1\n".encode())
    return authority("a machine's owner").sign(pe_bytes((TEXT, table)))


@pytest.mark.parametrize(
    ("data", "trust"),
    [
        (OURS, SHIM),
        (OURS, Trust(OWNER, ())),
        (authority(UEFI_CA_2011).sign(UNSIGNED), SHIM),
        (of_grub(5), SHIM),
        (of_grub(1), Trust(OWNER, ())),
    ],
    ids=["owner's by shim", "owner's in db", "db's by shim", "new enough", "no shim, no SBAT"],
)
def test_nothing_is_said_of_what_will_be_taken(data: bytes, trust: Trust) -> None:
    assert said(data, trust) == []


def test_a_signer_whom_nobody_trusts_is_named() -> None:
    assert said(OURS, FIRMWARE) == [
        "signed by a machine's owner, which is not in db",
    ]
    (line,) = said(authority(PCA_2011).sign(UNSIGNED), SHIM)
    assert line == f"signed by {PCA_2011}, which is not in db, or enrolled by the machine's owner"


def test_what_has_no_signature_is_told() -> None:
    assert said(UNSIGNED, FIRMWARE) == ["has no signature, and is not in db"]


@pytest.mark.parametrize(
    "trust",
    [dataclasses.replace(SHIM, dbx=OWNER), dataclasses.replace(SHIM, unowned=OWNER)],
    ids=["firmware's", "shim's"],
)
def test_what_is_forbidden_is_told(trust: Trust) -> None:
    (line,) = said(OURS, trust)
    assert line == "dbx forbids it, by a machine's owner"


def test_what_was_changed_is_told() -> None:
    section = pe.parse(OURS, "x").sections[0]
    (line,) = said(patched(OURS, section.file_offset, b"\xcc"), SHIM)
    assert line == "signed is another image: its digest differs"


def test_shim_is_stricter_about_files() -> None:
    owner = authority("a machine's owner")
    stripped = patched(UNSIGNED, PE_OFFSET + 22, struct.pack("<H", 0x22F))
    assert said(owner.sign(stripped), SHIM) == [
        "it cannot be relocated, and shim takes no such file"
    ]
    inside = pe_bytes((TEXT, SectionInput(".low", 0x200, b"x")), headers_size=1024)
    (line,) = said(owner.sign(inside), SHIM)
    assert line.startswith("section .low [0x200, 0x201) lies within the headers, ")
    assert said(owner.sign(inside), Trust(OWNER, ())) == []


def test_an_old_generation_is_told() -> None:
    assert said(of_grub(4), SHIM) == ["grub of generation 4: shim's revocations ask for 5 (SBAT)"]


def efivars(root: Path, **variables: bytes) -> Path:
    """efivarfs with these variables; names with Mok or Sbat are shim's."""
    for name, data in variables.items():
        vendor: Guid = SECURITY_DATABASE
        if name == "SecureBoot":
            vendor = global_name(name).vendor
        if name.startswith(("Mok", "Sbat")):
            vendor = SHIM_LOCK
        (root / f"{name}-{vendor}").write_bytes(struct.pack("<I", 6) + data)
    return root


def data_of(lists: tuple[SignatureList, ...]) -> bytes:
    return b"".join(map(bytes, lists))


def test_variables_tell_whom_the_machine_trusts(tmp_path: Path) -> None:
    more = certificates(authority(PCA_2011).der)
    root = efivars(
        tmp_path,
        SecureBoot=b"\1",
        db=data_of(MICROSOFT),
        MokListRT=data_of(OWNER),
        MokListRT1=data_of(more),
        MokListXRT=data_of(more),
        SbatLevelRT=LEVEL,
    )
    expected = dataclasses.replace(SHIM, owned=OWNER + more, unowned=more)
    assert read_trust(True, root) == expected
    assert read_trust(False, root) == FIRMWARE


@pytest.mark.parametrize("state", [b"\0", None])
def test_without_secure_boot_nobody_is_asked(state: bytes | None, tmp_path: Path) -> None:
    assert read_trust(True, efivars(tmp_path, **({"SecureBoot": state} if state else {}))) is None


def test_an_owner_may_have_told_shim_not_to_look(tmp_path: Path) -> None:
    root = efivars(tmp_path, SecureBoot=b"\1", MokSBStateRT=b"\1")
    assert read_trust(True, root) is None
    assert read_trust(False, root) == Trust((), ())


def test_a_variable_that_is_no_list_is_named(tmp_path: Path) -> None:
    root = efivars(tmp_path, SecureBoot=b"\1", MokListRT=b"no list")
    with pytest.raises(FormatError, match="variable MokListRT: "):
        read_trust(True, root)
