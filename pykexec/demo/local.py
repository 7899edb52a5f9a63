# SPDX-License-Identifier: Apache-2.0
"""The main job from a disk: firmware, Linux, kexec, payload, second Linux."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pykexec import _freestanding
from pykexec.demo import local_stages
from pykexec.demo.run import (
    DemoResult,
    Observer,
    Steps,
    check_kernel,
    mib,
    result,
    run_machine,
)
from pykexec.errors import ToolError
from pykexec.image import Built, Recipe, build
from pykexec.vm import packages
from pykexec.vm.bootvars import boot_entry, write_boot_entries
from pykexec.vm.disk import Esp, Files, make_disk
from pykexec.vm.guest_os import Check, command_line, data_partition, initramfs
from pykexec.vm.kernels import Kernel, kernel
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.ovmf import Firmware, firmware

IMAGE_PATH = r"\EFI\pykexec\pykexec.efi"
PATHS = {"grub": r"\EFI\debian\grubx64.efi", "hello": r"\EFI\hello\hello.efi"}
_GRUB = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
_CSRC = Path(__file__).resolve().parents[2] / "csrc"

PayloadName = Literal["grub", "hello"]


def run_local_demo(
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
    stages = local_stages.stages(PATHS[payload], payload, os_kernel.release)
    end = "guest-shutdown" if payload == "grub" else None
    run = run_machine(machine, directory, stages, observer, end=end)
    return result([run], os_kernel, built)


def _image(directory: Path, os_kernel: Kernel, payload: PayloadName) -> Built:
    failure = "agent" if payload == "hello" else "boot-next"
    config = directory / "agent.toml"
    config.write_text(
        f"[payload]\npath = '{PATHS[payload]}'\n\n[failure]\naction = '{failure}'\n\n"
        "[agent]\nshell = true\n"
    )
    recipe = Recipe(kernel=os_kernel.image, modules=os_kernel.modules, config=config)
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
