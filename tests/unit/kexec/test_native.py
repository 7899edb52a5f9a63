# SPDX-License-Identifier: Apache-2.0
"""What the kernel does by itself: read from files that stand for its bus, and told to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykexec.bridge.relation import Way, ways
from pykexec.efi import pe
from pykexec.errors import KexecError, PayloadRefusedError
from pykexec.firmware import native
from pykexec.firmware.native import Device
from pykexec.kexec import native as native_kexec
from pykexec.kexec.request import Payload

BLOCK_IO = "964e5b21-6459-11d2-8e39-00a0c969723b"
TCG2 = "607f766c-7455-42be-930b-e4d76db2720f"


def handle(
    root: Path, number: int, driver: str = "", protocols: str = "", devices: tuple[str, ...] = ()
) -> None:
    """A handle on the bus below root, as sysfs shows it; devices are like "block/efiblk0"."""
    real = root / f"devices/efi-bootsvc/handle{number}"
    for name in devices:
        (real / name).mkdir(parents=True)
    real.mkdir(parents=True, exist_ok=True)
    (real / "protocols").write_text(protocols)
    links = root / "bus/efi-bootsvc/devices"
    links.mkdir(parents=True, exist_ok=True)
    (links / f"handle{number}").symlink_to(f"../../../devices/efi-bootsvc/handle{number}")
    if driver:
        (root / "bus/efi-bootsvc/drivers" / driver).mkdir(parents=True, exist_ok=True)
        (root / "bus/efi-bootsvc/drivers" / driver / "unbind").touch()
        (real / "driver").symlink_to(f"../../../bus/efi-bootsvc/drivers/{driver}")


@pytest.fixture
def sysfs(tmp_path: Path) -> str:
    """A disk, a NIC and a TPM with drivers; handles without, and of a driver without a device."""
    handle(tmp_path, 12, "efiblk", f"{BLOCK_IO}\n", ("block/efiblk0/efiblk0p1", "power"))
    handle(tmp_path, 3, "efisnp", "", ("net/eth0",))
    handle(tmp_path, 7, "tpm_efi_tcg2", f"{TCG2}\n", ("tpm/tpm0", "tpmrm/tpmrm0"))
    handle(tmp_path, 8, "", f"{BLOCK_IO}\n")
    handle(tmp_path, 9, "efisnp")
    return str(tmp_path)


def test_devices_are_those_that_drivers_made_of_handles(sysfs: str) -> None:
    assert native.is_there(sysfs)
    assert native.handles(sysfs) == [3, 7, 8, 9, 12]
    assert native.devices(sysfs) == [
        Device(3, "efisnp", "net", ("eth0",)),
        Device(7, "tpm_efi_tcg2", "tpm", ("tpm0", "tpmrm0")),
        Device(12, "efiblk", "block", ("efiblk0",)),
    ]
    assert native.device(8, sysfs) is None


def test_nodes_are_paths_and_interfaces_are_names() -> None:
    assert Device(7, "d", "tpm", ("tpm0", "tpmrm0")).nodes == ("/dev/tpm0", "/dev/tpmrm0")
    assert Device(3, "d", "net", ("eth0",)).nodes == ("eth0",)


def test_a_handle_is_found_by_its_protocol(sysfs: str) -> None:
    assert native.with_protocol(TCG2, sysfs) == [7]
    assert native.with_protocol(BLOCK_IO, sysfs) == [8, 12]


def test_a_stock_kernel_has_no_such_bus(tmp_path: Path) -> None:
    assert not native.is_there(str(tmp_path))
    assert native.devices(str(tmp_path)) == []
    native.rescan(str(tmp_path))
    native.bind(3, str(tmp_path))
    native.unbind(3, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_bus_without_handles_is_none(tmp_path: Path) -> None:
    (tmp_path / "bus/efi-bootsvc/devices").mkdir(parents=True)
    assert not native.is_there(str(tmp_path))


def test_the_bus_is_told_what_to_do(sysfs: str) -> None:
    for name in ("rescan", "drivers_probe"):
        Path(sysfs, "bus/efi-bootsvc", name).touch()
    native.rescan(sysfs)
    native.bind(8, sysfs)
    native.unbind(12, sysfs)
    assert Path(sysfs, "bus/efi-bootsvc/rescan").read_text() == "1"
    assert Path(sysfs, "bus/efi-bootsvc/drivers_probe").read_text() == "handle8"
    assert Path(sysfs, "bus/efi-bootsvc/drivers/efiblk/unbind").read_text() == "handle12"


def test_what_the_configuration_does_not_want_is_not_used(tmp_path: Path) -> None:
    off = str(tmp_path / "run/native-off")
    assert native.is_allowed(off)
    native.allow(False, off)
    assert not native.is_allowed(off)
    native.allow(True, off)
    native.allow(True, off)
    assert native.is_allowed(off)


def test_every_device_is_said_once_with_its_way(sysfs: str) -> None:
    disk = {"kind": "block", "name": "disk-1", "handle": 12, "node": "/dev/efiblk0"}
    bridge = {"kind": "block", "name": "disk-2", "handle": 8, "node": "/dev/nbd0", "by": "window"}
    found = ways([disk | {"by": "native", "driver": "efiblk"}, bridge], native.devices(sysfs))
    assert found == [
        Way("disk-1", "block", 12, "efiblk", ("/dev/efiblk0",)),
        Way("disk-2", "block", 8, "", ("/dev/nbd0",)),
        Way("handle3", "net", 3, "efisnp", ("eth0",)),
        Way("handle7", "tpm", 7, "tpm_efi_tcg2", ("/dev/tpm0", "/dev/tpmrm0")),
    ]
    assert [way.native for way in found] == [True, False, True, True]


def payload(data: bytes) -> Payload:
    fd = os.memfd_create("test")
    os.write(fd, data)
    return Payload("a.efi", fd, len(data))


def answer(monkeypatch: pytest.MonkeyPatch, code: int) -> list[tuple[object, ...]]:
    """Have a kernel with the bus answer kexec_file_load() with code; what it was called with."""
    calls: list[tuple[object, ...]] = []

    class Kernel:
        KEXEC_FILE_NO_INITRAMFS = 4

        def pk_kexec_file_load(self, *words: object) -> int:
            calls.append(words)
            return -code

    monkeypatch.setattr(native_kexec, "lib", Kernel())
    monkeypatch.setattr(native, "is_there", lambda: True)
    return calls


def test_the_application_is_loaded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer(monkeypatch, 0)
    application = payload(b"MZ" + bytes(1000))
    assert native_kexec.load(application, "x=1")
    assert calls == [(application.fd, -1, b"x=1", 4)]


def test_a_kernel_that_knows_no_applications_leaves_it_to_the_resume_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, 8)  # ENOEXEC
    assert not native_kexec.load(payload(b"MZ"), "")
    assert not native_kexec.takes_applications()


def test_a_linux_kernel_is_not_taken_for_an_application(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer(monkeypatch, 0)
    kernel = payload(b"MZ".ljust(0x202, b"\0") + b"HdrS" + bytes(1000))
    assert not native_kexec.load(kernel, "")
    assert calls == []


# EPERM, EINVAL, ENODATA, EBADMSG, ELIBBAD, ENOKEY, EKEYREJECTED
@pytest.mark.parametrize("code", [1, 22, 61, 74, 80, 126, 129])
def test_what_the_kernel_checked_and_refused_is_tried_no_other_way(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, code)
    with pytest.raises(PayloadRefusedError) as caught:
        native_kexec.load(payload(b"MZ"), "")
    assert (caught.value.errno, caught.value.filename) == (code, "a.efi")


def test_a_kernel_that_has_no_room_says_nothing_of_the_payload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, 12)  # ENOMEM
    with pytest.raises(KexecError) as caught:
        native_kexec.load(payload(b"MZ"), "")
    assert not isinstance(caught.value, PayloadRefusedError)


def test_asking_gives_headers_that_are_recognised_and_can_never_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = answer(monkeypatch, 9)  # EBADF
    assert native_kexec.takes_applications()
    ((_, initrd, _, flags),) = calls
    assert (initrd, flags) == (-1, 0)
    image = pe.parse(native_kexec._headers(), "headers")
    assert (image.machine, image.subsystem) == (pe.MACHINE_AMD64, pe.SUBSYSTEM_EFI_APPLICATION)
