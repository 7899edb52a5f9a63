# SPDX-License-Identifier: Apache-2.0
"""A disk as Windows leaves it, with the stand-in for its boot manager, and what that says."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pykexec import _freestanding
from pykexec.demo.windows_machine import bitlocker, boot_configuration
from pykexec.disk.key_disk import BITLOCKER, make_key_disk
from pykexec.kexec.ramdisk import SHAPES
from pykexec.vm import hives
from pykexec.vm.disk import DiskLayout, Esp, Files, Raw, make_disk
from pykexec.vm.vm import Vm
from tests.vm import images
from tests.vm.guest import IMAGE_PATH

PATH = r"\EFI\Microsoft\Boot\bootmgfw.efi"
STEPS = ("00", "01", "02", "03", "04", "05", "06", "07", "08", "13", "10", "11", "12")
KEY_IMAGES = {shape: rf"\{shape}.img" for shape in SHAPES}
"""On the ESP: the disks that the agent would make of the startup key."""
VOLUME = "bitlk-aes-xts-128-startup-key-win11.img"
BEK = "AA80A52B-9B66-47AE-B097-33F536FFBB07.BEK"
_LOADER = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(3000))


def bootmgr() -> Path:
    """The stand-in, csrc/payload/bootmgr."""

    def make(path: Path) -> None:
        _freestanding.build_bootmgr(images.CSRC, path)

    return images.kept("bootmgr", ".efi", make, images.sources())


@cache
def key_image(shape: str) -> bytes:
    """The disk that the agent would make of the startup key in one shape."""
    files = {BEK: memoryview(bitlocker(BEK).read_bytes())}
    with make_key_disk(files, BITLOCKER, shape) as disk:
        return bytes(disk.view)


def windows_disk(
    directory: Path, image: Path, *, key: bool, more: Files | None = None
) -> DiskLayout:
    """ESP and BitLocker volume; image is there for who boots it, and so are more files. With key
    the .BEK file is, too.
    """
    everything: dict[str, bytes | Path] = {
        IMAGE_PATH[1:].replace("\\", "/"): image,
        PATH[1:].replace("\\", "/"): bootmgr(),
        "EFI/Microsoft/Boot/BCD": boot_configuration(),
        "Windows/system32/winload.efi": _LOADER,
        **{path[1:]: key_image(shape) for shape, path in KEY_IMAGES.items()},
        **({BEK: bitlocker(BEK)} if key else {}),
        **(more or {}),
    }
    return make_disk(directory / "disk.img", [Esp(everything), Raw(bitlocker(VOLUME))])


def options(*more: str) -> str:
    """The stand-in's load options: what it must find, and more."""
    words = [f"BCDOBJECT={{{hives.BOOT_MANAGER}}}", "pcr11=zero"]
    words += [f"loader_sha256={hashlib.sha256(_LOADER).hexdigest()}"]
    words += [f"bek_sha256={hashlib.sha256(bitlocker(BEK).read_bytes()).hexdigest()}"]
    return " ".join([*words, *more])


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the stand-in said: lines of facts, without their places."""

    lines: tuple[str, ...]

    def values(self, name: str) -> list[str]:
        """What was said of name ("07:pcr04"), in order."""
        head = f"WBM:{name}:"
        return [line.removeprefix(head) for line in self.lines if line.startswith(head)]

    def without(self, *names: str) -> list[str]:
        """All lines but those of names, which are patterns."""
        left_out = re.compile(f"WBM:({'|'.join(names)}):")
        return [line for line in self.lines if not left_out.match(line)]


def expect_steps(vm: Vm) -> Transcript:
    """Wait until the stand-in has gone through all steps; what it said."""
    for step in STEPS:
        vm.expect_stage("wbm", step, within=120)
    return transcript(vm)


def transcript(vm: Vm) -> Transcript:
    """What it has said so far."""
    lines = re.findall(r"^(?:WBM|PK:wbm):.*$", vm.console.text, re.MULTILINE)
    return Transcript(tuple(re.sub(r"@[0-9a-f]+", "@", line) for line in lines))


def expect_failure(vm: Vm, step: str, status: int) -> str:
    """Wait until it has ended in step with this status; what was not so."""
    vm.expect_stage("wbm", step, status, within=120)
    failures = transcript(vm).values(f"{step}:failed")
    return failures[0] if failures else ""
