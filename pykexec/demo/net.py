# SPDX-License-Identifier: Apache-2.0
"""The main job without a disk: PXE brings our image, which fetches its payload over that NIC."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from pykexec.demo import net_stages
from pykexec.demo.lan import IMAGE, network, serve_images
from pykexec.demo.run import (
    DemoResult,
    Observer,
    Steps,
    check_kernel,
    mib,
    result,
    run_machine,
)
from pykexec.image import Built, Recipe, build
from pykexec.vm.grub import grub_image
from pykexec.vm.guest_os import command_line, initramfs
from pykexec.vm.kernels import Kernel, kernel
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import firmware

_PAYLOAD = "grub.efi"


def run_net_demo(
    directory: Path,
    *,
    ovmf: str = "2025.02",
    kernel_name: str = "6.1-cloud",
    observer: Observer | None = None,
) -> DemoResult:
    """Serve everything from directory, boot from the network, follow all stages.

    MissedStage if one does not come. console.log, pictures and what was served stay in directory.
    """
    check_kernel(kernel_name)
    directory = directory.absolute()
    served = directory / "served"
    served.mkdir(parents=True, exist_ok=True)
    observer = observer or Observer()
    steps = Steps(observer)
    fw, os_kernel = firmware(ovmf), kernel(kernel_name)
    steps.done(f"OVMF {ovmf} and Linux {os_kernel.release}, both as Debian ships them")
    built = _image(served, os_kernel)
    steps.done(f"image built, with no configuration of its own: {mib(len(built.data))}")
    with ExitStack() as stack:
        lan = network(stack)
        web = serve_images(stack, lan, directory, served)
        _fill(served, os_kernel, lan.host, web.web)
        steps.done(web.title)
        machine = Machine(fw, nic=web.nic, within=lan.within)
        stages = net_stages.stages(lan.host, web.web, os_kernel.release)
        run = run_machine(machine, directory, stages, observer)
    return result([run], os_kernel, built)


def _image(served: Path, os_kernel: Kernel) -> Built:
    built = build(Recipe(kernel=os_kernel.image, modules=os_kernel.modules))
    (served / IMAGE).write_bytes(built.data)
    return built


def _fill(served: Path, os_kernel: Kernel, host: str, web: str) -> None:
    """What the image finds beside it, and what its payload fetches."""
    (served / "agent.toml").write_text(
        f"[payload]\nurl = '{web}/{_PAYLOAD}'\n\n[failure]\naction = 'boot-next'\n"
    )
    # Ports change, and an image of GRUB is kept for each configuration: the rest is in grub.cfg.
    config = _GRUB.format(host=host)
    (served / _PAYLOAD).write_bytes(grub_image("2.12", config).read_bytes())
    (served / "grub.cfg").write_text(_grub_config(os_kernel, web))
    (served / "vmlinuz").write_bytes(os_kernel.image.read_bytes())
    (served / "initrd.img").write_bytes(initramfs(os_kernel).read_bytes())


_GRUB = """\
echo "PK:grub:start:0"
net_bootp
configfile (tftp,{host})/grub.cfg
"""


def _grub_config(os_kernel: Kernel, web: str) -> str:
    options = command_line("grub", ("memory", "efivar", "net", "screen"), screen=True)
    return f"""\
set timeout=2
set root={web.replace("://", ",")}
menuentry "Debian GNU/Linux, with Linux {os_kernel.release}, from the network" {{
linux /vmlinuz {options}
initrd /initrd.img
echo "PK:grub:linux:0"
boot
}}
"""
