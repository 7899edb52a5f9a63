# SPDX-License-Identifier: Apache-2.0
"""Images for the VM tests, made of this tree's sources; each is built once and kept by content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

from pykexec import _freestanding
from pykexec._elf2pe import EFI_BOOT_SERVICE_DRIVER
from pykexec.efi import pe
from pykexec.image import Recipe, assemble, build, cpio, elf, initrd, interpreter
from pykexec.image.builder import described
from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.run import run
from pykexec.vm.kernels import kernel

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
INSIDE = Path(__file__).parent / "inside"
KEXEC_TOOLS = Path("/sbin/kexec")
RESUME_IN_GUEST = interpreter.library_path("pykexec/data/resume.bin")
ARENA_MIB = 256
KEPT_S = 24 * 3600
# A kernel's tests of its own ciphers, and what keeps its processes from measuring each other, are
# a tenth of its boot where the processor is emulated.
QUICK_CMDLINE = f"{DEFAULT_CMDLINE} cryptomgr.notests mitigations=off"
# Of each whole image; the product's, for an eighth less initramfs, takes ten times as long.
COMPRESSION_LEVEL = 9

_CACHE = ROOT / "build" / "images"
# What a source has that a control may change.
_CONTROLS = (b"<stub/lib/test.h>", b"PK_TEST_")
_SECTIONS = (".osrel", ".cmdline", ".uname", ".initrd", ".linux")


def stub(defines: tuple[str, ...] = ()) -> Path:
    """stub.efi; defines select the negative controls of csrc/stub/lib/test.h."""

    def make(path: Path) -> None:
        _freestanding.build_stub(CSRC, path, defines, _objects(bool(defines)))
        if defines and path.read_bytes() == stub().read_bytes():
            raise AssertionError(f"{' '.join(defines)}: this control is the product's own stub")

    return kept("stub", ".efi", make, sources(), *defines)


def _objects(is_control: bool) -> dict[Path, Path]:
    """The stub's, by their sources; for a control those that it has in common with the product."""

    def make(directory: Path) -> None:
        directory.mkdir()
        _freestanding.compile_stub(CSRC, directory)

    directory = kept("objects", "", make, sources())
    return {
        source: _freestanding.object_file(directory, source)
        for source in _freestanding.stub_sources(CSRC)
        if not (is_control and any(word in source.read_bytes() for word in _CONTROLS))
    }


def resume() -> Path:
    """The resume image."""
    return kept("resume", ".bin", lambda path: _freestanding.build_resume(CSRC, path), sources())


def hello() -> Path:
    """The test application csrc/payload/hello.c."""

    def make(path: Path) -> None:
        _freestanding.build_payload(CSRC, "hello", path)

    return kept("hello", ".efi", make, sources())


def tables() -> Path:
    """The application csrc/payload/tables.c, which is started in place of Linux."""

    def make(path: Path) -> None:
        _freestanding.build_payload(CSRC, "tables", path)

    return kept("tables", ".efi", make, sources())


def strict() -> Path:
    """The application csrc/payload/strict, which makes the firmware so and starts our image."""

    def make(path: Path) -> None:
        _freestanding.build_payload(CSRC, "strict", path)

    return kept("strict", ".efi", make, sources())


def ramdisk() -> Path:
    """The driver for firmware without RAM disks."""

    def make(path: Path) -> None:
        _freestanding.build_ramdisk(CSRC, path)

    return kept("ramdisk", ".efi", make, sources())


def driver() -> Path:
    """The test driver csrc/payload/driver.c."""

    def make(path: Path) -> None:
        _freestanding.build_payload(CSRC, "driver", path, EFI_BOOT_SERVICE_DRIVER)

    return kept("driver", ".efi", make, sources())


