# SPDX-License-Identifier: Apache-2.0
"""Real EFI applications of Debian: how each is set up and what it prints when it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pykexec.vm import packages
from pykexec.vm.disk import Files
from pykexec.vm.grub import grub_image, linux_entry
from pykexec.vm.guest_os import command_line, initramfs
from pykexec.vm.kernels import Kernel, kernel
from pykexec.vm.machine import DEFAULT_CPU, Nic
from pykexec.vm.packages import SID, Package
from tests.vm.uki import make_uki

OS_SHOWS = "stock Linux 6.1 writes its disk and an EFI variable, powers off"


@dataclass(frozen=True, slots=True)
class Payload:
    r"""One application; files are made when needed, path is like \EFI\BOOT\BOOTX64.EFI.

    title and shows are the table's words for it and for what it does. proof are regular
    expressions for the serial console, in order. ends is what Vm.wait_exit() says then; None for
    one that never ends. The machine's second partition is guest_os.data_partition(). newest is what
    has another version on another day: the one that title and shows mean when they say "sid".
    """

    name: str
    title: str
    shows: str
    files: Callable[[], Files]
    path: str
    proof: tuple[str, ...]
    options: str = ""
    ends: str | None = "guest-shutdown"
    cpu: str = DEFAULT_CPU
    memory_mib: int = 1024
    tftp: tuple[tuple[str, bytes], ...] = ()
    bootfile: str | None = None
    newest: Package | None = None

    def nic(self, directory: Path) -> Nic | None:
        """The network card it needs, with what it fetches by TFTP placed in directory."""
        if not self.tftp:
            return None
        for name, content in self.tftp:
            (directory / name).write_bytes(content)
        return Nic(tftp=directory, bootfile=self.bootfile)


def _package(name: str, file: str) -> Path:
    return packages.fetch(packages.PAYLOADS[name]) / file


def _linux_files(kernel: Kernel) -> dict[str, bytes | Path]:
    return {"vmlinuz": kernel.image, "initrd.img": initramfs(kernel)}


def _os_proof(via: str, version: str = "6.1") -> tuple[str, ...]:
    return (
        r"^OS:UP [7-9]\." if version == SID else rf"^OS:UP {version}\.",
        f"^OS:VIA {via}$",
        "^OS:DISK .*wrote$",
        "^OS:EFIVAR",
        "^OS:DONE",
    )


def _linux(version: str, flavour: str = "cloud") -> Payload:
    return Payload(
        f"linux-{version}-{flavour}",
        f"Linux {version} (EFI stub)",
        OS_SHOWS.replace("6.1", version),
        lambda: _linux_files(kernel(f"{version}-{flavour}")),
        r"\vmlinuz",
        _os_proof("firmware", version),
        options=rf"initrd=\initrd.img {command_line()}",
    )


_GRUB_STANDALONE = """\
insmod part_gpt
insmod fat
echo "PK:grub:start:0"
search --no-floppy --file --set=root /greeting.txt
ls
cat ($root)/greeting.txt
lsefi
net_bootp
cat (tftp,10.0.2.2)/fetched.txt
echo "PK:grub:done:0"
reboot
"""


def _grub_standalone(version: str) -> Payload:
    return Payload(
        f"grub-{version}",
        f"GRUB {version}",
        "lists disks, reads files from disk and TFTP, lists EFI handles",
        lambda: {
            "EFI/grub/grubx64.efi": grub_image(version, _GRUB_STANDALONE),
            "greeting.txt": b"hello from the disk\n",
        },
        r"\EFI\grub\grubx64.efi",
        (
            "PK:grub:start:0",
            r"\(hd0,gpt1\)",
            "hello from the disk",
            "device path|device-path",
            "hello from the network",
            "PK:grub:done:0",
        ),
        ends="guest-reset",
        tftp=(("fetched.txt", b"hello from the network\n"),),
    )


def _debian_boot(via: str) -> dict[str, bytes | Path]:
    config = linux_entry(command_line(via))
    return {**_linux_files(kernel("6.1-cloud")), "EFI/debian/grub.cfg": config.encode()}


def _grub_signed(version: str) -> Payload:
    binary = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
    return Payload(
        f"grub-{version}-signed",
        f"GRUB {version}, signed by Debian",
        f"menu from the disk, {OS_SHOWS}",
        lambda: {
            **_debian_boot("grub"),
            "EFI/debian/grubx64.efi": _package(f"grub-{version}-signed", binary),
        },
        r"\EFI\debian\grubx64.efi",
        ("PK:grub:menu:0", r"\(hd0,gpt2\)", "PK:grub:linux:0", *_os_proof("grub")),
    )


def _shim_files() -> Files:
    grub = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
    return {
        **_debian_boot("shim"),
        "EFI/debian/shimx64.efi": _package("shim", "usr/lib/shim/shimx64.efi.signed"),
        "EFI/debian/mmx64.efi": _package("shim-helpers", "usr/lib/shim/mmx64.efi.signed"),
        "EFI/debian/grubx64.efi": _package("grub-2.06-signed", grub),
    }


def _systemd_boot(version: str) -> Payload:
    entry = f"""\
