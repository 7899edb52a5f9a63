# SPDX-License-Identifier: Apache-2.0
"""On a machine that was booted without us, exec says why it cannot, and BootNext still can."""

from __future__ import annotations

from pathlib import Path

from pykexec.image import cpio
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.disk import Esp, Files, make_disk
from pykexec.vm.kernels import kernel, load_order
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import Firmware
from tests.vm.boot import Boot
from tests.vm.guest import Guest, with_entries
from tests.vm.images import hello, image, sections

KERNEL = kernel("6.1-cloud")
MODULES = ("efivarfs", "virtio_pci", "virtio_blk", "vfat", "nls_cp437", "nls_ascii")
CMDLINE = r"initrd=\initrd.img console=ttyS0,115200 quiet"
PAYLOAD = "/esp/EFI/hello/hello.efi"


def initrd_with_disk() -> bytes:
    """Our initramfs, told to load the drivers of the disk and its file system as well."""
    modules = load_order(KERNEL, MODULES)
    entries = [cpio.file(f"lib/modules/{name}.ko", content, 0o644) for name, content in modules]
    paths = " ".join(f"/lib/modules/{name}.ko" for name, _ in modules)
    entries.append(cpio.file("etc/pykexec/modules", f"boot disk {paths}\n".encode()))
    return sections(image())[".initrd"] + cpio.archive(entries)


def test_boot_next_starts_what_kexec_cannot(boot: Boot, tmp_path: Path, firmware: Firmware) -> None:
    files: Files = {
        "vmlinuz": KERNEL.image,
        "initrd.img": initrd_with_disk(),
        "EFI/hello/hello.efi": hello(),
    }
    disk = make_disk(tmp_path / "disk.img", [Esp(files)])
    linux = boot_entry(disk, r"\vmlinuz", CMDLINE, title="Linux as usual")
    machine = with_entries(Machine(firmware, reboot=True), tmp_path, disk, [linux])
    guest = Guest(boot(machine)).ready()
    guest.ok("mkdir /esp && mount -t vfat /dev/vda1 /esp")

    assert "not under live boot services: " in guest.ok("pykexec status")
    refused = guest.run(f"pykexec exec {PAYLOAD}")
    assert refused.status == 8
    assert (
        "not started through pykexec's image" in refused.output
        and "--via boot-next" in refused.output
    )
    assert guest.ok("ls /sys/firmware/efi/efivars | grep -c BootNext || true") == "0"

    guest.send(f"pykexec exec {PAYLOAD} --via boot-next --options 'by BootNext'")
    guest.payload_ran("by BootNext")