def image(
    kernel_name: str = "6.1-cloud",
    *,
    config: str = "",
    cmdline: str = QUICK_CMDLINE,
    arena_mib: int = ARENA_MIB,
    defines: tuple[str, ...] = (),
    modules: tuple[str, ...] = (),
    additions: tuple[Path, ...] = (),
    files: tuple[tuple[str, bytes], ...] = (),
) -> Path:
    """An image with the scripts of tests/vm/inside, hello.efi and kexec-tools in its initramfs.

    One whole image a kernel (and set of modules and of added directories or archives) is built by
    the builder; the others are made of its sections. files are more of its initramfs, by path.
    """
    whole = _whole_image(kernel_name, modules, additions)

    def make(path: Path) -> None:
        parts = sections(whole)
        parts[".cmdline"] = f"{cmdline} pykexec.arena={arena_mib}M".encode()
        more = [("etc/pykexec/agent.toml", config.encode())] if config else []
        if entries := [cpio.file(name, data) for name, data in (*more, *files)]:
            parts[".initrd"] += cpio.archive(entries)
        code = stub(defines).read_bytes()
        path.write_bytes(assemble.append_sections(code, "stub", described(code, "stub", parts)))

    contents = (f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in files)
    words = (kernel_name, config, cmdline, str(arena_mib), *defines, *contents)
    return kept("image", ".efi", make, whole.name, *words)


def sections(path: Path) -> dict[str, bytes]:
    """What was appended to the stub, in order."""
    data = path.read_bytes()
    parsed = pe.parse(data, str(path))
    parts = {}
    for name in _SECTIONS:
        section = parsed.section(name)
        assert section is not None
        start = section.file_offset
        parts[name] = data[start : start + min(section.file_size, section.virtual_size)]
    return parts


def _whole_image(kernel_name: str, modules: tuple[str, ...], additions: tuple[Path, ...]) -> Path:
    def make(path: Path) -> None:
        with (
            tempfile.TemporaryDirectory() as directory,
            patch.object(initrd, "_LEVEL", COMPRESSION_LEVEL),
        ):
            recipe = _recipe(kernel_name, Path(directory))
            recipe = replace(
                recipe, more_modules=modules, initrd_add=(*recipe.initrd_add, *additions)
            )
            path.write_bytes(build(recipe).data)

    chosen = kernel(kernel_name)
    # One that was built here has the same release whatever is in it.
    built = [str(os.stat(path).st_mtime_ns) for path in (chosen.image, chosen.modules)]
    words = (kernel_name, chosen.release, *built, *modules, *map(_content, additions))
    return kept("whole", ".efi", make, sources(), *words)


def _content(addition: Path) -> str:
    files = sorted(addition.rglob("*")) if addition.is_dir() else [addition]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(addition)}\0{path.stat().st_mode}\0".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _recipe(kernel_name: str, directory: Path) -> Recipe:
    _fill(directory)
    chosen = kernel(kernel_name)
    return Recipe(
        kernel=chosen.image,
        modules=chosen.modules,
        stub=stub(),
        resume=resume(),
        ramdisk=ramdisk(),
        initrd_add=(directory,),
        arena_mib=ARENA_MIB,
    )


def _fill(directory: Path) -> None:
    inside = directory / "inside"
    inside.mkdir()
    first_line = f"#!{interpreter.executable()} {interpreter.FLAGS}\n"
    for script in INSIDE.glob("*.py"):
        (inside / script.stem).write_text(first_line + script.read_text())
        (inside / script.stem).chmod(0o755)
    for source in INSIDE.glob("*.c"):
        flags = ["-O2", "-mavx", "-Wall", "-Wextra", "-Werror"]
        run([*_freestanding.compiler(), *flags, "-o", inside / source.stem, source])
    shutil.copyfile(hello(), inside / "hello.efi")
    shutil.copyfile(driver(), inside / "driver.efi")
    tool = elf.Object(KEXEC_TOOLS, str(KEXEC_TOOLS))
    for target, source in elf.closure([tool]).items():
        copy = directory / target.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)


def kept(name: str, suffix: str, make: Callable[[Path], None], *key: str) -> Path:
    """The file that make() wrote for key; whoever finds it finds it complete."""
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    path = _CACHE / f"{name}-{digest}{suffix}"
    if path.exists():
        os.utime(path)
        return path
    _CACHE.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}")
            make(partial)
            partial.rename(path)
            _forget_old()
    return path


def _forget_old() -> None:
    """Each change of the sources makes new files: those of yesterday are of no use."""
    for path in _CACHE.iterdir():
        with suppress(FileNotFoundError):  # Others clean up, too.
            if path.stat().st_mtime < time.time() - KEPT_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@cache
def sources() -> str:
    """A digest of everything of ours that goes into an image."""
    digest = hashlib.sha256()
    files = [
        path
        for directory, pattern in ((ROOT / "pykexec", "*"), (CSRC, "*"), (INSIDE, "*"))
        for path in sorted(directory.rglob(pattern))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
