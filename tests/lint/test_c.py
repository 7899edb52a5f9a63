# SPDX-License-Identifier: Apache-2.0
"""C compiles without a warning under gcc and clang, and the pure part of it is pure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec import _build, _freestanding
from pykexec.run import run
from tests.lint.tree import ROOT, relative, tracked

COMMON = [path for path in tracked(".c") if path.parent == ROOT / "csrc/common"]
HOSTED = (ROOT / "csrc/native", ROOT / "csrc/crypto")
NATIVE = [path for path in tracked(".c") if path.parent in HOSTED]
HEADERS = [path for path in tracked(".h") if path.is_relative_to(ROOT / "csrc")]
# Empty on purpose, or meant to be included by one file alone.
NOT_ALONE = re.compile(r"csrc/native/cdef/")
LIBRARY = {"memcpy", "memset", "memcmp"}
COMPILERS = ["gcc", "clang"]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_freestanding_images_build(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    _freestanding.build(ROOT, tmp_path)
    _freestanding.build_bootmgr(ROOT / "csrc", tmp_path / "bootmgr.efi")
    assert {"stub.efi", "resume.bin", "bootmgr.efi"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("path", COMMON + NATIVE, ids=relative)
def test_hosted_code_has_no_warning(path: Path, compiler: str) -> None:
    includes = [f"-I{ROOT / directory}" for directory in _build.INCLUDE_DIRECTORIES]
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-fsyntax-only"]
    run([compiler, *flags, *includes, path], timeout_s=60)


@pytest.mark.parametrize("path", HEADERS, ids=relative)
def test_a_header_stands_alone(path: Path) -> None:
    if NOT_ALONE.search(relative(path)):
        return
    includes = [f"-I{ROOT / directory}" for directory in _build.INCLUDE_DIRECTORIES]
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-fshort-wchar"]
    run(["gcc", *flags, *includes, "-include", path, "-x", "c", "/dev/null"], timeout_s=60)


@pytest.mark.parametrize("path", COMMON, ids=relative)
def test_common_keeps_no_state_and_needs_no_library(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "object.o"
    includes = [f"-I{ROOT / directory}" for directory in _build.INCLUDE_DIRECTORIES]
    run(["gcc", "-std=gnu11", "-O2", "-ffreestanding", *includes, "-c", path, "-o", target])
    symbols = [line.split()[-2:] for line in run(["nm", target]).decode().splitlines()]
    assert not [name for kind, name in symbols if kind in "bBdDC"]
    foreign = {name for kind, name in symbols if kind == "U"} - LIBRARY
    assert {
        name for name in foreign if not name.startswith(("pk_", "efi_guid_", "_GLOBAL_"))
    } == set()
