# SPDX-License-Identifier: Apache-2.0
"""Compiles what a series touches, in one configuration of a kernel; what compilers say of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pykexec.vm import kernel_build, kernel_source

LISTING = Path(__file__).with_name("listing.mk")
CHECKED = ("W=1", "C=2")

_FINDING = re.compile(r"^(?P<file>[^\s:]+)(?::\d+)*: (?P<text>.*\b(?:warning|error): .*)$")


@dataclass(frozen=True, slots=True)
class Finding:
    """A warning or an error; without its line, which moves when the file grows."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A configuration: made by a target of the kernel's make, or kernel-patches/config.

    lines are set on top of that; they have to hold in the end.
    """

    name: str
    arch: str = "x86_64"
    target: str = ""
    seed: int = 0
    lines: tuple[str, ...] = ()

    def options(self) -> dict[str, str]:
        """Variables for make."""
        return {"ARCH": self.arch}


def output_of(tree: Path, variant: Variant) -> Path:
    """All configurations of an architecture share one directory: what does not differ is kept."""
    return kernel_source.home() / "build" / f"{tree.name}-{variant.arch}"


def configure(tree: Path, variant: Variant) -> None:
    """Configure for variant; FormatError if one of its lines does not hold."""
    output = output_of(tree, variant)
    output.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{line}\n" for line in variant.lines)
    base = (kernel_source.PATCHES / kernel_build.CONFIG).read_text()
    if variant.target:
        fragment = output / ".config.wanted"
        fragment.write_text(lines)
        options = {"KCONFIG_ALLCONFIG": str(fragment), "KCONFIG_SEED": str(variant.seed)}
        kernel_build.make(tree, output, variant.target, options=options | variant.options())
        base = (output / ".config").read_text()
    kernel_build.configure(tree, output, base + lines, required=lines, options=variant.options())
    # What lists objects reads this, which is made with the first of them only.
    kernel_build.make(tree, output, "prepare", options=variant.options())


def sources(tree: Path, names: Sequence[str]) -> list[str]:
    """Those of names that the kernel's make compiles: tools/ has a make of its own."""
    return [
        name
        for name in names
        if name.endswith((".c", ".S")) and not name.startswith("tools/") and (tree / name).exists()
    ]


def enabled(tree: Path, variant: Variant, names: Sequence[str]) -> list[str]:
    """Those of names that belong to the kernel, or a module, in the present configuration."""
    output = output_of(tree, variant)
    found: list[str] = []
    for directory in sorted({str(Path(name).parent) for name in names}):
        places = {"tree": str(tree), "output": str(output), "directory": directory}
        listed = set(kernel_build.make_list(LISTING, places | variant.options()).split())
        inside = [name for name in names if str(Path(name).parent) == directory]
        found += [name for name in inside if Path(name).with_suffix(".o").name in listed]
    return found


def compile_all(
    tree: Path, variant: Variant, names: Sequence[str], checks: Sequence[str] = ()
) -> set[Finding]:
    """Compile the sources called names, all of them anew; what was found fault with.

    ToolError if one does not compile. checks are arguments for make, see CHECKED.
    """
    if not names:
        return set()
    output = output_of(tree, variant)
    objects = [str(Path(name).with_suffix(".o")) for name in names]
    for name in objects:
        (output / name).unlink(missing_ok=True)
    said = kernel_build.make(tree, output, *checks, *objects, options=variant.options())
    absent = [name for name in objects if not (output / name).is_file()]
    assert absent == [], "make has not compiled everything that it was told to"
    return findings(said, tree)


def findings(said: str, tree: Path) -> set[Finding]:
    """The warnings and errors in what make said; paths are those below tree."""
    matches = [_FINDING.match(line) for line in said.replace(f"{tree}/", "").splitlines()]
    return {Finding(match["file"], match["text"]) for match in matches if match}
