# SPDX-License-Identifier: Apache-2.0
"""Builds pykexec._native, pykexec._crypto and the freestanding images; pyproject.toml names
build_ext below.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cffi
from setuptools.command.build_ext import build_ext as setuptools_build_ext
from setuptools.command.sdist import sdist as setuptools_sdist

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Module:
    """An extension module: what Python sees of it, where its sources are, what it links to.

    Macros with one of the prefixes become integer (or string) constants of lib.
    """

    name: str
    bindings: str
    directories: tuple[str, ...]
    libraries: tuple[str, ...]
    prefixes: tuple[str, ...]

    @property
    def generated(self) -> str:
        """The name of the C file that cffi writes."""
        return self.name.rpartition(".")[2] + ".c"


NATIVE = Module(
    "pykexec._native",
    "csrc/native/bindings.h",
    ("csrc/common", "csrc/native"),
    (),
    ("EFI_", "PK_", "KEXEC_", "LINUX_REBOOT_CMD_", "MODULE_INIT_", "MS_"),
)
# Apart, so that only who needs it waits for libcrypto to be loaded.
CRYPTO = Module(
    "pykexec._crypto", "csrc/crypto/bindings.h", ("csrc/crypto",), ("crypto",), ("PK_",)
)
MODULES = {module.name: module for module in (NATIVE, CRYPTO)}
INCLUDE_DIRECTORIES = ("csrc", "csrc/include")
# Stand in for the C library's headers where cffi's parser reads.
CDEF_INCLUDE_DIRECTORY = "csrc/native/cdef"

COMPILE_FLAGS = (
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    # cffi's generated code does not use every argument and field.
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
    # The same bytes wherever it is built.
    "-g0",
    f"-ffile-prefix-map={ROOT}=.",
)
LINK_FLAGS = ("-Wl,--strip-all",)


def compiler() -> list[str]:
    """The C compiler's command: $CC, else what Python was built with."""
    return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()


def _preprocess(bindings: str, *flags: str) -> str:
    includes = [f"-I{directory}" for directory in INCLUDE_DIRECTORIES]
    command = [*compiler(), "-E", "-P", "-std=gnu11", *flags, *includes, bindings]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def declarations(module: Module = NATIVE) -> str:
    """Everything that its bindings declare, in cffi's dialect: no number is written twice."""
    flags = ("-DPK_CFFI", "-nostdinc", f"-I{CDEF_INCLUDE_DIRECTORY}")
    text = _preprocess(module.bindings, *flags)
    constants = []
    macros = _preprocess(module.bindings, "-dM")
    for name, value in re.findall(r"^#define (\w+) (.+)$", macros, re.MULTILINE):
        if name.startswith(module.prefixes):
            kind = "char *const" if value.startswith('"') else "const uint64_t"
            constants.append(f"static {kind} {name};\n")
    return text + "".join(sorted(constants))


def sources(module: Module = NATIVE) -> list[str]:
    """The C files of the extension, generated one aside, relative to the source root."""
    files = [path for name in module.directories for path in (ROOT / name).glob("*.c")]
    return sorted(str(path.relative_to(ROOT)) for path in files)


def generate(module: Module, target: Path) -> None:
    """Write the extension's generated C file."""
    ffi = cffi.FFI()
    ffi.cdef(declarations(module))
    bindings = module.bindings.removeprefix("csrc/")
    ffi.set_source(module.name, f"#include <{bindings}>", py_limited_api=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_c_code(str(target))


class build_ext(setuptools_build_ext):
    """Generates the bindings, compiles them, and builds the freestanding images into data/; writes
    the manual page.
    """

    def run(self) -> None:
        for extension in self.extensions:
            module = MODULES[extension.name]
            generated = Path(self.build_temp) / module.generated
            generate(module, generated)
            extension.sources = [*sources(module), str(generated)]
            extension.include_dirs = list(INCLUDE_DIRECTORIES)
            extension.libraries = list(module.libraries)
            extension.extra_compile_args = list(COMPILE_FLAGS)
            extension.extra_link_args = list(LINK_FLAGS)
        super().run()
        self._build_freestanding()
        self._write_manual()

    def _write_manual(self) -> None:
        with _package_on_path():
            from pykexec.cli._manual import manual_page

            text = manual_page()
        page = Path(self.build_temp) / "pykexec.1"
        page.write_text(text)
        # "install", which a wheel is made by, runs after this.
        self.distribution.data_files = [("share/man/man1", [str(page)])]

    def _build_freestanding(self) -> None:
        with _package_on_path():
            from pykexec._freestanding import build
        package = ROOT / "pykexec" if self.inplace else Path(self.build_lib) / "pykexec"
        data = package / "data"
        data.mkdir(parents=True, exist_ok=True)
        build(ROOT, data)
        if not self.inplace:  # A checkout is asked each time.
            _write_version(package)


class sdist(setuptools_sdist):
    """Writes down what version it is: git stays behind."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        _write_version(Path(base_dir, "pykexec"))


def version() -> str:
    """The version of these sources: pyproject.toml asks here."""
    with _package_on_path():
        from pykexec.about import version
    return version()


def _write_version(package: Path) -> None:
    with _package_on_path():
        from pykexec.about import VERSION_FILE
    target = package / VERSION_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{version()}\n")


@contextmanager
def _package_on_path() -> Iterator[None]:
    """setuptools loads this file by its path: the package is not on sys.path yet."""
    sys.path.insert(0, str(ROOT))
    try:
        yield
    finally:
        sys.path.remove(str(ROOT))


if __name__ == "__main__":
    for each in MODULES.values():
        print(declarations(each))
