# SPDX-License-Identifier: Apache-2.0
"""Builds pykexec._native and the freestanding images; pyproject.toml names build_ext below."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import cffi
from setuptools.command.build_ext import build_ext as setuptools_build_ext

ROOT = Path(__file__).resolve().parent.parent
MODULE = "pykexec._native"
BINDINGS = "csrc/native/bindings.h"
SOURCE_DIRECTORIES = ("csrc/common", "csrc/native")
INCLUDE_DIRECTORIES = ("csrc", "csrc/include")
# Stand in for the C library's headers where cffi's parser reads.
CDEF_INCLUDE_DIRECTORY = "csrc/native/cdef"
# Macros that become integer (or string) constants of lib.
MACRO_PREFIXES = ("EFI_", "PK_", "KEXEC_", "LINUX_REBOOT_CMD_", "MODULE_INIT_", "MS_")

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


def _preprocess(*flags: str) -> str:
    includes = [f"-I{directory}" for directory in INCLUDE_DIRECTORIES]
    command = [*compiler(), "-E", "-P", "-std=gnu11", *flags, *includes, BINDINGS]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def declarations() -> str:
    """Everything that bindings.h declares, in cffi's dialect: no number is written twice."""
    text = _preprocess("-DPK_CFFI", "-nostdinc", f"-I{CDEF_INCLUDE_DIRECTORY}")
    constants = []
    for name, value in re.findall(r"^#define (\w+) (.+)$", _preprocess("-dM"), re.MULTILINE):
        if name.startswith(MACRO_PREFIXES):
            kind = "char *const" if value.startswith('"') else "const uint64_t"
            constants.append(f"static {kind} {name};\n")
    return text + "".join(sorted(constants))


def sources() -> list[str]:
    """The C files of the extension, generated one aside, relative to the source root."""
    files = [path for name in SOURCE_DIRECTORIES for path in (ROOT / name).glob("*.c")]
    return sorted(str(path.relative_to(ROOT)) for path in files)


def generate(target: Path) -> None:
    """Write the extension's generated C file."""
    ffi = cffi.FFI()
    ffi.cdef(declarations())
    ffi.set_source(MODULE, f"#include <{BINDINGS.removeprefix('csrc/')}>", py_limited_api=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_c_code(str(target))


class build_ext(setuptools_build_ext):
    """Generates the bindings, compiles them, and builds the freestanding images into data/."""

    def run(self) -> None:
        generated = Path(self.build_temp) / "_native.c"
        generate(generated)
        for extension in self.extensions:
            extension.sources = [*sources(), str(generated)]
            extension.include_dirs = list(INCLUDE_DIRECTORIES)
            extension.extra_compile_args = list(COMPILE_FLAGS)
            extension.extra_link_args = list(LINK_FLAGS)
        super().run()
        self._build_freestanding()

    def _build_freestanding(self) -> None:
        # setuptools loads this file by its path: the package is not on sys.path yet.
        sys.path.insert(0, str(ROOT))
        try:
            from pykexec._freestanding import build
        finally:
            sys.path.remove(str(ROOT))
        package = ROOT / "pykexec" if self.inplace else Path(self.build_lib) / "pykexec"
        data = package / "data"
        data.mkdir(parents=True, exist_ok=True)
        build(ROOT, data)


if __name__ == "__main__":
    print(declarations())