title second OS
linux /vmlinuz
initrd /initrd.img
options {command_line("systemd-boot")}
"""
    binary = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
    return Payload(
        f"systemd-boot-{version}",
        f"systemd-boot {version}",
        f"boot entry from the disk, {OS_SHOWS}",
        lambda: {
            **_linux_files(kernel("6.1-cloud")),
            "EFI/systemd/systemd-bootx64.efi": _package(f"systemd-boot-{version}", binary),
            "loader/loader.conf": b"timeout 0\ndefault os.conf\n",
            "loader/entries/os.conf": entry.encode(),
        },
        r"\EFI\systemd\systemd-bootx64.efi",
        _os_proof("systemd-boot"),
    )


def _uki(version: str) -> Payload:
    stub = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"

    def files() -> Files:
        os_kernel = kernel("6.1-cloud")
        package = _package(f"systemd-boot-{version}", stub)
        image = make_uki(package, os_kernel, initramfs(os_kernel), command_line("uki"))
        return {"EFI/Linux/os.efi": image}

    return Payload(
        f"uki-{version}",
        f"UKI with systemd-stub {version}",
        OS_SHOWS,
        files,
        r"\EFI\Linux\os.efi",
        _os_proof("uki"),
    )


def _refind(version: str) -> Payload:
    config = rf"""
timeout -1
textonly
use_nvram false
scanfor manual
default_selection 1
menuentry "second OS" {{
    loader \vmlinuz
    initrd \initrd.img
    options "{command_line("refind")}"
}}
"""
    return Payload(
        f"refind-{version}",
        f"rEFInd {version}",
        f"menu entry, {OS_SHOWS}",
        lambda: {
            **_linux_files(kernel("6.1-cloud")),
            "EFI/refind/refind_x64.efi": _package(
                f"refind-{version}", "usr/share/refind/refind/refind_x64.efi"
            ),
            "EFI/refind/refind.conf": config.encode(),
        },
        r"\EFI\refind\refind_x64.efi",
        _os_proof("refind"),
    )


_STARTUP_NSH = b"""\
@echo -off\r
fs0:\r
echo PK:shell:start:0\r
map\r
memmap\r
dh\r
type greeting.txt\r
echo PK:shell:done:0\r
reset -s\r
"""


def _efi_shell(name: str, version: str) -> Payload:
    return Payload(
        name,
        f"EFI shell {version}",
        "map, memmap, dh, reads a file, powers off",
        lambda: {
            "shellx64.efi": _package(name, "usr/share/efi-shell-x64/shellx64.efi"),
            "startup.nsh": _STARTUP_NSH,
            "greeting.txt": b"hello from the disk\r\n",
        },
        r"\shellx64.efi",
        (
            "PK:shell:start:0",
            "FS0:",
            "Conventional|BS_Code",
            "LoadedImage",
            "hello from the disk",
            "PK:shell:done:0",
        ),
        options="shellx64.efi -nointerrupt",
    )


_IPXE_SCRIPT = b"""\
#!ipxe
echo PK:ipxe:start:0
ifstat
imgfetch tftp://10.0.2.2/fetched.txt && echo PK:ipxe:fetched:0 || echo PK:ipxe:fetched:1
imgstat
echo PK:ipxe:done:0
poweroff
"""


def _ipxe(name: str, version: str) -> Payload:
    return Payload(
        name,
        f"iPXE {version}",
        "DHCP and TFTP over the firmware's SNP driver, powers off",
        lambda: {"ipxe.efi": _package(name, "usr/lib/ipxe/ipxe.efi")},
        r"\ipxe.efi",
        (
            "iPXE",
            "boot.ipxe",
            "PK:ipxe:start:0",
            "using SNP",
            "PK:ipxe:fetched:0",
            "PK:ipxe:done:0",
        ),
        tftp=(("boot.ipxe", _IPXE_SCRIPT), ("fetched.txt", b"hello from the network\n")),
        bootfile="boot.ipxe",
    )


def _memtest(version: str, package: str, file: str = "boot/memtest86+x64.efi") -> Payload:
    return Payload(
        f"memtest86+-{version}",
        f"memtest86+ {version}",
        "exits boot services and tests memory",
        lambda: {"memtest.efi": _package(package, file)},
        r"\memtest.efi",
        (r"Memtest86\+", "Testing"),
        options="console=ttyS0,115200 nosmp nobench",
        ends=None,
    )


def _xen(version: str) -> Payload:
    config = f"""\
