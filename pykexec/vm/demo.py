# SPDX-License-Identifier: Apache-2.0
"""The main job, shown in a virtual machine: firmware, Linux, kexec, payload, second Linux."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pykexec import _freestanding
from pykexec.errors import ToolError, UsageError
from pykexec.image import Built, Recipe, build
from pykexec.vm import demo_stages, packages
from pykexec.vm.bootvars import boot_entry, write_boot_entries
from pykexec.vm.disk import Esp, Files, make_disk
from pykexec.vm.guest_os import Check, command_line, data_partition, initramfs
from pykexec.vm.kernels import Kernel, kernel
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.ovmf import Firmware, firmware
from pykexec.vm.stages import MissedStage, Progress, Reached
from pykexec.vm.vm import Vm

IMAGE_PATH = r"\EFI\pykexec\pykexec.efi"
PATHS = {"grub": r"\EFI\debian\grubx64.efi", "hello": r"\EFI\hello\hello.efi"}
# The screen comes first: the last console is where programs write, and that is the serial line.
CMDLINE = "console=tty0 console=ttyS0,115200 quiet"
LIMIT_S = 300.0
_GRUB = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
_CSRC = Path(__file__).resolve().parents[2] / "csrc"

PayloadName = Literal["grub", "hello"]


@dataclass(frozen=True, slots=True)
class Observer:
    """Who is told what happens while it happens.

    on_step gets what was prepared and the seconds that it took; on_line a line of the console,
    its time, and whether the reader should see it even without asking for all of them.
    """

    on_step: Callable[[str, float], None] = lambda text, seconds: None
    on_stage: Callable[[Reached], None] = lambda reached: None
    on_line: Callable[[float, str, bool], None] = lambda seconds, text, shown: None


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A demo that went well: every stage came, in order."""

    stages: tuple[Reached, ...]
    seconds: float
    """From switching the machine on to its end."""
    cpu_seconds: float
    """Of QEMU, up to the last stage."""
    kernel: str
    image_size: int
    overhead_size: int
    """Bytes of the image that are not the kernel."""
    log: Path
    pictures: tuple[Path, ...]

    def proven(self) -> list[str]:
        """One sentence for each thing that was shown, with what was seen."""
        return [reached.proof for reached in self.stages if reached.proof]

    def group_seconds(self) -> dict[str, float]:
        """Seconds by Stage.group, in order."""
        groups: dict[str, float] = {}
        for reached in self.stages:
            groups[reached.stage.group] = groups.get(reached.stage.group, 0.0) + reached.took
        return groups


def run_demo(
    directory: Path,
    *,
    ovmf: str = "2025.02",
    kernel_name: str = "6.1-cloud",
    payload: PayloadName = "grub",
    observer: Observer | None = None,
) -> DemoResult:
    """Prepare everything in directory, boot, follow all stages; MissedStage if one does not come.

    console.log, pictures of the screen, the disk and the image stay in directory.
    """
    check_kernel(kernel_name)
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    observer = observer or Observer()
    steps = Steps(observer)
    fw = firmware(ovmf)
    os_kernel = kernel(kernel_name)
    steps.done(f"OVMF {ovmf} and Linux {os_kernel.release}, both as Debian ships them")
    built = _image(directory, os_kernel, payload)
    steps.done(f"image built: {mib(len(built.data))}, {mib(built.overhead_size)} beside the kernel")
    machine = _machine(directory, fw, _files(directory, os_kernel, payload))
    steps.done("disk made: ESP with image and payload, partition for the second Linux")
    stages = demo_stages.stages(PATHS[payload], payload, os_kernel.release, built.pcr11["sha256"])
    progress = Progress(stages, observer.on_stage, observer.on_line)
    with Vm(machine, directory, limit_s=LIMIT_S, on_line=progress.line) as vm:
        pictures = follow(vm, progress, directory)
        cpu_seconds = vm.cpu_seconds() if vm.running else 0.0
        if payload == "grub":
            expect_power_off(vm)
        seconds = vm.seconds
    return DemoResult(
        stages=tuple(progress.reached),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        kernel=os_kernel.release,
        image_size=len(built.data),
        overhead_size=built.overhead_size,
        log=directory / "console.log",
        pictures=tuple(pictures),
    )


