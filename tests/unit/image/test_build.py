# SPDX-License-Identifier: Apache-2.0
"""Whole images: reproducible, runnable by chroot, signed; bad input writes nothing and is named."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pykexec.about import NUMBER
from pykexec.efi import pe
from pykexec.errors import ConfigError, FormatError, PykexecError, UsageError
from pykexec.image import Recipe, build, builder, files, initrd, interpreter
from pykexec.image.inspection import inspect
from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.run import run
from tests.support.shared import once
from tests.unit.image import built
from tests.unit.image.inputs import kernel_bytes, pe_bytes
from tests.unit.image.test_modules import module

ROOT = Path(__file__).resolve().parents[3]


def write_inputs(directory: Path) -> None:
    """Everything that an image needs besides Python and busybox."""
    (directory / "modules").mkdir(parents=True)
    (directory / "modules" / "modules.builtin").write_text("kernel/fs/efivarfs/efivarfs.ko\n")
    (directory / "added").mkdir()
    (directory / "added" / "note").write_text("from the user\n")
    (directory / "vmlinuz").write_bytes(kernel_bytes())
    (directory / "stub.efi").write_bytes(pe_bytes())
    (directory / "resume.bin").write_bytes(b"resume" * 100)
    (directory / "ramdisk.efi").write_bytes(pe_bytes(subsystem=11))


def start_build(directory: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A build in an own process, which has this environment and another umask and directory."""
    write_inputs(directory)
    command = [sys.executable, built.__file__, str(directory), str(directory / "out.efi")]
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    umask = int(environment["UMASK"], 8)
    return subprocess.Popen(command, cwd=directory, env=environment, umask=umask)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same image twice, from different places, times and environments."""
    one, other = Path("one"), Path("other", "a", "b")

    def make(at: Path) -> None:
        tokyo = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}
        builds = [
            start_build(at / one, UMASK="077", TZ="UTC", PYTHONHASHSEED="1", LC_ALL="C"),
            start_build(at / other, UMASK="022", PYTHONHASHSEED="2", **tokyo),
        ]
        assert [each.wait(timeout=120) for each in builds] == [0, 0]

    at = once(tmp_path_factory, "images", make)
    return [at / one / "out.efi", at / other / "out.efi"]


def archives(image: Path) -> tuple[bytes, bytes]:
    """Our initramfs, unpacked, and what follows it."""
    data = image.read_bytes()
    section = pe.parse(data, "image").section(".initrd")
    assert section
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    archive = unpacker.decompress(pe.section_data(data, section))
    return archive, unpacker.unused_data


@pytest.fixture(scope="session")
def root(images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The initramfs of an image, unpacked (without its device node, which needs root)."""
    directory = tmp_path_factory.mktemp("root")
    archive, _ = archives(images[0])
    command = ["cpio", "--extract", "--quiet", "--nonmatching", "dev/console"]
    run(command, cwd=directory, stdin=archive)
    return directory


def in_root(root: Path, *command: str) -> str:
    """What a command prints whose whole world is root."""
    if os.geteuid() == 0:
        alone = ["chroot", str(root)]
    else:
        alone = ["unshare", "--map-root-user", "--user", f"--root={root}"]
    return run(
        [*alone, *command], env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}, timeout_s=30
    ).decode()


def python_in(root: Path, code: str) -> str:
    """What Python code prints in the initramfs."""
    return in_root(root, interpreter.executable(), interpreter.FLAGS, "-c", code)


@pytest.mark.parametrize("suffix", ["", ".cdx.json"])
def test_same_inputs_give_the_same_bytes(images: list[Path], suffix: str) -> None:
    first, second = (
        hashlib.sha256(Path(f"{each}{suffix}").read_bytes()).hexdigest() for each in images
    )
    assert first == second


def test_all_but_the_kernel_is_below_10_mb(images: list[Path]) -> None:
    assert images[0].stat().st_size - len(kernel_bytes()) < 10_000_000


def test_agent_and_verbs_can_be_imported_in_the_initramfs(root: Path) -> None:
    assert python_in(root, "import pykexec.cli, pykexec.guest.init; print('yes')") == "yes\n"


def test_command_line_works_in_the_initramfs(root: Path) -> None:
    shown = in_root(root, "/usr/bin/pykexec", "--help")
    assert "exec" in shown and "memmap" in shown


def test_an_image_says_which_version_built_it(root: Path, images: list[Path]) -> None:
    report = inspect(images[0].read_bytes(), "image")
    shown = in_root(root, "/usr/bin/pykexec", "--version").strip()
    assert report.uki and shown.startswith(f"pykexec {NUMBER}")
    assert f'VERSION="{shown.removeprefix("pykexec ")}"' in report.uki.texts[".osrel"]


