# SPDX-License-Identifier: Apache-2.0
"""Files that firmware with the package's own test key starts; each is signed once and kept."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
from pathlib import Path

from pykexec.image import SigningKey, assemble, cpio, interpreter
from pykexec.image.sign import sign
from pykexec.vm.ovmf import Firmware, snakeoil_key
from tests.vm import images

# Where equipment.py has them.
SIGNED_HELLO = r"\EFI\signed\hello.efi"
SIGNED_DRIVER = r"\EFI\signed\driver.efi"
_DRIVER_IN_IMAGE = interpreter.library_path("pykexec/data/ramdisk.efi").lstrip("/")
_DOORS_IN_IMAGE = interpreter.library_path("pykexec/guest/doors.pyc").lstrip("/")
_DOORS_LEFT_OPEN = b"def close_doors(): return []"


def signed(path: Path, firmware: Firmware) -> Path:
    """What path has in it, as firmware wants it."""
    data = path.read_bytes()

    def make(target: Path) -> None:
        target.write_bytes(sign(data, SigningKey(*snakeoil_key(firmware.version))))

    return images.kept(
        "signed", path.suffix, make, firmware.version, hashlib.sha256(data).hexdigest()
    )


def signed_image(
    firmware: Firmware,
    kernel: str = "6.1-cloud",
    defines: tuple[str, ...] = (),
    *,
    config: str = "",
    additions: tuple[Path, ...] = (),
    doors_open: bool = False,
) -> Path:
    """What `pykexec build` makes when it has a key: the driver for RAM disks is signed, too.

    doors_open is a negative control: PID 1 closes none.
    """
    files = {_DRIVER_IN_IMAGE: signed(images.ramdisk(), firmware).read_bytes()}
    if doors_open:
        files[_DOORS_IN_IMAGE] = _compiled(_DOORS_LEFT_OPEN)
    unsigned = images.image(kernel, config=config, defines=defines, additions=additions)

    def make(target: Path) -> None:
        parts = images.sections(unsigned)
        parts[".initrd"] += cpio.archive([cpio.file(name, data) for name, data in files.items()])
        stub = images.stub(defines).read_bytes()
        target.write_bytes(assemble.append_sections(stub, "stub", parts))

    key = (unsigned.name, firmware.version, *files)
    return signed(images.kept("with-driver", ".efi", make, *key), firmware)


def _compiled(source: bytes) -> bytes:
    """A .pyc that is not compared with its source (PEP 552), as interpreter.py makes them."""
    unchecked = (1).to_bytes(4, "little")
    code = marshal.dumps(compile(source, "test", "exec"))
    return importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source) + code
