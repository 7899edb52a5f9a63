# SPDX-License-Identifier: Apache-2.0
"""Kernel modules: dependencies first, unpacked, built-in ones left out, faults named."""

from __future__ import annotations

import gzip
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pykexec.errors import FormatError, UsageError
from pykexec.image import modules
from pykexec.run import run

FORMATS: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".ko.xz": lzma.compress,
    ".ko.gz": gzip.compress,
    ".ko.zst": zstandard.ZstdCompressor().compress,
}


def module(depends: str, release: str = "") -> bytes:
    """An object file that says what it depends on and, where that is given, for which kernel."""
    source = f'.section .modinfo,"a"\n.asciz "license=GPL"\n.asciz "depends={depends}"\n'
    source += f'.asciz "vermagic={release} SMP preempt mod_unload "\n' if release else ""
    with tempfile.NamedTemporaryFile(suffix=".ko") as file:
        run(["cc", "-c", "-x", "assembler", "-o", file.name, "-"], stdin=source.encode())
        return Path(file.name).read_bytes()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """top-most needs mid and core, mid needs core; core is built in nowhere, base is."""
    kernel = tmp_path / "kernel" / "fs"
    kernel.mkdir(parents=True)
    (kernel / "top-most.ko").write_bytes(module("mid,core"))
    (kernel / "mid.ko.xz").write_bytes(lzma.compress(module("core,base")))
    (kernel / "core.ko.gz").write_bytes(gzip.compress(module("")))
    (kernel / "stray.ko").write_bytes(module("nowhere"))
    (kernel / "text.ko").write_bytes(b"no ELF")
    (kernel / "damaged.ko.xz").write_bytes(b"no xz")
    (tmp_path / "modules.builtin").write_text("kernel/lib/base.ko\n")
    return tmp_path


@pytest.mark.parametrize("name", ["top_most", "top-most"])
def test_dependencies_come_first(tree: Path, name: str) -> None:
    ((key, order),) = modules.load(tree, [name]).items()
    assert key == "top_most"
    assert [each.name for each in order] == ["core", "mid", "top_most"]


def test_what_a_kernel_lacks_may_be_optional(tree: Path) -> None:
    assert modules.load(tree, ["core"], ["base", "nonsense"]).keys() == {"core", "base"}


def test_built_in_module_needs_nothing(tree: Path) -> None:
    assert modules.load(tree, ["base"]) == {"base": []}


@pytest.mark.parametrize("suffix", FORMATS)
def test_compressed_modules_are_unpacked(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"one{suffix}").write_bytes(FORMATS[suffix](module("")))
    one = modules.Module("one", module(""), (), "GPL", tmp_path)
    assert modules.load(tmp_path, ["one"]) == {"one": [one]}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("absent", "no kernel module absent$"),
        ("stray", "no kernel module nowhere, which stray needs$"),
        ("text", r"text\.ko: not a kernel module"),
        ("damaged", r"damaged\.ko\.xz: cannot be decompressed"),
    ],
)
def test_missing_or_broken_module_is_named(tree: Path, name: str, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        modules.load(tree, [name])


def test_missing_directory_is_named() -> None:
    with pytest.raises(UsageError, match="/nowhere: no such directory of kernel modules"):
        modules.load(Path("/nowhere"), ["efivarfs"])


@pytest.mark.parametrize(
    ("kernel", "directory"),
    [
        ("usr/lib/modules/7.2.1-test/vmlinuz", "usr/lib/modules/7.2.1-test"),
        ("boot/vmlinuz-7.2.1-test", "usr/lib/modules/7.2.1-test"),
        ("boot/vmlinuz-6.1.0-test", "lib/modules/6.1.0-test"),
    ],
)
def test_modules_are_found_by_their_kernel(tmp_path: Path, kernel: str, directory: str) -> None:
    for path in ("usr/lib/modules/7.2.1-test", "lib/modules/6.1.0-test"):
        (tmp_path / path).mkdir(parents=True)
    assert modules.find(tmp_path / kernel, directory.rpartition("/")[2]) == tmp_path / directory


def test_modules_that_are_nowhere_are_missed_in_this_system(tmp_path: Path) -> None:
    found = modules.find(tmp_path / "vmlinuz", "7.2.1-test")
    assert found == Path("/lib/modules/7.2.1-test")
