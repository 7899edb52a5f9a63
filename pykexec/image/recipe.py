# SPDX-License-Identifier: Apache-2.0
"""What an image is made of, as the user asks for it, and the checks that need no file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pykexec.abi import Limit
from pykexec.abi_devices import WindowConstant
from pykexec.bridge.native import MODULES
from pykexec.errors import UsageError
from pykexec.image.measure import PARAMETER as MEASURE_PARAMETER
from pykexec.image.measure import SYSTEMD
from pykexec.image.sign import SigningKey

# The screen comes first: the last console that there is is where programs write.
DEFAULT_CMDLINE = "console=tty0 console=ttyS0,115200 quiet"
DEFAULT_ARENA_MIB = Limit.ARENA_DEFAULT >> 20
MIN_ARENA_MIB = Limit.ARENA_MIN >> 20
ARENA_PARAMETER = "pykexec.arena"
DEFAULT_WINDOW_MIB = WindowConstant.SIZE >> 20
MAX_WINDOW_MIB = WindowConstant.SIZE_MAX >> 20
WINDOW_PARAMETER = "pykexec.window"
CERTIFY_PARAMETER = "pykexec.certify"
KERNEL_MODULES = ("efivarfs",)
"""What the agent needs and distributions build as modules."""
WAYS = {
    "window": ("dax_hmem",),
    "disks": ("ublk_drv", "nbd"),
    "network": ("tun",),
    "TPM": ("tpm_vtpm_proxy",),
}
"""What each bridge goes by, and what makes it quick."""
BRIDGE_MODULES = ("device_dax", *(module for modules in WAYS.values() for module in modules))
"""Loaded when bridges start; a kernel may lack some."""
NATIVE_MODULES = tuple(MODULES.values())
"""What makes bridges needless where the kernel has it; what these refuse is bridged."""
DATA = Path(__file__).resolve().parent.parent / "data"
BUSYBOX = Path("/usr/bin/busybox")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that goes into an image. Equal recipes over equal files make equal images.

    modules is the directory of the kernel's modules, by default what modules.find() finds.
    initrd_add names further initramfs archives, or directories to be packed into one. stub, resume,
    ramdisk and busybox (which must be linked statically) are what the package and the machine have
    unless said otherwise. kernel_modules are loaded at boot; optional_modules, as far as the kernel
    has them, and more_modules wait until something asks for them. measure_sections has the stub
    extend PCR 11 as systemd-stub does; certify has it watch the firmware's memory.
    """

    kernel: Path
    modules: Path | None = None
    config: Path | None = None
    cmdline: str = DEFAULT_CMDLINE
    arena_mib: int = DEFAULT_ARENA_MIB
    window_mib: int = DEFAULT_WINDOW_MIB
    initrd_add: tuple[Path, ...] = ()
    signing: SigningKey | None = None
    kernel_modules: tuple[str, ...] = KERNEL_MODULES
    optional_modules: tuple[str, ...] = BRIDGE_MODULES + NATIVE_MODULES
    more_modules: tuple[str, ...] = ()
    measure_sections: bool = False
    certify: bool = False
    stub: Path = DATA / "stub.efi"
    resume: Path = DATA / "resume.bin"
    ramdisk: Path = DATA / "ramdisk.efi"
    busybox: Path = BUSYBOX

    def __post_init__(self) -> None:
        """Refuse with UsageError what no file can make right."""
        if self.arena_mib < MIN_ARENA_MIB:
            raise UsageError(f"arena of {self.arena_mib} MiB: must be at least {MIN_ARENA_MIB}")
        if not DEFAULT_WINDOW_MIB <= self.window_mib <= MAX_WINDOW_MIB or self.window_mib % 2:
            raise UsageError(
                f"window of {self.window_mib} MiB: must be even, "
                f"{DEFAULT_WINDOW_MIB} to {MAX_WINDOW_MIB}"
            )
        if not self.cmdline.isprintable() or not self.cmdline.isascii():
            raise UsageError(f"command line {self.cmdline!r}: must be printable ASCII")
        words = {word.partition("=")[0] for word in self.cmdline.split()}
        if ARENA_PARAMETER in words:
            raise UsageError(f"command line: {ARENA_PARAMETER} is set by the size of the arena")
        if WINDOW_PARAMETER in words:
            raise UsageError(f"command line: {WINDOW_PARAMETER} is set by the size of the window")
        if MEASURE_PARAMETER in words:
            raise UsageError(f"command line: {MEASURE_PARAMETER} is set by what is measured")
        if CERTIFY_PARAMETER in words:
            raise UsageError(f"command line: {CERTIFY_PARAMETER} is for `pykexec certify`")

    @property
    def has_modules(self) -> bool:
        """Are any to be looked for?"""
        return bool(self.kernel_modules + self.optional_modules + self.more_modules)

    @property
    def full_cmdline(self) -> str:
        """What .cmdline holds: the user's words, sizes of arena and window, what is measured."""
        words = [self.cmdline, f"{ARENA_PARAMETER}={self.arena_mib}M"]
        if self.window_mib != DEFAULT_WINDOW_MIB:
            words.append(f"{WINDOW_PARAMETER}={self.window_mib}M")
        if self.measure_sections:
            words.append(f"{MEASURE_PARAMETER}={SYSTEMD}")
        if self.certify:
            words.append(f"{CERTIFY_PARAMETER}=1")
        return " ".join(filter(None, words)).strip()
