# SPDX-License-Identifier: Apache-2.0
"""Compile the code that runs without an operating system: stub.efi, resume.bin, test applications.

Works with Debian's gcc and binutils alone; clang is used when CC names it. The same sources give
the same bytes, wherever they lie.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pykexec._elf2pe import EFI_APPLICATION, EFI_BOOT_SERVICE_DRIVER, elf2pe
from pykexec.run import run

_CFLAGS: Final = (
    "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
    "-ffreestanding",  # no C library
    "-fno-stack-protector",  # nobody sets up its canary
    "-fno-strict-aliasing",  # tables and messages are looked at as bytes and as structs
    "-fshort-wchar",  # CHAR16
    "-mno-red-zone",  # interrupts are taken on the same stack
    "-mgeneral-regs-only",  # vector registers belong to the other world
    "-fcf-protection=none",
    "-fpie", "-fvisibility=hidden",  # position independent without a GOT
    "-fno-asynchronous-unwind-tables", "-fno-ident", "-fno-common",
)  # fmt: skip
_LDFLAGS: Final = (
    "-nostdlib", "-static-pie", "-Wl,--no-dynamic-linker", "-Wl,--build-id=none",
    "-Wl,-z,norelro", "-Wl,-z,noexecstack", "-Wl,-z,max-page-size=4096",
    "-Wl,--no-warn-rwx-segments", "-Wl,--fatal-warnings",
)  # fmt: skip
_OFFSET: Final = re.compile(r"->(\w+) \$?(-?\d+)")


def compiler() -> list[str]:
    """The C compiler: $CC, else gcc."""
    return shlex.split(os.environ.get("CC", "gcc"))


def _includes(csrc: Path) -> list[str]:
    # Paths in messages and in __FILE__ must not depend on where the tree lies.
    return [f"-I{csrc}", f"-I{csrc / 'include'}", f"-ffile-prefix-map={csrc}=csrc"]


def _write_offsets(csrc: Path, work: Path) -> None:
    """offsets.h for the assembler, from what the compiler says of offsets.c."""
    assembly = work / "offsets.s"
    source = csrc / "stub" / "gate" / "offsets.c"
    run([*compiler(), *_CFLAGS, *_includes(csrc), "-S", source, "-o", assembly])
    found = _OFFSET.findall(assembly.read_text())
    lines = [f"#define {name} {value}\n" for name, value in found]
    (work / "offsets.h").write_text("".join(lines))


def object_file(work: Path, source: Path) -> Path:
    """Where compile_file() puts the object of source."""
    return work / f"{source.parent.name}-{source.name}.o"


def compile_file(csrc: Path, source: Path, work: Path, defines: Sequence[str] = ()) -> Path:
    """The object of one source, in work, where offsets.h is looked for too."""
    target = object_file(work, source)
    options = [*_CFLAGS, *_includes(csrc), f"-I{work}", *(f"-D{name}" for name in defines)]
    run([*compiler(), *options, "-c", source, "-o", target])
    return target


def _link(objects: Iterable[Path], script: Path, elf: Path) -> None:
    run([*compiler(), *_LDFLAGS, f"-Wl,-T,{script}", "-o", elf, *objects])


def stub_sources(csrc: Path) -> list[Path]:
    """What the stub is made of."""
    found = sorted((csrc / "stub").glob("*/*.[cS]")) + sorted((csrc / "common").glob("*.c"))
    return [source for source in found if source.name != "offsets.c"]


def compile_stub(
    csrc: Path, work: Path, defines: Sequence[str] = (), known: Mapping[Path, Path] | None = None
) -> dict[Path, Path]:
    """The objects that the stub is made of, by their sources: those that are known, the rest in
    work.
    """
    _write_offsets(csrc, work)
    objects = known or {}
    return {
        source: objects.get(source) or compile_file(csrc, source, work, defines)
        for source in stub_sources(csrc)
    }


def build_stub(
    csrc: Path,
    output: Path,
    defines: Sequence[str] = (),
    known: Mapping[Path, Path] | None = None,
) -> None:
    """Build stub.efi; defines select the negative controls of csrc/stub/lib/test.h.

    known are objects that need not be compiled, by their sources.
    """
    with TemporaryDirectory() as directory:
        work = Path(directory)
        elf = work / "stub.elf"
        objects = compile_stub(csrc, work, defines, known)
        _link(objects.values(), csrc / "stub" / "stub.lds", elf)
        elf2pe(elf, output)


def _build(csrc: Path, sources: Iterable[Path], script: Path, elf: Path) -> None:
    _link([compile_file(csrc, source, elf.parent) for source in sources], script, elf)


def build_payload(csrc: Path, name: str, output: Path, subsystem: int = EFI_APPLICATION) -> None:
    """Build the test application, or driver, csrc/payload/<name>.c, or of the files in <name>/."""
    with TemporaryDirectory() as directory:
        elf = Path(directory) / "payload.elf"
        payload = csrc / "payload"
        own = sorted((payload / name).glob("*.[cS]")) or [payload / f"{name}.c"]
        own += [payload / f"{each}.c" for each in ("console", "packets")]
        names = ("device_path.c", "dhcp.c", "guids.c")
        shared = [csrc / "stub" / "lib" / "mem.c", *(csrc / "common" / name for name in names)]
        sources = [*own, *shared]
        _build(csrc, sources, csrc / "stub" / "stub.lds", elf)
        elf2pe(elf, output, subsystem)


def build_bootmgr(csrc: Path, output: Path) -> None:
    """Build the stand-in for Windows' boot manager, csrc/payload/bootmgr."""
    with TemporaryDirectory() as directory:
        elf = Path(directory) / "bootmgr.elf"
        names = ("crc32.c", "device_path.c", "event_log.c", "guids.c")
        shared = [csrc / "stub" / "lib" / "mem.c", *(csrc / "common" / name for name in names)]
        sources = [*sorted((csrc / "payload" / "bootmgr").glob("*.[cS]")), *shared]
        _build(csrc, sources, csrc / "stub" / "stub.lds", elf)
        elf2pe(elf, output)


