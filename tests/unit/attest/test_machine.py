# SPDX-License-Identifier: Apache-2.0
"""What the attester says of its machine and payload, and that memory is wiped at a reset."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.attest.machine import machine_identity, payload_facts
from pykexec.attest.protocol import Statement
from pykexec.efi.efivarfs import StrPath
from pykexec.efi.memory_overwrite import request_memory_overwrite
from pykexec.efi.pe import authenticode_digest, parse
from pykexec.efi.variables import Variable, VariableName
from tests.support.samples import DATA, TEXT, pe_file

MOR = "MemoryOverwriteRequestControl-e20939be-32d4-41be-a150-897f85d49829"


def test_the_machine_is_what_smbios_says(tmp_path: Path) -> None:
    (tmp_path / "sys_vendor").write_text("QEMU\n")
    (tmp_path / "product_name").write_text("Standard PC\x01 (Q35)\n")
    (tmp_path / "product_serial").write_text("\n")
    (tmp_path / "product_uuid").write_text("01234567-89AB-CDEF-0123-456789ABCDEF\n")
    assert machine_identity(str(tmp_path)) == {
        "vendor": "QEMU",
        "product": "Standard PC? (Q35)",
        "uuid": "01234567-89ab-cdef-0123-456789abcdef",
    }


def test_bytes_that_are_no_text_stay_sayable(tmp_path: Path) -> None:
    (tmp_path / "sys_vendor").write_bytes(b"\xff" * 5000)
    machine = machine_identity(str(tmp_path))
    assert machine == {"vendor": "\ufffd" * 256}
    assert Statement(bytes(32), (bytes(32), bytes(32)), machine, {}).encode()


def test_a_kernel_without_smbios_says_nothing(tmp_path: Path) -> None:
    assert machine_identity(str(tmp_path / "none")) == {}


def test_the_payload_is_named_with_both_digests() -> None:
    data = bytes(pe_file())
    assert payload_facts("\\EFI\\a.efi", data) == {
        "path": "\\EFI\\a.efi",
        "sha256": hashlib.sha256(data).hexdigest(),
        "authenticode_sha256": authenticode_digest(data, parse(data, "a")).hex(),
    }


@pytest.mark.parametrize(
    ("names", "sections"),
    [
        ((".text", ".linux", ".initrd", ".cmdline"), ".linux .initrd .cmdline"),
        ((".text", ".cmdline", ".linux", ".osrel"), ".linux .cmdline"),
    ],
)
def test_what_a_payload_has_of_a_unified_kernel_image_is_stated(
    names: tuple[str, ...], sections: str
) -> None:
    data = pe_file([replace(DATA, name=name.encode()) for name in names])
    assert payload_facts("a", data)["sections"] == sections


@pytest.mark.parametrize(("size", "raw_size"), [(0x1000, 0), (0, 0x200)])
def test_an_empty_section_is_none(size: int, raw_size: int) -> None:
    data = pe_file([TEXT, replace(DATA, name=b".initrd", size=size, raw_size=raw_size)])
    assert "sections" not in payload_facts("a", data)


@pytest.mark.parametrize(("old", "new"), [(0, 1), (1, 1), (0x10, 0x11), (0x11, 0x11)])
def test_a_reset_is_asked_to_wipe_memory(tmp_path: Path, old: int, new: int) -> None:
    (tmp_path / MOR).write_bytes(bytes([7, 0, 0, 0, old]))
    assert request_memory_overwrite(tmp_path)
    assert (tmp_path / MOR).read_bytes() == bytes([7, 0, 0, 0, new])


def test_firmware_without_the_variable_gets_none(tmp_path: Path) -> None:
    assert not request_memory_overwrite(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_variable_that_nobody_may_write_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / MOR).write_bytes(bytes([7, 0, 0, 0, 0]))

    def write_protected(name: VariableName, variable: Variable, root: StrPath) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    assert not request_memory_overwrite(tmp_path, write_protected)


def test_a_request_that_is_not_taken_is_an_error(tmp_path: Path) -> None:
    (tmp_path / MOR).mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        request_memory_overwrite(tmp_path)