def test_every_shipped_module_of_ours_can_be_imported(root: Path) -> None:
    library = root / interpreter.library_path("").lstrip("/")
    names = [
        ".".join(path.relative_to(library).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((library / "pykexec").rglob("*.pyc"))
        if path.stem != "__main__"
    ]
    assert len(names) > 10
    python_in(root, "\n".join(f"import {name}" for name in names))


COMPILED = """
import sys
texts = []
def note(event, words):
    if event == "compile" and "__create_fn__" in str(words[0]):
        texts.append(words[0])
sys.addaudithook(note)
import pykexec.guest.init, pykexec.guest.attest
from pykexec.attest import client, deliver
print(len(texts), client.Facts.__doc__)
import dataclasses
@dataclasses.dataclass
class Unknown: value: int = 7
print(bool(texts), Unknown().value)
"""


def test_what_dataclasses_are_made_of_is_compiled_when_the_image_is_built(root: Path) -> None:
    assert python_in(root, COMPILED) == "0 Facts\nTrue 7\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import hashlib; print(hashlib.sha512(b'').hexdigest()[:6])", "cf83e1"),
        ("print('é'.encode('utf-16-le').decode('utf-16'))", "é"),
        ("import argparse; argparse.ArgumentParser('x').print_help()", "usage: x [-h]"),
        ("import traceback, subprocess, logging; print(1)", "1"),
        ("import sys; print(sys.path[1:], sys.flags.isolated)", "lib-dynload'] 1"),
        ("from pykexec._native import lib; print(lib.PK_PAGE_SIZE)", "4096"),
        ("from pykexec import crypto; print(len(crypto.ecdh_generate('P-256').x))", "32"),
    ],
)
def test_python_works_in_the_initramfs(root: Path, code: str, words: str) -> None:
    assert words in python_in(root, code)


def test_a_thread_that_outlives_the_interpreter_aborts_nothing(root: Path) -> None:
    code = """
import atexit, sys, threading, time
class Slow:
    def __del__(self): time.sleep(0.05)
def work():
    while True: time.sleep(0.001)
for _ in range(4): threading.Thread(target=work, daemon=True).start()
sys.kept = Slow()
print("over")
"""
    assert python_in(root, code) == "over\n"


def test_initramfs_has_what_the_agent_looks_for(root: Path) -> None:
    assert (root / "init").read_text().startswith(f"#!{interpreter.executable()} -ISB\n")
    assert (root / "init").stat().st_mode & 0o777 == 0o755
    assert (root / "bin/sh").readlink() == Path("busybox")
    assert (root / "etc/pykexec/modules").read_text() == "boot efivarfs\n"
    assert (root / "etc/pykexec/agent.toml").read_bytes() == b""
    resume = interpreter.library_path("pykexec/data/resume.bin").lstrip("/")
    assert (root / resume).read_bytes() == b"resume" * 100
    driver = interpreter.library_path("pykexec/data/ramdisk.efi").lstrip("/")
    assert (root / driver).read_bytes() == pe_bytes(subsystem=11)
    assert in_root(root, "/bin/sh", "-c", "echo works") == "works\n"


def test_nothing_of_the_build_host_is_shipped(root: Path) -> None:
    package = root / interpreter.library_path("pykexec").lstrip("/")
    assert not [name for name in ("image", "vm") if (package / name).exists()]
    assert list(root.rglob("*.py")) == []


def test_what_the_user_added_follows_as_an_archive_of_its_own(images: list[Path]) -> None:
    _, rest = archives(images[0])
    second = rest.lstrip(b"\0")
    assert len(second) % 4 == 0
    assert b"from the user" in zstandard.ZstdDecompressor().decompressobj().decompress(second)


def test_text_sections(images: list[Path]) -> None:
    report = inspect(images[0].read_bytes(), "image")
    assert report.uki
    assert report.uki.texts[".cmdline"] == f"{DEFAULT_CMDLINE} pykexec.arena=256M"
    assert "\nID=pykexec\n" in report.uki.texts[".osrel"]
    assert report.uki.texts[".uname"] == "6.1.0-test"
    assert report.uki.texts[".sbat"] == "sbat,1,test\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A recipe that works, to be spoilt."""
    write_inputs(tmp_path / "in")
    return built.recipe(tmp_path / "in")


SPOILS: dict[str, tuple[type[PykexecError], Callable[[Recipe, Path], Recipe]]] = {}


def spoil(fault: str, error: type[PykexecError]) -> Callable[..., None]:
    """Register a way to spoil a recipe, given a file to write."""

    def register(change: Callable[[Recipe, Path], Recipe]) -> None:
        SPOILS[fault] = (error, change)

    return register


def with_kernel(data: bytes) -> Callable[[Recipe, Path], Recipe]:
    """The recipe with a kernel file of data."""

    def change(recipe: Recipe, file: Path) -> Recipe:
        file.write_bytes(data)
        return dataclasses.replace(recipe, kernel=file)

    return change


def with_config(text: str) -> Callable[[Recipe, Path], Recipe]:
    """The recipe with an agent.toml of text."""

    def change(recipe: Recipe, file: Path) -> Recipe:
        file.write_text(text)
        return dataclasses.replace(recipe, config=file)

    return change


