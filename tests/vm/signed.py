# SPDX-License-Identifier: Apache-2.0
"""Files that firmware with the package's own test key starts; each is signed once and kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pykexec.image import SigningKey, assemble, cpio, interpreter
from pykexec.image.sign import sign
from pykexec.vm.ovmf import Firmware, snakeoil_key
from tests.vm import images

# Where equipment.py has them.
SIGNED_HELLO = r"\EFI\signed\hello.efi"
SIGNED_DRIVER = r"\EFI\signed\driver.efi"
_DRIVER_IN_IMAGE = interpreter.library_path("pykexec/data/ramdisk.efi").lstrip("/")


def signed(path: Path, firmware: Firmware) -> Path:
    """What path has in it, as firmware wants it."""
    data = path.read_bytes()

    def make(target: Path) -> None:
        target.write_bytes(sign(data, SigningKey(*snakeoil_key(firmware.version))))

    return images.kept(
        "signed", path.suffix, make, firmware.version, hashlib.sha256(data).hexdigest()
    )


def signed_image(
    firmware: Firmware, kernel: str = "6.1-cloud", defines: tuple[str, ...] = ()
) -> Path:
    """What `pykexec build` makes when it has a key: the driver for RAM disks is signed, too."""
    driver = signed(images.ramdisk(), firmware).read_bytes()
    unsigned = images.image(kernel, defines=defines)

    def make(target: Path) -> None:
        parts = images.sections(unsigned)
        parts[".initrd"] += cpio.archive([cpio.file(_DRIVER_IN_IMAGE, driver)])
        stub = images.stub(defines).read_bytes()
        target.write_bytes(assemble.append_sections(stub, "stub", parts))

    return signed(
        images.kept("with-driver", ".efi", make, unsigned.name, firmware.version), firmware
    )
