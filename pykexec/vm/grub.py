# SPDX-License-Identifier: Apache-2.0
"""GRUB as one EFI application with its modules and configuration inside."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from pykexec.run import run
from pykexec.vm import packages, tools

_MODULES = (
    *("normal", "part_gpt", "fat", "ext2", "search", "search_label", "configfile", "linux"),
    *("ls", "cat", "lsefi", "lsefimmap", "echo", "test", "sleep", "halt", "reboot", "serial"),
    *("efinet", "net", "tftp", "http", "memdisk", "tar", "read", "minicmd", "chain"),
)


def grub_image(version: str, config: str) -> Path:
    """An image of GRUB version (2.06, 2.12, sid) that runs config at once; made once for each."""
    root = packages.fetch(packages.PAYLOADS[f"grub-{version}-modules"])
    key = hashlib.sha256(f"{root.name}\0{config}".encode()).hexdigest()[:16]
    target = packages.cache_dir() / "grub" / f"grub-{version}-{key}.efi"
    if target.exists():
        return target
    tool = tools.command(packages.GRUB_TOOLS[version], "usr/bin/grub-mkimage")
    modules = root / "usr/lib/grub/x86_64-efi"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        embedded, image = Path(directory) / "grub.cfg", Path(directory) / "grub.efi"
        embedded.write_text(config)
        words = [*tool, "-O", "x86_64-efi", "-d", modules, "-c", embedded, "-p", "/EFI/grub"]
        run([*words, "-o", image, *_MODULES], timeout_s=60)
        image.rename(target)
    return target


def linux_entry(options: str, kernel: str = "/vmlinuz", initrd: str = "/initrd.img") -> str:
    """Configuration lines that list the disk and boot a kernel from the volume that holds it."""
    return f"""\
insmod part_gpt
insmod fat
search --no-floppy --file --set=root {kernel}
echo "PK:grub:menu:0"
ls
ls ($root)/
linux {kernel} {options}
initrd {initrd}
echo "PK:grub:linux:0"
boot
"""
