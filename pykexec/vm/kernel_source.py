# SPDX-License-Identifier: Apache-2.0
"""Linux' source as Debian packages it, with the patches of kernel-patches/ applied.

One unpacked source of a version is never changed; trees that are built from share its files by
hard links. A patched tree differs from it in what the patches name and in nothing else, and a
file whose content stays keeps its time: make compiles only what a change of the series concerns.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pykexec.errors import FormatError, ToolError
from pykexec.run import run
from pykexec.vm import packages

PATCHES = Path(__file__).resolve().parents[2] / "kernel-patches"
# What the series is made for; other versions have a list of their own (series-6.1).
VERSION = "6.12"

_TOUCHED = re.compile(r"^diff --git a/(\S+) b/(\S+)$", re.MULTILINE)
_UNPACK_TIMEOUT_S = 900.0


def home() -> Path:
    """Where sources, build trees and built kernels are kept."""
    return packages.cache_dir() / "kernel"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let no other process change the trees called name, nor build in them, meanwhile."""
    home().mkdir(parents=True, exist_ok=True)
    with open(home() / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def series(version: str = VERSION, directory: Path = PATCHES) -> list[Path]:
    """The patches for version, in order; FormatError if one that is listed is not there."""
    listing = directory / ("series" if version == VERSION else f"series-{version}")
    lines = (line.partition("#")[0].strip() for line in listing.read_text().splitlines())
    patches = [directory / line for line in lines if line]
    for patch in patches:
        if not patch.is_file():
            raise FormatError(f"{listing}: lists {patch.name}, which is not there")
    return patches


def touched(patches: Sequence[Path]) -> list[str]:
    """Paths of the files that patches add, change or remove, sorted."""
    names = {name for patch in patches for pair in _TOUCHED.findall(_text(patch)) for name in pair}
    return sorted(names)


def package_dir(version: str) -> Path:
    """The unpacked Debian source package; its name says which source it is."""
    return packages.fetch(packages.SOURCES[version])


def pristine(version: str) -> Path:
    """The unpacked source of version, not to be changed."""
    package = package_dir(version)
    path = home() / "source" / package.name
    with locked("source"):
        if not path.is_dir():
            archive = next((package / "usr/src").glob("linux-source-*.tar.xz"))
            partial = _empty(path)
            partial.mkdir(parents=True)
            command = ["tar", "--extract", "--xz", "--strip-components=1", "--file", str(archive)]
            run([*command, "--directory", partial], timeout_s=_UNPACK_TIMEOUT_S)
            partial.rename(path)
    return path


def patched(version: str, name: str, patches: Sequence[Path]) -> Path:
    """The tree called name, with exactly patches applied; the caller holds locked(name).

    ToolError if a patch does not apply: no fuzz is allowed.
    """
    source = pristine(version)
    tree = home() / "tree" / f"{name}-{source.name}"
    if not tree.is_dir():
        partial = _empty(tree)
        partial.parent.mkdir(parents=True, exist_ok=True)
        run(["cp", "--archive", "--link", source, partial], timeout_s=_UNPACK_TIMEOUT_S)
        partial.rename(tree)
    with tempfile.TemporaryDirectory(dir=home()) as scratch:
        apply(source, patches, Path(scratch))
        _place(source, tree, Path(scratch), touched(patches))
    return tree


def apply(source: Path, patches: Sequence[Path], into: Path) -> None:
    """Leave in the empty directory into what patches make of the files that they touch."""
    for name in touched(patches):
        if (source / name).exists():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, into / name)
    # Inside of a repository git would leave out, silently, what is not below the directory.
    alone = {"GIT_CEILING_DIRECTORIES": str(into.parent)}
    for patch in patches:
        command = ["git", "apply", "--whitespace=nowarn", str(patch.absolute())]
        try:
            run(command, cwd=into, env=alone, timeout_s=60)
        except ToolError as error:
            raise ToolError(f"{patch.name}: does not apply to {source.name}: {error}") from error


def _empty(path: Path) -> Path:
    """Where path is prepared, without what an earlier try has left there."""
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    return partial


def _place(source: Path, tree: Path, changed: Path, names: Sequence[str]) -> None:
    """Make tree be source with the files called names as in changed."""
    record = tree.with_name(f"{tree.name}.json")
    before = set(json.loads(record.read_text())) if record.exists() else set()
    # Noted first: whatever interrupts this, the next run knows what may differ.
    record.write_text(json.dumps(sorted(before.union(names))))
    for name in sorted(before.union(names)):
        wanted, present = (changed if name in names else source) / name, tree / name
        if not wanted.exists():
            present.unlink(missing_ok=True)
        elif not present.exists() or present.read_bytes() != wanted.read_bytes():
            _replace(wanted, present)


def _replace(wanted: Path, present: Path) -> None:
    """Written beside and renamed: the file may share its content with other trees."""
    present.parent.mkdir(parents=True, exist_ok=True)
    partial = present.with_name(f".partial-{present.name}")
    shutil.copyfile(wanted, partial)
    shutil.copymode(wanted, partial)
    os.replace(partial, present)


def _text(patch: Path) -> str:
    return patch.read_text(encoding="utf-8", errors="replace")
