# SPDX-License-Identifier: Apache-2.0
"""dom0's initramfs: Debian's toolstack as packaged, the libraries that it needs, our Python, and
what this launch is held against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pykexec.errors import FormatError
from pykexec.image import cpio, elf, files, interpreter
from pykexec.image.initrd import module_entries, script
from pykexec.image.modules import Module
from pykexec.launch.dom0 import settings

PROGRAM = "pykexec.launch.dom0.init"
PROGRAMS = (
    "usr/lib/xen-*/bin/xl",
    "usr/lib/xen-*/bin/xenstored",
    "usr/lib/xen-*/bin/xenconsoled",
    "usr/lib/xen-*/bin/xen-init-dom0",
    "usr/bin/xenstore-read",
    "usr/bin/xenstore-write",
    "usr/bin/swtpm",
    "usr/bin/busybox",
)
"""Where Debian has them; which release's Xen it is is said by the first that is found."""
BIN = "usr/lib/pykexec/bin"
"""Where they lie in dom0, whatever their release."""
MODULES = ("xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "xen-pciback")
"""What of Xen's distributions build as modules, loaded at boot."""
OPTIONAL = ("tpm_tis", "tpm_crb", "xen-blkback", "xen-acpi-processor", "virtio_pci", "virtio_blk",
            "ahci", "sd_mod", "nvme", "dm_crypt")  # fmt: skip
"""Of those what the kernel has: the TPM, the disk with the hidden partition."""
SIZE_MAX = 40 << 20
"""Bytes that dom0's initramfs may have, packed."""
_FOLDERS = ("dev", "proc", "sys", "run", "tmp", "root", "var/log/xen", "var/lib/xen", "etc/xen")
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_XL_CONF = b'autoballoon="off"\n'
# What libxl runs for a disk (xen-block-hotplug): it tells the kernel's backend which device it is.
_BLOCK = b"""\
#!/bin/sh
[ "$1" = add ] || exit 0
device=$(xenstore-read "$XENBUS_PATH/params") &&
numbers=$(busybox stat -L -c %t:%T "$device") &&
xenstore-write "$XENBUS_PATH/physical-device" "$numbers" "$XENBUS_PATH/hotplug-status" connected
"""


def find(roots: Sequence[Path], pattern: str) -> Path:
    """The first of roots' files of that name; FormatError where none has it."""
    for root in roots:
        if found := [path for path in sorted(root.glob(pattern)) if path.is_file()]:
            return found[-1]
    where = ", ".join(map(str, roots))
    raise FormatError(f"{pattern}: in none of {where} (dom0.roots); Debian has it in a package")


def programs(roots: Sequence[Path]) -> Iterator[cpio.Entry]:
    """dom0's programs and all libraries that they need. This machine's come first: Python needs
    those, and one C library is enough.
    """
    found = {Path(pattern).name: find(roots, pattern) for pattern in PROGRAMS}
    objects = [elf.Object(path, f"/{BIN}/{name}") for name, path in found.items()]
    more = [root / folder for root in roots for folder in _LIBRARIES]
    for target, path in elf.closure(objects, more=more).items():
        yield cpio.file(target, files.read(path), 0o755, origin=path)
    yield cpio.link("bin/sh", f"/{BIN}/busybox")
    yield cpio.link("var/run", "/run")


def compose(
    roots: Sequence[Path],
    modules: Mapping[str, Sequence[Module]],
    release: str,
    held: settings.Settings,
    pack: Callable[[bytes], bytes],
) -> tuple[bytes, int]:
    """The initramfs, and its size before it was packed; FormatError where it is too large.

    modules are those of MODULES and OPTIONAL, by name, for the kernel of that release.
    """
    by_path = {
        f"lib/modules/{release}/{module.name}.ko": module
        for order in modules.values()
        for module in order
    }
    entries = [
        *map(cpio.directory, _FOLDERS),
        cpio.character_device("dev/console", 5, 1),
        cpio.file(settings.PATH, held.encode()),
        cpio.file("etc/xen/xl.conf", _XL_CONF),
        cpio.file("etc/xen/scripts/block", _BLOCK, 0o755),
        cpio.file("init", script(PROGRAM), 0o755),
        *module_entries(by_path, modules, list(modules)),
    ]
    archive = cpio.archive(_once([*entries, *programs(roots), *interpreter.entries(PROGRAM)]))
    packed = pack(archive)
    if len(packed) > SIZE_MAX:
        raise FormatError(f"dom0's initramfs has {len(packed)} bytes, at most {SIZE_MAX} are taken")
    return packed, len(archive)


def _once(entries: Iterable[cpio.Entry]) -> list[cpio.Entry]:
    """A library that Python and Xen's programs need came twice, from the same place."""
    return list({(entry.path, entry.data): entry for entry in entries}.values())
