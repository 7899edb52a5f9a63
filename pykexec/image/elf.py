# SPDX-License-Identifier: Apache-2.0
"""The shared libraries that programs need: the closure of DT_NEEDED, and where the loader finds
it.
"""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from pykexec.errors import FormatError
from pykexec.image import files
from pykexec.run import run


@dataclass(frozen=True, slots=True)
class Object:
    """An ELF file of this machine and the path that it gets in the initramfs."""

    source: Path
    path: str


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What an ELF file asks of the loader; interpreter is "" for a library."""

    interpreter: str
    needed: tuple[str, ...]
    search: tuple[str, ...]
    """DT_RUNPATH or DT_RPATH, with $ORIGIN in it."""


def dynamic(data: bytes, source: str) -> Dynamic:
    """Decode the dynamic section of an ELF file; FormatError, which names source, if it is none."""
    try:
        elf = ELFFile(io.BytesIO(data))
        interpreter = ""
        for segment in elf.iter_segments():
            if isinstance(segment, InterpSegment):
                interpreter = str(segment.get_interp_name())
        section = elf.get_section_by_name(".dynamic")
        if not isinstance(section, DynamicSection):
            return Dynamic(interpreter, (), ())
        needed = _strings(section, "DT_NEEDED")
        search = _strings(section, "DT_RUNPATH") or _strings(section, "DT_RPATH")
    except (ELFError, UnicodeDecodeError) as error:
        raise FormatError(f"{source}: not a usable ELF file: {error}") from error
    return Dynamic(interpreter, needed, tuple(":".join(search).split(":")) if search else ())


def _strings(section: DynamicSection, tag: str) -> tuple[str, ...]:
    """The values of all of section's entries of a kind that holds an offset in the string table."""
    attribute = tag.removeprefix("DT_").lower()
    return tuple(str(getattr(entry, attribute)) for entry in section.iter_tags(tag))


def closure(
    roots: Iterable[Object], late: Iterable[str] = (), more: Iterable[Path] = ()
) -> dict[str, Path]:
    """Everything that roots need to be loaded, themselves included: path in the initramfs to
    source. late names libraries that no file asks for, but the program once it runs (dlopen). more
    are directories of libraries that this machine does not have.

    A library that is found relative to the file that needs it stays there; all others come to lie
    beside the C library, a directory that the loader searches without configuration.
    """
    cache = _loader_cache()
    for directory in more:
        for path in sorted(directory.glob("*.so.*")):
            cache.setdefault(path.name, str(path))
    default = posixpath.dirname(os.path.realpath(cache.get("libc.so.6", "/lib/libc.so.6")))
    found: dict[str, Path] = {}
    todo = [*roots, *(Object(_cached(name, cache), posixpath.join(default, name)) for name in late)]
    while todo:
        item = todo.pop()
        if item.path in found:
            continue
        found[item.path] = item.source
        wanted = dynamic(files.read(item.source), str(item.source))
        if wanted.interpreter:
            todo.append(Object(Path(wanted.interpreter), wanted.interpreter))
        for name in wanted.needed:
            if posixpath.basename(name) != posixpath.basename(wanted.interpreter):
                todo.append(_locate(name, item, wanted, cache, default))
    # The loader is also named in DT_NEEDED of the C library; once, at its own path, is enough.
    loaders = {posixpath.basename(item) for item in found if not item.startswith(default + "/")}
    return {
        path: source
        for path, source in found.items()
        if not (path.startswith(default + "/ld-") and posixpath.basename(path) in loaders)
    }


def _locate(
    name: str, item: Object, wanted: Dynamic, cache: dict[str, str], default: str
) -> Object:
    for source, path in _search(item, wanted):
        if (source / name).is_file():
            return Object(source / name, posixpath.normpath(posixpath.join(path, name)))
    if name not in cache:
        raise FormatError(f"{item.source}: needs {name}, which is not on this machine")
    return Object(_cached(name, cache), posixpath.join(default, name))


def _cached(name: str, cache: dict[str, str]) -> Path:
    if name not in cache:
        raise FormatError(f"{name}: not on this machine")
    return Path(cache[name])


def _search(item: Object, wanted: Dynamic) -> Iterator[tuple[Path, str]]:
    for directory in wanted.search:
        source = directory.replace("${ORIGIN}", "$ORIGIN")
        yield (
            Path(source.replace("$ORIGIN", str(item.source.parent))),
            source.replace("$ORIGIN", posixpath.dirname(item.path)),
        )


def _loader_cache() -> dict[str, str]:
    """Names of libraries and the paths that the loader's cache has for them (x86-64 ones first)."""
    found: dict[str, str] = {}
    listing = run(["/sbin/ldconfig", "-p"], env={"LC_ALL": "C"}).decode(errors="replace")
    for line in listing.splitlines():
        name, arrow, path = line.strip().partition(" => ")
        if arrow and "x86-64" in name:
            found.setdefault(name.split(" ")[0], path)
    return found
