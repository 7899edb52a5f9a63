# SPDX-License-Identifier: Apache-2.0
"""Machines as they are sold: Microsoft's keys in db, a distribution's shim, and our key as that of
the machine's owner (MOK).
"""

from __future__ import annotations

import ssl
import struct
import uuid
from dataclasses import replace
from pathlib import Path

from pykexec.efi.guid import Guid
from pykexec.efi.secure_boot import SHIM_LOCK
from pykexec.vm import ovmf, packages
from pykexec.vm.bootvars import add_variables
from pykexec.vm.machine import Machine
from tests.vm.direct import payload_machine
from tests.vm.equipment import MODULE_PATH, NON_VOLATILE_BOOT_ONLY, module
from tests.vm.guest import HELLO_PATH
from tests.vm.images import driver, hello
from tests.vm.payloads import PAYLOADS
from tests.vm.signed import SIGNED_DRIVER, SIGNED_HELLO, signed

OURS = ovmf.firmware("2025.02", "snakeoil")
"""Whose key signs what is ours; no db has it here."""
FIRMWARE = ovmf.firmware("2025.02", "ms")
GRUB = PAYLOADS["grub-2.12-signed"]
GRUB_PATH = r"\EFI\grub\grubx64.efi"
SHIM_PATH = r"\EFI\debian\shimx64.efi"
SECOND_SHIM = r"\EFI\second\shimx64.efi"
"""Beside it lies GRUB under the name that shim looks for."""
UKI = PAYLOADS["uki-257"]
_X509 = Guid.parse("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")  # UEFI 2.10, 32.4.1
_OWNER = uuid.UUID(int=9)


def owners_certificate() -> bytes:
    """The certificate (DER) that is enrolled."""
    _, certificate = ovmf.snakeoil_key(OURS.version)
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


def _owners_list() -> bytes:
    """MokList: EFI_SIGNATURE_LIST with that certificate (UEFI 2.10, 32.4.1)."""
    entry = _OWNER.bytes_le + owners_certificate()
    return _X509.data + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry


def shim() -> Path:
    """Debian's, signed by Microsoft."""
    return packages.fetch(packages.PAYLOADS["shim"]) / "usr/lib/shim/shimx64.efi.signed"


def chain(image: Path) -> dict[str, bytes | Path]:
    """Files by which the firmware starts shim, at SHIM_PATH, and shim image in GRUB's place."""
    return _named({SHIM_PATH: shim(), GRUB.path: image})


def _named(files: dict[str, bytes | Path]) -> dict[str, bytes | Path]:
    return {name[1:].replace("\\", "/"): content for name, content in files.items()}


def machine_behind_shim(directory: Path, image: Path) -> Machine:
    """Its boot entry is shim, which starts image; with a TPM, and payloads."""
    files = dict(GRUB.files())
    grub = files.pop(GRUB.path[1:].replace("\\", "/"))
    (uki,) = UKI.files().values()
    assert isinstance(uki, Path)
    ours = {
        GRUB_PATH: grub,
        SECOND_SHIM: shim(),
        SECOND_SHIM.replace("shim", "grub"): grub,
        UKI.path: signed(uki, OURS),
        HELLO_PATH: hello(),
        SIGNED_HELLO: signed(hello(), OURS),
        SIGNED_DRIVER: signed(driver(), OURS),
        MODULE_PATH: module(),
    }
    files |= {**chain(image), **_named(ours)}
    return enrolled(
        replace(payload_machine(GRUB, FIRMWARE, directory, files, SHIM_PATH), tpm="tis")
    )


def enrolled(machine: Machine) -> Machine:
    """The machine, whose owner has enrolled our key, as MokManager does."""
    assert machine.variables
    store = add_variables(
        machine.variables.read_bytes(),
        {"MokList": _owners_list()},
        vendor=uuid.UUID(bytes_le=SHIM_LOCK.data),
        attributes=NON_VOLATILE_BOOT_ONLY,
    )
    machine.variables.write_bytes(store)
    return machine
