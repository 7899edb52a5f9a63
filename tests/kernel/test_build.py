# SPDX-License-Identifier: Apache-2.0
"""Each patch compiles alone without a warning, and the whole of them in many configurations."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.vm import kernel_source
from tests.kernel import planted, variants
from tests.kernel.compile import (
    CHECKED,
    Finding,
    Variant,
    compile_all,
    configure,
    enabled,
    findings,
    sources,
)

# Compiling what make needs for its first object takes minutes.
pytestmark = pytest.mark.timeout(3600)

PATCHES = kernel_source.series()
MAIN = variants.main(PATCHES)
AN_EXISTING_FILE = "drivers/firmware/efi/memattr.c"


@pytest.fixture(autouse=True)
def alone() -> Generator[None]:
    with kernel_source.locked("series"):
        yield


def tree_with(patches: Sequence[Path], version: str = kernel_source.VERSION) -> Path:
    return kernel_source.patched(version, "series", patches)


def compiled(
    patches: Sequence[Path], variant: Variant, version: str = kernel_source.VERSION
) -> set[str]:
    """The sources that patches touch and that variant has, once they are compiled."""
    tree = tree_with(patches, version)
    configure(tree, variant)
    names = enabled(tree, variant, sources(tree, kernel_source.touched(patches)))
    assert compile_all(tree, variant, names) == set()
    return set(names)


@pytest.fixture(scope="module")
def before() -> set[Finding]:
    """What is found in the files that the series touches, as they are without it."""
    with kernel_source.locked("series"):
        tree = tree_with([])
        variant = Variant("before")
        configure(tree, variant)
        names = enabled(tree, variant, sources(tree, kernel_source.touched(PATCHES)))
        return compile_all(tree, variant, names, CHECKED)


@pytest.mark.parametrize("number", range(1, len(PATCHES) + 1))
def test_a_patch_compiles_without_those_after_it(number: int, before: set[Finding]) -> None:
    patches = PATCHES[:number]
    tree, variant = tree_with(patches), variants.main(patches)
    configure(tree, variant)
    names = enabled(tree, variant, sources(tree, kernel_source.touched(patches)))
    assert compile_all(tree, variant, names, CHECKED) - before == set()


@pytest.mark.parametrize("variant", variants.final(PATCHES), ids=lambda variant: variant.name)
def test_the_series_compiles(variant: Variant) -> None:
    assert compiled(PATCHES, variant)


def test_every_source_is_compiled() -> None:
    tree = tree_with(PATCHES)
    configure(tree, MAIN)
    names = sources(tree, kernel_source.touched(PATCHES))
    assert set(names) - set(enabled(tree, MAIN, names)) == set()


def test_the_series_compiles_in_6_1() -> None:
    patches = kernel_source.series("6.1")
    assert compiled(patches, variants.main_6_1(patches), "6.1")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("\nstatic void planted(void) { }\n", "defined but not used"),
        ("\nint planted(void __iomem *p);\nint planted(void __iomem *p)\n{\n"
         "\treturn *(int *)p;\n}\n", "removes address space"),
    ],
    ids=["gcc", "sparse"],
)  # fmt: skip
def test_a_warning_is_found(lines: str, text: str, tmp_path: Path) -> None:
    source = kernel_source.pristine(kernel_source.VERSION)
    patch = planted.appending(source, AN_EXISTING_FILE, lines, tmp_path / "0001-x.patch")
    tree, variant = tree_with([patch]), Variant("planted")
    configure(tree, variant)
    found = compile_all(tree, variant, [AN_EXISTING_FILE], CHECKED)
    assert [finding for finding in found if text in finding.text]


def test_a_setting_that_is_not_taken_is_found() -> None:
    with pytest.raises(FormatError, match="CONFIG_NO_SUCH=y"):
        configure(tree_with([]), Variant("impossible", lines=("CONFIG_NO_SUCH=y",)))


def test_a_source_that_is_off_is_not_compiled() -> None:
    tree, variant = tree_with([]), Variant("off", lines=("# CONFIG_EFI is not set",))
    configure(tree, variant)
    assert enabled(tree, variant, [AN_EXISTING_FILE]) == []


@pytest.mark.parametrize(
    "line",
    [
        "/t/a/b.c:12:5: warning: unused",
        "/t/a/b.c:12: warning: unused",
        "a/b.c: warning: unused",
    ],
)
def test_a_finding_is_known_by_file_and_text(line: str) -> None:
    assert findings(f"  CC a/b.o\n{line}\n", Path("/t")) == {Finding("a/b.c", "warning: unused")}
