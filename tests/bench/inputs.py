# SPDX-License-Identifier: Apache-2.0
"""The image, the disk and the machine that everything is measured with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from pykexec import _freestanding
from pykexec.efi import pe
from pykexec.image import Built, Recipe, build, interpreter
from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.run import run
from pykexec.vm.bootvars import BootEntry, boot_entry, write_boot_entries
from pykexec.vm.disk import DiskLayout, Esp, make_disk
from pykexec.vm.kernels import Kernel, kernel
from pykexec.vm.machine import DEFAULT_CPU, Disk, Machine
from pykexec.vm.ovmf import Firmware, firmware
from tests.vm import images

HELLO_PATH = r"\EFI\bench\hello.efi"
BLOCKREAD_PATH = r"\EFI\bench\blockread.efi"
IMAGE_PATH = r"\EFI\pykexec\pykexec.efi"
CMDLINE = DEFAULT_CMDLINE
_INSIDE = Path(__file__).parent / "inside"
_ESP_MIB = 160


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was built; plain is the image as users have it, the other one has our scripts too.

    tools is the directory of inside/*.c, compiled to need no library.
    """

    directory: Path
    firmware: Firmware
    kernel_name: str
    kernel: Kernel
    cpu: str
    plain: Built
    with_scripts: Path
    tools: Path

    @property
    def plain_initrd(self) -> bytes:
        """The initramfs of the plain image, as the kernel gets it."""
        section = pe.parse(self.plain.data, "image").section(".initrd")
        assert section is not None
        size = self.plain.section_sizes[".initrd"]
        return self.plain.data[section.file_offset : section.file_offset + size]

    def machine(self, name: str, disk: DiskLayout, entry: BootEntry, reboot: bool) -> Machine:
        """A machine with one disk and one boot entry, otherwise always the same."""
        variables = self.directory / f"{name}.fd"
        write_boot_entries(self.firmware.variables, variables, [entry])
        return Machine(
            self.firmware,
            variables=variables,
            cpu=self.cpu,
            disks=(Disk(disk.path, snapshot=True),),
            tpm="tis",
            provisioned_tpm=True,
            reboot=reboot,
        )


def prepare(directory: Path, kernel_name: str, ovmf: str, cpu: str = DEFAULT_CPU) -> Inputs:
    """Build everything from this tree."""
    directory.mkdir(parents=True, exist_ok=True)
    chosen = kernel(kernel_name)
    recipe = Recipe(
        kernel=chosen.image, modules=chosen.modules, stub=images.stub(), resume=images.resume()
    )
    plain = build(recipe)
    with_scripts = directory / "with-scripts.efi"
    tools = _tools(directory)
    added = replace(recipe, initrd_add=(_scripts(directory, tools),))
    with_scripts.write_bytes(build(added).data)
    return Inputs(directory, firmware(ovmf), kernel_name, chosen, cpu, plain, with_scripts, tools)


def bench_disk(inputs: Inputs) -> DiskLayout:
    """The disk with the image that has scripts, and the test applications."""
    blockread = inputs.directory / "blockread.efi"
    _freestanding.build_payload(images.CSRC, "blockread", blockread)
    files = {IMAGE_PATH: inputs.with_scripts, HELLO_PATH: images.hello(), BLOCKREAD_PATH: blockread}
    esp = Esp({on_disk(path): file for path, file in files.items()}, _ESP_MIB)
    return make_disk(inputs.directory / "bench.img", [esp])


def bench_machine(inputs: Inputs) -> Machine:
    """The machine that boots the image with scripts and may reset."""
    disk = bench_disk(inputs)
    return inputs.machine("bench", disk, boot_entry(disk, IMAGE_PATH, title="pykexec"), True)


def on_disk(path: str) -> str:
    """A firmware path as make_disk() has it."""
    return path.removeprefix("\\").replace("\\", "/")


def _tools(directory: Path) -> Path:
    tools = directory / "tools"
    tools.mkdir(exist_ok=True)
    flags = ["-std=gnu11", "-O2", "-static", "-Wall", "-Wextra", "-Werror"]
    includes = [f"-I{images.CSRC}", f"-I{images.CSRC / 'include'}"]
    for source in _INSIDE.glob("*.c"):
        run([*_freestanding.compiler(), *flags, *includes, "-o", tools / source.stem, source])
    return tools


def _scripts(directory: Path, tools: Path) -> Path:
    added = directory / "added"
    inside = added / "inside"
    inside.mkdir(parents=True, exist_ok=True)
    first_line = f"#!{interpreter.executable()} {interpreter.FLAGS}\n"
    for script in _INSIDE.glob("*.py"):
        (inside / script.stem).write_text(first_line + script.read_text())
        (inside / script.stem).chmod(0o755)
    for tool in tools.iterdir():
        shutil.copy(tool, inside)
    return added
