# SPDX-License-Identifier: Apache-2.0
"""The main job without a disk: PXE brings our image, which fetches its payload over that NIC."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.image import Built, Recipe, build
from pykexec.netboot import Settings, serve
from pykexec.vm import demo_net_stages
from pykexec.vm.demo_run import (
    CMDLINE,
    DemoResult,
    Observer,
    Steps,
    check_kernel,
    mib,
    result,
    run_machine,
)
from pykexec.vm.grub import grub_image
from pykexec.vm.guest_os import command_line, initramfs
from pykexec.vm.kernels import Kernel, kernel
from pykexec.vm.lan import TAP, Lan
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware

_SERVER = "10.77.0.1"
_PORT = 8080
_USER_SERVER = "10.0.2.2"  # this machine, as QEMU's user network shows it
_IMAGE = "pykexec.efi"
_PAYLOAD = "grub.efi"


@dataclass(frozen=True, slots=True)
class _Network:
    """Who serves, in words; where HTTP is to be had; the card; words in front of QEMU's own."""

    title: str
    host: str
    port: int
    nic: Nic
    within: tuple[str, ...] = ()

    @property
    def web(self) -> str:
        return f"http://{self.host}:{self.port}"


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
        network = _network(stack, directory, served)
        _fill(served, os_kernel, network)
        steps.done(network.title)
        machine = Machine(fw, nic=network.nic, within=network.within)
        stages = demo_net_stages.stages(network.host, network.web, os_kernel.release)
        run = run_machine(machine, directory, stages, observer)
    return result([run], os_kernel, built)


def _image(served: Path, os_kernel: Kernel) -> Built:
    built = build(Recipe(kernel=os_kernel.image, modules=os_kernel.modules, cmdline=CMDLINE))
    (served / _IMAGE).write_bytes(built.data)
    return built


def _network(stack: ExitStack, directory: Path, served: Path) -> _Network:
    """Ours with dnsmasq, where we may make one; else QEMU's, with DHCP and TFTP of its own."""
    try:
        lan = stack.enter_context(Lan([f"{_SERVER}/24"]))
        stack.enter_context(lan.serve(served, directory / "serve.log"))
    except ToolError as error:
        nic = Nic(tftp=served, bootfile=_IMAGE, bootindex=0)
        server = stack.enter_context(serve(Settings(served, http_port=0), lambda line: None))
        title = f"DHCP and TFTP by QEMU, only HTTP by `pykexec netboot serve`: {error}"
        return _Network(title, _USER_SERVER, server.http_port, nic)
    title = "DHCP, TFTP and HTTP by `pykexec netboot serve`, in a network of their own"
    return _Network(title, _SERVER, _PORT, Nic(tap=TAP, bootindex=0), lan.within)


def _fill(served: Path, os_kernel: Kernel, network: _Network) -> None:
    """What the image finds beside it, and what its payload fetches."""
    (served / "agent.toml").write_text(
        f"[payload]\nurl = '{network.web}/{_PAYLOAD}'\n\n[failure]\naction = 'boot-next'\n"
    )
    # Ports change, and an image of GRUB is kept for each configuration: the rest is in grub.cfg.
    config = _GRUB.format(host=network.host)
    (served / _PAYLOAD).write_bytes(grub_image("2.12", config).read_bytes())
    (served / "grub.cfg").write_text(_grub_config(os_kernel, network))
    (served / "vmlinuz").write_bytes(os_kernel.image.read_bytes())
    (served / "initrd.img").write_bytes(initramfs(os_kernel).read_bytes())


_GRUB = """\
echo "PK:grub:start:0"
net_bootp
configfile (tftp,{host})/grub.cfg
"""


def _grub_config(os_kernel: Kernel, network: _Network) -> str:
    options = command_line("grub", ("memory", "efivar", "net", "screen"), screen=True)
    return f"""\
set timeout=2
set root=http,{network.host}:{network.port}
menuentry "Debian GNU/Linux, with Linux {os_kernel.release}, from the network" {{
linux /vmlinuz {options}
initrd /initrd.img
echo "PK:grub:linux:0"
boot
}}
"""