GOOD_KERNEL = kernel_bytes()
spoil("bad: empty file, not a Linux kernel", FormatError)(with_kernel(b""))
spoil("bad: truncated Linux kernel", FormatError)(with_kernel(GOOD_KERNEL[:-1]))
spoil("bad: not a Linux kernel", FormatError)(with_kernel(pe_bytes()))
spoil("bad: Linux kernel without EFI stub", FormatError)(with_kernel(bytes(2) + GOOD_KERNEL[2:]))
spoil("bad: does not fit into an arena of 256 MiB", UsageError)(
    with_kernel(kernel_bytes(init_size=1 << 28))
)
spoil("bad: its EFI stub does not ask for an initramfs", FormatError)(
    with_kernel(kernel_bytes(stub_version=2))
)
spoil("bad: the kernel does not say its version", FormatError)(with_kernel(kernel_bytes("")))
spoil("bad: colour: unknown key", ConfigError)(with_config("colour = 1"))
spoil("bad: agent.shell: must be true or false", ConfigError)(with_config("[agent]\nshell = 1"))
spoil("bad: attest: network.ca is missing", ConfigError)(
    with_config("[attest]\nserver = 'https://keys.example'")
)
spoil("bad: not TOML", ConfigError)(with_config("["))
spoil("bad: No such file or directory", UsageError)(
    lambda recipe, file: dataclasses.replace(recipe, kernel=file)
)
spoil("bad: no such directory of kernel modules", UsageError)(
    lambda recipe, file: dataclasses.replace(recipe, modules=file)
)
spoil("no kernel module nonsense", FormatError)(
    lambda recipe, _: dataclasses.replace(recipe, kernel_modules=("nonsense",))
)
spoil("bad: No such file or directory ", UsageError)(
    lambda recipe, file: dataclasses.replace(recipe, stub=file)
)


@spoil("one.ko: is for Linux 6.1.1, and ", FormatError)
def with_module_of_another_kernel(recipe: Recipe, _: Path) -> Recipe:
    """The recipe with a module that this kernel does not take."""
    assert recipe.modules
    (recipe.modules / "one.ko").write_bytes(module("", "6.1.1"))
    return dataclasses.replace(recipe, more_modules=("one",))


@spoil("of which 1407 are free", UsageError)
def with_a_line_that_leaves_no_room(recipe: Recipe, _: Path) -> Recipe:
    """The recipe with a command line that Linux would cut off, with what the stub appends."""
    return dataclasses.replace(recipe, cmdline="x" * 1390)


@pytest.mark.parametrize("fault", SPOILS)
def test_bad_input_is_one_line_with_name_and_fault(
    recipe: Recipe, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, change = SPOILS[fault]
    # Compression is most of a build's time and not what this is about.
    monkeypatch.setattr(initrd, "_LEVEL", 1)
    with pytest.raises(error) as caught:
        build(change(recipe, tmp_path / "bad"))
    assert fault.strip() in str(caught.value)
    assert "\n" not in str(caught.value)


def test_failing_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "image.efi"
    target.mkdir()
    with pytest.raises(UsageError, match=r"image\.efi: cannot be written"):
        files.write_atomically(target, b"x")
    assert list(tmp_path.iterdir()) == [target]


def test_builder_names_all_that_it_measured(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initrd, "_LEVEL", 1)
    built = builder.build(recipe)
    report = inspect(built.data, "image")
    assert report.uki and report.pe
    assert report.uki.pcr11 == {bank: value.hex() for bank, value in built.pcr11.items()}
    assert report.pe.authenticode_sha256 == built.authenticode.hex()


def test_what_the_kernel_was_built_without_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initrd, "_LEVEL", 1)
    write_inputs(tmp_path)
    (tmp_path / "modules" / "config").write_text("CONFIG_KEXEC_FILE=y\nCONFIG_EFIVAR_FS=m\n")
    build(built.recipe(tmp_path))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert all(line.startswith(f"{tmp_path / 'vmlinuz'}: built without ") for line in warnings)
    assert any("CONFIG_EFI_SOFT_RESERVE: " in line for line in warnings)
    assert not any("KEXEC_FILE" in line or "EFIVAR_FS" in line for line in warnings)


def test_modules_that_nobody_signed_are_named(
    recipe: Recipe, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initrd, "_LEVEL", 1)
    assert recipe.modules
    (recipe.modules / "one.ko").write_bytes(module("", "6.1.0-test"))
    (recipe.modules / "two.ko").write_bytes(module("") + b"~Module signature appended~\n")
    found = build(dataclasses.replace(recipe, more_modules=("one", "two")))
    assert found.modules == ("efivarfs", "one", "two")
    lines = [record.getMessage() for record in caplog.records if "signed" in record.getMessage()]
    assert len(lines) == 1 and "modules one: nobody signed them" in lines[0]