def build_ramdisk(csrc: Path, output: Path) -> None:
    """Build ramdisk.efi, the driver for firmware that has no RAM disks."""
    with TemporaryDirectory() as directory:
        elf = Path(directory) / "ramdisk.elf"
        common = [csrc / "common" / name for name in ("guids.c", "memory_block.c")]
        sources = [
            *sorted((csrc / "ramdisk").glob("*.c")),
            csrc / "stub" / "lib" / "mem.c",
            *common,
        ]
        _build(csrc, sources, csrc / "stub" / "stub.lds", elf)
        elf2pe(elf, output, EFI_BOOT_SERVICE_DRIVER)


def build_resume(csrc: Path, output: Path) -> None:
    """Build resume.bin, the image that kexec_file_load(2) takes for a kernel."""
    with TemporaryDirectory() as directory:
        elf = Path(directory) / "resume.elf"
        names = ("guids.c", "handoff.c", "crc32.c", "page_table.c")
        shared = [csrc / "stub" / "lib" / "mem.c", *(csrc / "common" / name for name in names)]
        sources = [*sorted((csrc / "resume").glob("*.[cS]")), *shared]
        _build(csrc, sources, csrc / "resume" / "resume.lds", elf)
        run(["objcopy", "-O", "binary", elf, output])


def build(source_root: Path, output_dir: Path) -> None:
    """Build everything that ships as package data into output_dir."""
    output_dir.mkdir(parents=True, exist_ok=True)
    csrc = source_root / "csrc"
    build_stub(csrc, output_dir / "stub.efi")
    build_resume(csrc, output_dir / "resume.bin")
    build_ramdisk(csrc, output_dir / "ramdisk.efi")
    build_payload(csrc, "hello", output_dir / "hello.efi")
