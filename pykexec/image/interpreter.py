# SPDX-License-Identifier: Apache-2.0
"""The Python that the initramfs gets: interpreter, standard library as far as used, our package,
libraries.

It is the interpreter that this process' environment is based on, at the same paths. Everything is
shipped as .pyc in place of .py (no source, no __pycache__): with -I -S no site is needed, and there
is nothing to compile or to compare when it starts.
"""

from __future__ import annotations

import importlib.util
import os
import posixpath
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pykexec.errors import FormatError, ToolError
from pykexec.image import cpio, elf, files, imports
from pykexec.run import run

FLAGS = "-ISB"
"""Isolated from environment and user, no site, no .pyc files written."""

OPTIMIZATION = 2
"""No docstrings, no assert: a tenth less start-up time; the verbs' help texts are no docstrings."""

_LAZY = (
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_16",
    "encodings.utf_16_le",
    "encodings.utf_8",
    "gettext",
    "linecache",
    "locale",
    "shutil",
    "signal",
    "textwrap",
    "traceback",
    "warnings",
)
"""Modules that the standard library (codecs, argparse, the interpreter itself) imports only when
needed.
"""

_ABSENT = ("_bz2", "_hashlib", "_lzma", "readline")
"""Extensions whose libraries are big and whose absence the standard library copes with; hashlib has
its own code for all digests besides OpenSSL's. (_ssl has to be there: HTTPS.)
"""

_LATE = ("libgcc_s.so.1",)
"""The C library opens it when a thread ends by pthread_exit(), as Python's daemon threads do once
the interpreter ends; without it the whole program aborts.
"""


def entries(program: str = "") -> Iterator[cpio.Entry]:
    """The files of a Python that can run pykexec.guest.init and the verbs for the initramfs, or a
    program, a module of ours, alone.
    """
    package = Path(str(sys.modules["pykexec"].__file__)).resolve().parent
    library = posixpath.realpath(sysconfig.get_path("stdlib"))
    ours = imports.closure(package, program)
    sources: dict[str, Path] = {}
    objects = [elf.Object(Path(executable()), executable())]
    for name, path in _traced(ours.standard):
        if path.suffix == ".py":
            target = posixpath.relpath(str(path), library)
            sources[posixpath.join(library, target)] = path
        else:
            objects.append(elf.Object(path, str(path)))
        if not path.is_relative_to(library):
            raise FormatError(f"{path}: module {name} is not in the standard library's {library}")
    for path in ours.own.values():
        sources[posixpath.join(library, path.relative_to(package.parent).as_posix())] = path
    for name in ("pykexec._native", "pykexec._crypto", "_cffi_backend"):
        path = _extension(name)
        folder = posixpath.join(library, *name.split(".")[:-1])
        objects.append(elf.Object(path, posixpath.join(folder, path.name)))
    for target, data in _compiled(sources, _dataclasses(package, ours.own)):
        yield cpio.file(f"{target}c", data, origin=sources[target])
    for target, path in elf.closure(objects, _LATE).items():
        yield cpio.file(target, files.read(path), 0o755, origin=path)


def library_path(relative: str) -> str:
    """Where a file of our package lies in the initramfs."""
    return posixpath.join(posixpath.realpath(sysconfig.get_path("stdlib")), relative)


def executable() -> str:
    """The path of the interpreter, here and in the initramfs."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _traced(names: frozenset[str]) -> Iterator[tuple[str, Path]]:
    modules = sorted({*(_module(name) for name in names), *_LAZY} - {"__future__"})
    command = [executable(), "-I", "-S", str(Path(__file__).with_name("_trace.py"))]
    listing = run([*command, ",".join(["__future__", *modules]), ",".join(_ABSENT)])
    for line in listing.decode().splitlines():
        name, _, path = line.partition("\t")
        # Not the link: /usr/lib/python3 may be one, the modules' own paths must share their prefix.
        yield name, Path(os.path.realpath(path))


def _module(name: str) -> str:
    """The module that a dotted name of the standard library means: os.path, collections.abc,
    json.loads -> json.
    """
    while "." in name:
        try:
            if importlib.util.find_spec(name):
                return name
        except ModuleNotFoundError:
            pass
        name = name.rpartition(".")[0]
    return name


def _extension(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ToolError(f"extension module {name}: not built or not installed")
    return Path(spec.origin)


def _dataclasses(package: Path, modules: Iterable[str]) -> bytes:
    """What dataclasses of ours have compiled when they are made."""
    places = (package.parent, _extension("_cffi_backend").parent)
    command = [executable(), "-I", "-S", str(Path(__file__).with_name("_dataclasses.py"))]
    # To import that one is to run it.
    imported = (name for name in modules if not name.endswith(".__main__"))
    return run([*command, ",".join(map(str, places)), ",".join(imported)])


def _compiled(sources: dict[str, Path], texts: bytes) -> Iterator[tuple[str, bytes]]:
    ordered = sorted(sources.items())
    request = "".join(f"{path}\t{target}\n" for target, path in ordered)
    command = [executable(), "-I", "-S", str(Path(__file__).with_name("_compile.py"))]
    with tempfile.NamedTemporaryFile() as file:
        file.write(texts)
        file.flush()
        data = run([*command, str(OPTIMIZATION), file.name], stdin=request.encode())
    offset = 0
    for target, _ in ordered:
        end = offset + 8 + int.from_bytes(data[offset : offset + 8], "little")
        yield target, data[offset + 8 : end]
        offset = end