def check_kernel(name: str) -> None:
    """Refuse with UsageError a kernel that there is not."""
    if name not in packages.KERNELS:
        known = ", ".join(packages.KERNELS)
        raise UsageError(f"no kernel {name!r}: there are {known}")


class Steps:
    """Times what is prepared before the machine is switched on."""

    def __init__(self, observer: Observer) -> None:
        self._observer, self._since = observer, time.monotonic()

    def done(self, text: str) -> None:
        """Tell of a step that has just ended."""
        now = time.monotonic()
        self._observer.on_step(text, now - self._since)
        self._since = now


def follow(vm: Vm, progress: Progress, directory: Path) -> list[Path]:
    """Wait for all stages; the pictures that were taken. MissedStage if one does not come."""
    pictures = []
    for number, stage in enumerate(progress.stages):
        progress.wait(vm, number)
        if stage.picture:
            pictures.append(directory / f"{stage.picture}.png")
            vm.screenshot(pictures[-1])
    return pictures


def expect_power_off(vm: Vm) -> None:
    """Wait for the machine's end; MissedStage if it is another than switching itself off."""
    reason = vm.wait_exit(30)
    if reason != "guest-shutdown":
        raise MissedStage(f"the machine ended by {reason}, not by powering off", vm.console.tail())


def _image(directory: Path, os_kernel: Kernel, payload: PayloadName) -> Built:
    failure = "agent" if payload == "hello" else "boot-next"
    config = directory / "agent.toml"
    config.write_text(
        f"[payload]\npath = '{PATHS[payload]}'\n\n[failure]\naction = '{failure}'\n\n"
        "[agent]\nshell = true\n"
    )
    recipe = Recipe(
        kernel=os_kernel.image, modules=os_kernel.modules, config=config, cmdline=CMDLINE
    )
    built = build(recipe)
    (directory / "pykexec.efi").write_bytes(built.data)
    return built


def _files(directory: Path, os_kernel: Kernel, payload: PayloadName) -> Files:
    files: dict[str, bytes | Path] = {_on_disk(IMAGE_PATH): directory / "pykexec.efi"}
    if payload == "hello":
        return {**files, _on_disk(PATHS["hello"]): _hello(directory)}
    grub = packages.fetch(packages.PAYLOADS["grub-2.06-signed"])
    return {
        **files,
        _on_disk(PATHS["grub"]): grub / _GRUB,
        "EFI/debian/grub.cfg": _grub_config(os_kernel).encode(),
        "vmlinuz": os_kernel.image,
        "initrd.img": initramfs(os_kernel),
    }


def _on_disk(path: str) -> str:
    return path.removeprefix("\\").replace("\\", "/")


def _hello(directory: Path) -> Path:
    if not _CSRC.is_dir():
        raise ToolError("the payload hello is built from the source tree, which is not here")
    _freestanding.build_payload(_CSRC, "hello", directory / "hello.efi")
    return directory / "hello.efi"


def _grub_config(os_kernel: Kernel) -> str:
    checks: tuple[Check, ...] = ("memory", "disk", "efivar", "pcr", "screen")
    options = command_line("grub", checks, screen=True)
    return f"""\
set timeout=2
menuentry "Debian GNU/Linux, with Linux {os_kernel.release}" {{
search --no-floppy --file --set=root /vmlinuz
echo "The disk:"
ls
ls ($root)/
linux /vmlinuz {options}
initrd /initrd.img
echo "PK:grub:linux:0"
boot
}}
"""


def _machine(directory: Path, fw: Firmware, files: Mapping[str, bytes | Path]) -> Machine:
    disk = make_disk(directory / "disk.img", [Esp(files), data_partition()])
    variables = directory / "variables.fd"
    write_boot_entries(fw.variables, variables, [boot_entry(disk, IMAGE_PATH, title="pykexec")])
    return Machine(
        fw,
        variables=variables,
        cpus=2,
        disks=(Disk(disk.path),),
        tpm="tis",
        provisioned_tpm=True,
    )


def mib(size: int) -> str:
    """A size for people."""
    return f"{size / (1 << 20):.1f} MiB"
