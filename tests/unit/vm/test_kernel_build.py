# SPDX-License-Identifier: Apache-2.0
"""Sources with patches, and what is built from them: with a kernel of two files."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from pykexec.errors import FormatError, ToolError
from pykexec.vm import kernel_build, kernel_source, kernels

PACKAGE = "packages/bookworm-backports/linux-source-6.12_6.12.1-1"
# What it builds holds its configuration and its sources.
MAKEFILE = """
olddefconfig:
	sed -i '/NO_SUCH/d' $(O)/.config
bzImage:
	mkdir -p $(O)/arch/x86/boot $(O)/include/config
	cat $(O)/.config a b > $(O)/arch/x86/boot/bzImage
	echo 6.12.1-test > $(O)/include/config/kernel.release
	date +%N > $(O)/when
modules:
	! grep -q BROKEN a || { echo 'a:1: error: broken'; exit 1; }
modules_install:
	mkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.12.1-test
	ln -s $(O) $(INSTALL_MOD_PATH)/lib/modules/6.12.1-test/build
	touch $(INSTALL_MOD_PATH)/lib/modules/6.12.1-test/modules.builtin
"""
PATCH = """From: A <a@example.com>
Subject: [PATCH] a: change it

---
diff --git a/a b/a
--- a/a
+++ b/a
@@ -1 +1 @@
-first
+{}
"""


@pytest.fixture
def patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory like kernel-patches/, and the source package that it is for."""
    monkeypatch.setenv("PYKEXEC_CACHE", str(tmp_path / "cache"))
    content = tmp_path / "content"
    content.mkdir()
    (content / "Makefile").write_text(MAKEFILE)
    (content / "a").write_text("first\n")
    (content / "b").write_text("second\n")
    packed = tmp_path / "cache" / PACKAGE / "usr/src"
    packed.mkdir(parents=True)
    with tarfile.open(packed / "linux-source-6.12.tar.xz", "w:xz") as archive:
        archive.add(content, "linux-source-6.12")
    directory = tmp_path / "patches"
    directory.mkdir()
    (directory / "config").write_text("CONFIG_A=y\n# CONFIG_B is not set\n")
    (directory / "0001-a.patch").write_text(PATCH.format("changed"))
    (directory / "series").write_text("# in order\n0001-a.patch # the only one\n")
    return directory


def image(root: Path) -> str:
    return (root / "boot/vmlinuz-6.12.1-test").read_text()


def test_a_kernel_is_built_from_config_and_patches(patches: Path) -> None:
    root = kernel_build.build("6.12", patches)
    assert image(root) == "CONFIG_A=y\n# CONFIG_B is not set\nchanged\nsecond\n"
    assert os.listdir(root / "lib/modules/6.12.1-test") == ["modules.builtin"]


def test_the_same_content_is_built_once(patches: Path) -> None:
    root = kernel_build.build("6.12", patches)
    (root / "mark").touch()
    assert kernel_build.build("6.12", patches) == root
    assert kernel_build.find("6.12-pykexec", patches) == root
    assert (root / "mark").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [("0001-a.patch", PATCH.format("other")), ("config", "CONFIG_A=m\n"), ("series", "")],
)
def test_other_content_is_built_again(name: str, text: str, patches: Path) -> None:
    before = kernel_build.build("6.12", patches)
    (patches / name).write_text(text)
    with pytest.raises(ToolError, match="run `make kernel`"):
        kernel_build.find("6.12-pykexec", patches)
    after = kernel_build.build("6.12", patches)
    assert before != after and image(before) != image(after)


def test_a_kernel_that_was_not_built_is_not_looked_for_in_packages() -> None:
    assert "6.12-pykexec" in kernel_build.BUILT
    with pytest.raises(KeyError):
        kernels.kernel("no-such-kernel")


def test_a_setting_that_the_kernel_does_not_take_is_an_error(patches: Path) -> None:
    (patches / "config").write_text("CONFIG_A=y\nCONFIG_NO_SUCH=y\n")
    with pytest.raises(FormatError, match="CONFIG_NO_SUCH=y"):
        kernel_build.build("6.12", patches)


def test_a_build_that_fails_leaves_nothing_and_says_why(patches: Path) -> None:
    (patches / "0001-a.patch").write_text(PATCH.format("BROKEN"))
    with pytest.raises(ToolError, match="a:1: error: broken"):
        kernel_build.build("6.12", patches)
    with pytest.raises(ToolError, match="not built"):
        kernel_build.find("6.12-pykexec", patches)


def test_a_patch_for_another_source_is_an_error(patches: Path) -> None:
    (patches / "0001-a.patch").write_text(PATCH.format("x").replace("-first", "-third"))
    with pytest.raises(ToolError, match=r"0001-a\.patch: does not apply to linux-source"):
        kernel_build.build("6.12", patches)


def test_the_pristine_source_stays_as_it_is(patches: Path) -> None:
    tree = kernel_source.patched("6.12", "x", [patches / "0001-a.patch"])
    assert (tree / "a").read_text() == "changed\n"
    assert (kernel_source.pristine("6.12") / "a").read_text() == "first\n"


def test_what_a_patch_leaves_alone_keeps_its_time(patches: Path) -> None:
    tree = kernel_source.patched("6.12", "x", [patches / "0001-a.patch"])
    times = {name: (tree / name).stat().st_mtime_ns for name in ("a", "b")}
    assert kernel_source.patched("6.12", "x", [patches / "0001-a.patch"]) == tree
    assert times == {name: (tree / name).stat().st_mtime_ns for name in ("a", "b")}


def test_a_patch_that_is_taken_away_is_undone(patches: Path) -> None:
    tree = kernel_source.patched("6.12", "x", [patches / "0001-a.patch"])
    before = (tree / "a").stat().st_mtime_ns
    kernel_source.patched("6.12", "x", [])
    assert (tree / "a").read_text() == "first\n"
    # Newer than what was compiled from the other content.
    assert (tree / "a").stat().st_mtime_ns > before


def test_a_file_that_a_patch_adds_goes_with_it(patches: Path) -> None:
    added = "--- /dev/null\n+++ b/d/new\n@@ -0,0 +1 @@\n+new\n"
    patch = patches / "0002-new.patch"
    patch.write_text(f"---\ndiff --git a/d/new b/d/new\nnew file mode 100755\n{added}")
    tree = kernel_source.patched("6.12", "x", [patch])
    assert (tree / "d/new").read_text() == "new\n" and os.access(tree / "d/new", os.X_OK)
    kernel_source.patched("6.12", "x", [])
    assert not (tree / "d/new").exists()


def test_a_series_lists_only_what_is_there(patches: Path) -> None:
    (patches / "series").write_text("0001-a.patch\n0002-b.patch\n")
    with pytest.raises(FormatError, match=r"0002-b\.patch"):
        kernel_source.series(directory=patches)
