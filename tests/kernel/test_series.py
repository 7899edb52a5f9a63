# SPDX-License-Identifier: Apache-2.0
"""The series as a maintainer's tools see it before anything is compiled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.errors import FormatError, ToolError
from pykexec.run import run
from pykexec.vm import kernel_source
from tests.kernel import checkpatch, mail, planted

VERSIONS = (kernel_source.VERSION, "6.1")
PATCHES = kernel_source.series()
ALL = sorted({patch for version in VERSIONS for patch in kernel_source.series(version)})
AN_EXISTING_FILE = "drivers/firmware/efi/memattr.c"


def name_of(path: Path) -> str:
    return str(path.relative_to(kernel_source.PATCHES))


@pytest.fixture(scope="module")
def source() -> Path:
    return kernel_source.pristine(kernel_source.VERSION)


def test_there_is_a_series() -> None:
    assert PATCHES


def test_every_patch_is_in_a_series() -> None:
    present = set(kernel_source.PATCHES.rglob("*.patch"))
    assert present == {*ALL, kernel_source.PATCHES / "0000-cover-letter.patch"}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_series_applies(version: str, tmp_path: Path) -> None:
    pristine = kernel_source.pristine(version)
    kernel_source.apply(pristine, kernel_source.series(version), tmp_path)


def test_a_patch_for_another_source_does_not_apply(source: Path, tmp_path: Path) -> None:
    patch = planted.appending(source, AN_EXISTING_FILE, "int x;\n", tmp_path / "0001-x.patch")
    name = tmp_path / "source" / AN_EXISTING_FILE
    name.parent.mkdir(parents=True)
    name.write_text("int y;\n")
    (tmp_path / "into").mkdir()
    with pytest.raises(ToolError, match=r"0001-x\.patch: does not apply"):
        kernel_source.apply(tmp_path / "source", [patch], tmp_path / "into")


def test_a_patch_that_is_listed_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "series").write_text("# one\n0001-x.patch\n")
    with pytest.raises(FormatError, match=r"0001-x\.patch"):
        kernel_source.series(directory=tmp_path)


@pytest.mark.parametrize("patch", ALL, ids=name_of)
def test_the_message_is_one_for_the_kernel(patch: Path) -> None:
    assert mail.faults(mail.parse(patch.read_bytes())) == []


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("efi: a\n\nWhy.\n\nSigned-off-by: B <b@c>", "not signed off by A <a@b>"),
        ("efi: a\n\nSigned-off-by: A <a@b>", "no body: why is this done?"),
        ("a change\n\nWhy.\n\nSigned-off-by: A <a@b>", "subject names no area"),
        ("efi: a.\n\nWhy.\n\nSigned-off-by: A <a@b>", "subject ends in a full stop"),
        (f"efi: {'a' * 71}\n\nWhy.\n\nSigned-off-by: A <a@b>", "subject of 76 characters"),
    ],
)
def test_a_fault_of_a_message_is_found(message: str, fault: str) -> None:
    patch = f"From: A <a@b>\nSubject: [PATCH 1/2] {message}\n---\n a | 1 +\n"
    assert mail.faults(mail.parse(patch.encode())) == [fault]


@pytest.mark.parametrize("patch", ALL, ids=name_of)
def test_checkpatch_finds_nothing(patch: Path) -> None:
    """That of the version which the patch is for: they do not agree on everything."""
    version = kernel_source.VERSION if patch.parent == kernel_source.PATCHES else patch.parent.name
    assert checkpatch.complaints(kernel_source.pristine(version), patch) == []


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("int x; \n", "TRAILING_WHITESPACE"),
        ("\n/* teh word */\n", "TYPO_SPELLING"),
        ("\nstatic int f(int a,\n\tint b);\n", "PARENTHESIS_ALIGNMENT"),
    ],
)
def test_checkpatch_finds_a_fault(lines: str, complaint: str, source: Path, tmp_path: Path) -> None:
    patch = planted.appending(source, AN_EXISTING_FILE, lines, tmp_path / "0001-x.patch")
    assert complaint in " ".join(checkpatch.complaints(source, patch))


@pytest.fixture(scope="module")
def tree() -> Path:
    with kernel_source.locked("series"):
        return kernel_source.patched(kernel_source.VERSION, "series", PATCHES)


def added(source: Path) -> list[str]:
    return [name for name in kernel_source.touched(PATCHES) if not (source / name).exists()]


def sections(tree: Path, name: str, maintainers: Path) -> set[str]:
    """Titles of the sections of maintainers that the file called name of tree belongs to."""
    command = ["scripts/get_maintainer.pl", "--no-tree", "--no-git", "--no-git-fallback"]
    said = run([*command, "--mpath", maintainers, "--sections", "-f", name], cwd=tree).decode()
    return {title for title in said.splitlines() if re.match(r"^[A-Z0-9][^:]*$", title)}


def test_every_new_file_belongs_to_a_new_section_of_maintainers(tree: Path, source: Path) -> None:
    before, after = source / "MAINTAINERS", tree / "MAINTAINERS"
    new = [name for name in added(source) if name.endswith((".c", ".h", ".S", ".rst"))]
    without = {
        name for name in new if not sections(tree, name, after) - sections(tree, name, before)
    }
    assert without == set()


def test_kernel_doc_finds_no_fault(tree: Path, source: Path) -> None:
    """Those in what the patches leave alone are not ours."""
    names = [n for n in kernel_source.touched(PATCHES) if n.endswith((".c", ".h"))]
    before = checkpatch.doc_complaints(source, [n for n in names if (source / n).exists()])
    assert checkpatch.doc_complaints(tree, names) - before == set()


def test_kernel_doc_finds_a_fault(source: Path, tmp_path: Path) -> None:
    (tmp_path / "scripts").symlink_to(source / "scripts")
    (tmp_path / "a.c").write_text("/**\n * f - do it\n * @x: that\n */\nvoid f(int y)\n{\n}\n")
    assert checkpatch.doc_complaints(tmp_path, ["a.c"])
