# SPDX-License-Identifier: Apache-2.0
"""/dev/efi-bootsvc of the patched kernel: RAM disks, and images that the firmware starts."""

from __future__ import annotations

from pathlib import Path

from pykexec.efi import pe
from pykexec.image import SigningKey
from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.image.sign import sign
from pykexec.vm import ovmf
from tests.kernel.native import KERNEL, MARKS
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.equipment import LABEL, volume
from tests.vm.guest import Guest, machine_with

pytestmark = MARKS

SIZE_SECTORS = 2049
DEVICE_ERROR, ACCESS_DENIED, ABORTED = 0x8000000000000007, 0x800000000000000F, 0x8000000000000015
OURS = "pykexec_test"
DISKS = "/sys/bus/efi-bootsvc/devices/handle{handle}"
REFUSED = {
    "no such ioctl": "ENOTTY",
    "of another size": "ENOTTY",
    "nothing behind the pointer": "EFAULT",
    **dict.fromkeys(
        ("empty", "half a block", "unknown type", "unknown flag", "registered by flag"), "EINVAL"
    ),
    "all of memory": "ENOMEM",
    **dict.fromkeys(
        ("remove an unknown one", "register number 0", "write to an unknown one", "remove twice"),
        "ENODEV",
    ),
    **dict.fromkeys(("beyond the end", "across the end", "around the end", "reserved"), "EINVAL"),
    **dict.fromkeys(("from nowhere", "much from nowhere", "list to nowhere"), "EFAULT"),
    "list reserved": "EINVAL",
    "write after it is a disk": "EACCES",
    "start a device": "EINVAL",
    "start nothing": "EBADF",
    "start with a flag": "EINVAL",
    "start from nowhere": "EFAULT",
    **dict.fromkeys(
        ("path too long", "options too long", "path is none", "options have no end"), "EINVAL"
    ),
}


def signed(data: bytes, firmware: ovmf.Firmware) -> bytes:
    """data with a signature that both the firmware and the kernel's platform keyring accept."""
    return sign(data, SigningKey(*ovmf.snakeoil_key(firmware.version)))


def tampered(data: bytes) -> bytes:
    """One bit of the code is another."""
    section = pe.parse(data, "driver").section(".text")
    assert section
    at = section.file_offset
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def added(directory: Path, files: dict[str, bytes]) -> Path:
    """A directory for an initramfs, with files in /inside."""
    for name, content in files.items():
        path = directory / "added" / "inside" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory / "added"


def test_ram_disks_and_images(boot: Boot, tmp_path: Path) -> None:
    more = added(tmp_path, {"volume.img": volume().read_bytes()})
    built = images.image(KERNEL, additions=(more,))
    guest = Guest(boot(machine_with(tmp_path, ovmf.firmware("2022.11"), built))).ready()

    # The bridges' supervisor may not have come to it yet.
    guest.run("insmod $(find /lib/modules -name 'efiblk.*')")
    assert guest.script("chardev", "nobody") == "EPERM"
    found = guest.script("chardev", "attacks")
    assert {name: found[name] for name in REFUSED} == REFUSED
    assert (found["to the last byte"], found["list without room"], found["left"]) == (None, [], [])
    assert (found["register"], found["register twice"]) == (True, "EINVAL")
    assert found["start no image"]["started"] == 0

    # What Linux fills is a disk of the firmware and of Linux, until it is removed.
    guest.ok(f"head -c {SIZE_SECTORS * 512} /dev/urandom >/tmp/data")
    disk = guest.script("chardev", "add", "/tmp/data")
    node = DISKS.format(handle=disk["handle"])
    block = guest.ok(f"ls {node}/block")
    assert guest.ok(f"cat /sys/class/block/{block}/size") == str(SIZE_SECTORS)
    guest.ok(f"cmp /tmp/data /dev/{block}")
    (row,) = guest.json("pykexec ramdisk list --json")
    assert (row["number"], row["handle"]) == (disk["ramdisk"], disk["handle"])
    (listed,) = guest.script("chardev", "list")
    assert listed == {**disk, "size": SIZE_SECTORS * 512, "flags": 2}
    guest.script("chardev", "remove", disk["ramdisk"])
    assert guest.run(f"test -e {node} -o -e /dev/{block}").status == 1

    # A driver stays, and what it installed is on the bus at once; an application returns.
    assert OURS not in guest.ok("pykexec devices --all")
    assert guest.script("chardev", "start", "/inside/driver.efi") == {"status": 0, "started": 1}
    assert OURS in guest.ok("pykexec devices --all")
    refusing = guest.script("chardev", "start", "/inside/driver.efi", "refuse")
    assert refusing == {"status": DEVICE_ERROR, "started": 1}
    guest.send(f"/inside/chardev start /inside/hello.efi aside exit={ABORTED:x} >/tmp/answer")
    guest.vm.expect(f"PK:payload:options:aside exit={ABORTED:x}\n", within=60)
    guest.prompt(within=60)
    assert guest.json("cat /tmp/answer") == {"status": ABORTED, "started": 1}

    # The payload is on such a disk.
    guest.script("chardev", "add", "/inside/volume.img")
    guest.send(rf"pykexec exec '\hello.efi' --volume {LABEL} --options 'from memory'")
    guest.payload_ran("from memory")
    guest.ready()
    assert guest.firmware_is_the_same()


def test_a_locked_down_kernel_has_only_signed_images_started(boot: Boot, tmp_path: Path) -> None:
    firmware = ovmf.firmware("2025.02", "snakeoil")
    driver = signed(images.driver().read_bytes(), firmware)
    files = added(tmp_path, {"signed.efi": driver, "tampered.efi": tampered(driver)})
    built = tmp_path / "pykexec.efi"
    cmdline = f"{DEFAULT_CMDLINE} lockdown=integrity"
    whole = images.image(KERNEL, cmdline=cmdline, additions=(files,))
    built.write_bytes(signed(whole.read_bytes(), firmware))
    guest = Guest(boot(machine_with(tmp_path, firmware, built))).ready()

    for name in ("driver.efi", "tampered.efi"):
        assert guest.script("chardev", "start", f"/inside/{name}") == "EPERM"
    assert OURS not in guest.ok("pykexec devices --all")
    assert guest.script("chardev", "start", "/inside/signed.efi") == {"status": 0, "started": 1}
    assert OURS in guest.ok("pykexec devices --all")
    # As kexec is: not after it was disabled.
    guest.ok("echo 1 >/proc/sys/kernel/kexec_load_disabled")
    assert guest.script("chardev", "start", "/inside/signed.efi") == "EPERM"


def test_an_open_kernel_leaves_it_to_the_firmware(boot: Boot, tmp_path: Path) -> None:
    firmware = ovmf.firmware("2025.02", "snakeoil")
    built = tmp_path / "pykexec.efi"
    built.write_bytes(signed(images.image(KERNEL).read_bytes(), firmware))
    guest = Guest(boot(machine_with(tmp_path, firmware, built))).ready()
    refused = guest.script("chardev", "start", "/inside/driver.efi")
    assert refused == {"status": ACCESS_DENIED, "started": 0}
    assert OURS not in guest.ok("pykexec devices --all")