[global]
default=os
[os]
options=console=com1 com1=115200,8n1 loglvl=all noreboot
kernel=vmlinuz {command_line("xen")} console=hvc0
ramdisk=initrd.img
"""
    return Payload(
        f"xen-{version}",
        f"Xen {version}",
        "reads its configuration, exits boot services, builds dom0",
        lambda: {
            **{f"EFI/xen/{name}": f for name, f in _linux_files(kernel("6.1-cloud")).items()},
            "EFI/xen/xen.efi": _package(f"xen-{version}", f"boot/xen-{version}-amd64.efi"),
            "EFI/xen/xen.cfg": config.encode(),
        },
        r"\EFI\xen\xen.efi",
        (rf"Xen version {version}", "EFI memory map", "Building a PV Dom0"),
        ends=None,  # dom0 faults or hangs under TCG
        cpu="qemu64,-cx16",
        memory_mib=1536,
    )


def _sid(payload: Payload, package: str) -> Payload:
    return replace(payload, newest=packages.PAYLOADS[package])


PAYLOADS = {
    payload.name: payload
    for payload in (
        _linux("6.1"),
        _linux("6.12"),
        _grub_standalone("2.06"),
        _grub_standalone("2.12"),
        _grub_signed("2.06"),
        _grub_signed("2.12"),
        Payload(
            "shim",
            "shim 16.1, GRUB 2.06",
            f"chain of loaders, {OS_SHOWS}",
            _shim_files,
            r"\EFI\debian\shimx64.efi",
            ("PK:grub:menu:0", "PK:grub:linux:0", *_os_proof("shim")),
        ),
        _systemd_boot("252"),
        _systemd_boot("257"),
        _uki("252"),
        _uki("257"),
        _refind("0.13"),
        _refind("0.14"),
        _efi_shell("efi-shell", "2025.02"),
        _ipxe("ipxe", "1.21.1"),
        _memtest("6.10", "memtest86+-6"),
        _memtest("7.20", "memtest86+-7"),
        _xen("4.17"),
        _xen("4.20"),
        replace(_linux(SID), newest=packages.KERNELS["sid-cloud"]),
        _sid(_grub_standalone(SID), "grub-sid-modules"),
        _sid(_grub_signed(SID), "grub-sid-modules"),
        _sid(_systemd_boot(SID), "systemd-boot-sid"),
        _sid(_uki(SID), "systemd-boot-sid"),
        _sid(_efi_shell("efi-shell-sid", SID), "efi-shell-sid"),
        _sid(_ipxe("ipxe-sid", SID), "ipxe-sid"),
        _sid(_memtest(SID, "memtest86+-sid", "boot/mt86+x64"), "memtest86+-sid"),
    )
}
