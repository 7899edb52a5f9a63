# SPDX-License-Identifier: Apache-2.0
"""Under Secure Boot the firmware verifies and measures what Linux has it load, RAM disks or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pykexec.efi import pe
from pykexec.image import SigningKey, assemble, cpio, interpreter
from pykexec.image.sign import sign
from pykexec.vm import ovmf
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.test_ramdisk import IMAGE, LABEL, volume_image

FIRMWARE = ovmf.firmware("2025.02", "snakeoil")
REFUSAL = "refused by LoadImage: Permission denied (EFI_ACCESS_DENIED); Secure Boot is on"
ACCESS_DENIED = 0x800000000000000F
DRIVER_PCR = 2  # TCG PC Client Platform Firmware Profile, 3.3.4.3
SIGNED = r"'\EFI\signed.efi'"


def signed(data: bytes) -> bytes:
    """data as the firmware wants it."""
    return sign(data, SigningKey(*ovmf.snakeoil_key(FIRMWARE.version)))


def image_with_signed_driver(directory: Path) -> Path:
    """What `pykexec build` makes when it has a key."""
    parts = images.sections(images.image())
    name = interpreter.library_path("pykexec/data/ramdisk.efi").lstrip("/")
    parts[".initrd"] += cpio.archive([cpio.file(name, signed(images.ramdisk().read_bytes()))])
    path = directory / "pykexec.efi"
    stub = images.stub().read_bytes()
    path.write_bytes(signed(assemble.append_sections(stub, "stub", parts)))
    return path


def measured(guest: Guest, digest: bytes) -> list[Any]:
    """The events of drivers with this digest."""
    events = guest.json("pykexec eventlog --json")["events"]
    return [event for event in events if event["pcr"] == DRIVER_PCR and digest.hex() in str(event)]


def test_only_signed_code_runs_and_it_is_measured(boot: Boot, tmp_path: Path) -> None:
    driver = signed(images.driver().read_bytes())
    digest = pe.authenticode_digest(driver, pe.parse(driver, "driver"))
    files: dict[str, bytes | Path] = {
        "EFI/signed.efi": driver,
        "ramdisk.img": volume_image(tmp_path),
    }
    machine = machine_with(
        tmp_path, FIRMWARE, image_with_signed_driver(tmp_path), files=files, tpm="tis"
    )
    guest = Guest(boot(machine)).ready()

    refused = guest.run("pykexec load-driver /inside/driver.efi")
    assert (refused.status, REFUSAL in refused.output) == (8, True), refused
    assert "pykexec_test" not in guest.ok("pykexec devices --all")
    assert measured(guest, digest) == []
    guest.ok(f"pykexec load-driver {SIGNED}")
    assert "pykexec_test" in guest.ok("pykexec devices --all")
    assert len(measured(guest, digest)) == 1

    # Our own RAM disk driver passes, because it is signed as the image is.
    guest.ok(f"pykexec load-driver {SIGNED} --options hide --no-connect")
    guest.ok(f"pykexec ramdisk add '{IMAGE}'")

    # A disk that root has made is no way around the firmware's verification.
    guest.send(rf"pykexec exec '\hello.efi' --volume {LABEL}")
    guest.vm.expect_stage("stub", "load", ACCESS_DENIED, within=60)
    guest.ready()
    assert "PK:payload:started" not in guest.vm.console.text
