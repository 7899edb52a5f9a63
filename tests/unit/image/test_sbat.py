# SPDX-License-Identifier: Apache-2.0
"""The image's .sbat has the kernel's generations, where shim looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.efi import pe
from pykexec.efi.secure_boot import generations
from pykexec.errors import FormatError
from pykexec.image import initrd, sbat
from pykexec.image.builder import build
from pykexec.image.recipe import Recipe
from pykexec.install.image import identify
from tests.unit.image.inputs import TEXT, SectionInput, kernel_bytes, pe_bytes

STUB = Path(sbat.__file__).resolve().parent.parent / "data/stub.efi"
LINES = b"sbat,1,SBAT Version,sbat,1,x\nlinux,4,Example,linux,6.17,x\n"


def kernel(lines: bytes) -> bytes:
    return kernel_bytes(more=[SectionInput(".sbat", 0x2000, lines)])


def sbat_of(data: bytes) -> bytes:
    section = pe.parse(data, "x").section(".sbat")
    assert section is not None
    return pe.section_data(data, section)


def test_an_image_has_the_generations_of_its_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initrd, "_LEVEL", 1)  # Compression is most of a build's time.
    (tmp_path / "vmlinuz").write_bytes(kernel(LINES + bytes(400)))
    recipe = Recipe(tmp_path / "vmlinuz", kernel_modules=(), optional_modules=())
    data = build(recipe).data
    assert dict(generations(sbat_of(data))) == {"sbat": 1, "pykexec": 1, "linux": 4}
    assert sbat_of(data).startswith(sbat_of(STUB.read_bytes()))
    assert identify(data, "x").generations["linux"] == 4


@pytest.mark.parametrize("data", [kernel_bytes(), kernel(bytes(40))])
def test_a_kernel_without_any_leaves_the_stub_as_it_is(data: bytes) -> None:
    stub = STUB.read_bytes()
    assert sbat.with_kernel(stub, "stub", data, "vmlinuz") == stub


def test_a_line_that_both_have_stands_once() -> None:
    once = sbat.with_kernel(STUB.read_bytes(), "stub", kernel(LINES), "vmlinuz")
    assert sbat.with_kernel(once, "stub", kernel(LINES), "vmlinuz") == once


def test_what_does_not_fit_is_refused() -> None:
    long = kernel(b"linux,1," + b"x" * 500 + b"\n")
    with pytest.raises(
        FormatError, match=r"stub: vmlinuz needs \d+ bytes of \.sbat, 512 are there"
    ):
        sbat.with_kernel(STUB.read_bytes(), "stub", long, "vmlinuz")
    with pytest.raises(FormatError, match=r"stub: no section \.sbat for what vmlinuz has"):
        sbat.with_kernel(pe_bytes((TEXT,)), "stub", kernel(LINES), "vmlinuz")
