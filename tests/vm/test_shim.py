# SPDX-License-Identifier: Apache-2.0
"""Behind Debian's shim, on firmware with Microsoft's keys: shim, our image, shim, GRUB, Linux."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from pykexec.efi import pe
from pykexec.verify.claims import event_claims
from pykexec.verify.log import check_log
from pykexec.verify.report import Report
from pykexec.verify.secure_boot import secure_boot_claims
from pykexec.verify.shim import with_shim
from tests.vm.boot import Boot
from tests.vm.doors import KEXEC, attempts
from tests.vm.guest import Guest
from tests.vm.shim import (
    GRUB,
    GRUB_PATH,
    OURS,
    machine_behind_shim,
    owners_certificate,
    shim,
)
from tests.vm.signed import SIGNED_DRIVER, SIGNED_HELLO, signed_image

BANK = "sha256"
DEBIANS_KERNEL = r"\vmlinuz"
REFUSED = "shim serves LoadImage, and frees a driver while it is at work"


def check_measurements(guest: Guest, image: Path) -> None:
    """What shim has measured is understood: what was started, and whose key vouched for it."""
    found = guest.json("pykexec eventlog --json")
    pcrs = {int(number): bytes.fromhex(value) for number, value in found["tpm"][BANK].items()}
    log = guest.packed("pykexec eventlog --output /tmp/log && base64 /tmp/log")
    report = Report()
    proven = check_log(base64.b64decode(log), BANK, pcrs, report)
    assert report.verdict.findings == ()
    claims: Any = {**event_claims(proven), **with_shim(secure_boot_claims(proven), proven)}
    assert [each["variable"] for each in claims["authorities"]] == ["db", "MokListRT"]
    assert claims["authorities"][1]["sha256"] == sha256(owners_certificate())
    assert set(claims["shim"]["state"]) == {"SbatLevel"}
    enrolled = [each["name"] for each in claims["shim"]["enrolled"]]
    assert enrolled == ["MokList", "MokListX", "MokListTrusted"]
    started = [each["authenticode"][BANK] for each in claims["boot"]["applications"]]
    assert started == [authenticode(shim()), authenticode(image)]


def sha256(data: bytes) -> str:
    """A digest in hex."""
    return hashlib.sha256(data).hexdigest()


def authenticode(path: Path) -> str:
    """What LoadImage measures of a file."""
    data = path.read_bytes()
    return pe.authenticode_digest(data, pe.parse(data, str(path))).hex()


def test_the_chain_goes_on_through_us_and_shim(boot: Boot, tmp_path: Path) -> None:
    image = signed_image(OURS)
    guest = Guest(boot(machine_behind_shim(tmp_path, image), limit_s=400)).ready()
    assert "Secure Boot on" in guest.vm.console.text
    assert attempts(guest, DEBIANS_KERNEL)[KEXEC] == "EPERM"

    check_measurements(guest, image)
    refused = guest.run(f"pykexec load-driver '{SIGNED_DRIVER}'")
    assert (refused.status, REFUSED in refused.output) == (8, True), refused

    guest.send(f"pykexec exec '{SIGNED_HELLO}' --options 'through shim'")
    guest.payload_ran("through shim")
    guest.ready()
    guest.send(f"pykexec exec '{GRUB_PATH}'")
    for pattern in GRUB.proof:
        guest.vm.expect(pattern, within=120)
    assert guest.vm.wait_exit(60) == GRUB.ends


def test_without_what_is_ours_both_are_lost(boot: Boot, tmp_path: Path) -> None:
    image = signed_image(OURS, defines=("PK_TEST_NO_SHIM_CHECK",), doors_open=True)
    guest = Guest(boot(machine_behind_shim(tmp_path, image))).ready()
    assert attempts(guest, DEBIANS_KERNEL)[KEXEC] == "done"

    # A firmware that has no RAM disks gets ours, which is called when its memory is another's.
    guest.ok(f"pykexec load-driver '{SIGNED_DRIVER}' --options hide --no-connect")
    guest.ok("head -c 100000 /dev/urandom > /tmp/data")
    guest.send("pykexec ramdisk add /tmp/data")
    guest.vm.expect("X64 Exception Type", within=60, fatal=None)
