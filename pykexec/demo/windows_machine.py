# SPDX-License-Identifier: Apache-2.0
"""The machine that Windows is on, but for Windows: a stand-in for its boot manager, a boot
configuration, and a volume that Windows 11 has encrypted.
"""

from __future__ import annotations

from pathlib import Path

from pykexec import _freestanding
from pykexec.demo.attest_image import ESP_LABEL
from pykexec.errors import ToolError
from pykexec.image import SigningKey
from pykexec.image.sign import sign
from pykexec.vm import hives, packages
from pykexec.vm.bootvars import boot_entry, write_boot_entries
from pykexec.vm.disk import DISK_GUID, DiskLayout, Esp, Raw, make_disk
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import Firmware

IMAGE_PATH = r"\EFI\pykexec\pykexec.efi"
MANAGER_PATH = r"\EFI\Microsoft\Boot\bootmgfw.efi"
# The boot manager's object is what Windows' own boot entry names.
_OPTIONS = f"BCDOBJECT={{{hives.BOOT_MANAGER}}} pcr11=zero show_ms=bb8"
PAYLOAD = f"""\
options = '{_OPTIONS}'

[windows]
on_mismatch = "fail"
"""
"""What agent.toml says of the stand-in, and what it is told."""
_LOADER = "Windows/system32/winload.efi"
_VOLUME = "bitlk-aes-xts-128-startup-key-win11.img"
_KEY, _OTHER_KEY = (
    f"{name}.BEK"
    for name in ("AA80A52B-9B66-47AE-B097-33F536FFBB07", "4381F759-C4F8-4DE0-BB61-FC33A831BDA5")
)
_CSRC = Path(__file__).resolve().parents[2] / "csrc"


def boot_manager(directory: Path, signing: SigningKey) -> bytes:
    """The stand-in, signed as Windows' own is by Microsoft; built in directory."""
    if not _CSRC.is_dir():
        raise ToolError("the stand-in for Windows is built from the source tree, which is not here")
    path = directory / "bootmgfw.efi"
    _freestanding.build_bootmgr(_CSRC, path)
    return sign(path.read_bytes(), signing)


def startup_key() -> bytes:
    """The .BEK file of the volume."""
    return bitlocker(_KEY).read_bytes()


def other_startup_key() -> bytes:
    """The one of another volume."""
    return bitlocker(_OTHER_KEY).read_bytes()


def make_machine(
    directory: Path, firmware: Firmware, disk: DiskLayout, nic: Nic, within: tuple[str, ...]
) -> Machine:
    """It starts our image from disk; its TPM's state is in directory. Its clock is right, for
    certificates.
    """
    variables = directory / "variables.fd"
    entry = boot_entry(disk, IMAGE_PATH, title="pykexec")
    write_boot_entries(firmware.variables, variables, [entry])
    return Machine(
        firmware,
        variables=variables,
        cpus=2,
        disks=(Disk(disk.path),),
        nic=nic,
        tpm="tis",
        tpm_directory=directory / "tpm",
        extra=("-rtc", "base=utc"),
        within=within,
    )


def windows_disk(path: Path, image: bytes, manager: bytes) -> DiskLayout:
    """Its ESP has our image, the boot manager and what that reads; beside it is the volume."""
    files: dict[str, bytes | Path] = {
        _on_disk(IMAGE_PATH): image,
        _on_disk(MANAGER_PATH): manager,
        "EFI/Microsoft/Boot/BCD": boot_configuration(),
        _LOADER: b"what Windows' loader would be, behind BitLocker",
    }
    return make_disk(path, [Esp(files, label=ESP_LABEL), Raw(bitlocker(_VOLUME))])


def boot_configuration() -> bytes:
    """A BCD whose Windows is the volume; its loader is on the ESP, since nobody here opens that."""
    esp, volume = str(Esp({}).guid), str(Raw(Path()).guid)
    tree = hives.bcd_tree(volume, str(DISK_GUID), esp)
    loader = tree.subkeys["Objects"].subkeys[f"{{{hives.LOADER}}}"].subkeys["Elements"]
    loader.subkeys["11000001"].values["Element"] = hives.partition_device(esp, str(DISK_GUID))
    return hives.hive(tree)


def bitlocker(name: str) -> Path:
    """One of the volumes that Windows made for cryptsetup's tests, or of their .BEK files."""
    return packages.fetch_archive(packages.BITLOCKER_IMAGES) / "bitlk-images" / name


def _on_disk(path: str) -> str:
    return path.removeprefix("\\").replace("\\", "/")
