# SPDX-License-Identifier: Apache-2.0
"""Machines as they are sold: Microsoft's keys, Debian's shim, our image, and what it starts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pykexec.demo.attest_keys import make_tls
from pykexec.demo.attest_server import choose_port, enrol, server
from pykexec.efi import authenticode, pe
from pykexec.kexec.ramdisk import SHAPES
from pykexec.verify.claims import event_claims
from pykexec.verify.log import check_log
from pykexec.verify.report import Report
from pykexec.verify.secure_boot import secure_boot_claims
from pykexec.verify.shim import with_shim
from pykexec.vm import swtpm
from pykexec.vm.luks import VOLUME_UUID
from pykexec.vm.machine import Nic
from tests.vm.boot import Boot
from tests.vm.direct import expect_proof
from tests.vm.doors import KEXEC, attempts
from tests.vm.guest import HELLO_PATH, Guest
from tests.vm.payloads import Payload
from tests.vm.shim import (
    FIRMWARE,
    GRUB,
    GRUB_PATH,
    OURS,
    SECOND_SHIM,
    SHIM_PATH,
    UKI,
    chain,
    enrolled,
    machine_behind_shim,
    owners_certificate,
    shim,
)
from tests.vm.signed import SIGNED_DRIVER, SIGNED_HELLO, signed, signed_image
from tests.vm.test_attest import KEY, USER, config
from tests.vm.test_windows import add_keys, start
from tests.vm.test_windows import machine as windows_machine
from tests.vm.windows import PATH, bootmgr, expect_steps, windows_disk

BANK = "sha256"
DEBIANS_KERNEL = r"\vmlinuz"
STARTED = (SIGNED_HELLO, GRUB_PATH, SECOND_SHIM, UKI.path)
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
    assert started == [digest_of(shim()), digest_of(image)]


def sha256(data: bytes) -> str:
    """A digest in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str:
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
    assert {path: foreseen(guest, path) for path in (HELLO_PATH, *STARTED)} == {
        HELLO_PATH: "has no signature, and is not in db, or enrolled by the machine's owner",
        **dict.fromkeys(STARTED, ""),
    }

    guest.send(f"pykexec exec '{SIGNED_HELLO}' --options 'through shim'")
    guest.payload_ran("through shim")
    guest.ready()
    guest.send(f"pykexec exec '{GRUB_PATH}'")
    for pattern in GRUB.proof:
        guest.vm.expect(pattern, within=120)
    assert guest.vm.wait_exit(60) == GRUB.ends


def foreseen(guest: Guest, path: str) -> str:
    """What is said of shim's LoadImage before Linux ends; nothing is started."""
    output = guest.run(f"pykexec exec '{path}' --load-only").output
    said = re.search(r"^pykexec: .*: shim is going to refuse it: (.*)$", output, re.MULTILINE)
    return said[1] if said else ""


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("path", "payload"), [(SECOND_SHIM, GRUB), (UKI.path, UKI)], ids=["shim", "UKI"]
)
def test_shim_and_a_uki_are_started(
    path: str, payload: Payload, boot: Boot, tmp_path: Path
) -> None:
    machine = machine_behind_shim(tmp_path, signed_image(OURS))
    guest = Guest(boot(machine, limit_s=400)).ready()
    guest.send(f"pykexec exec '{path}'")
    expect_proof(guest.vm, payload)


@pytest.mark.matrix
@pytest.mark.timeout(700)
def test_windows_boot_manager_is_started(boot: Boot, tmp_path: Path) -> None:
    image = signed_image(OURS)
    (tmp_path / "through").mkdir()
    files = {**chain(image), PATH[1:].replace("\\", "/"): signed(bootmgr(), OURS)}
    disk = windows_disk(tmp_path / "through", image, key=False, more=files)
    machine = enrolled(windows_machine(tmp_path / "through", disk, FIRMWARE, SHIM_PATH))
    guest = Guest(boot(machine, limit_s=600)).ready(within=240)
    add_keys(guest, *SHAPES)
    assert foreseen(guest, PATH) == ""
    start(guest)
    assert expect_steps(guest.vm).values("08:places") == ["1:1"]
    assert guest.vm.wait_exit(60) == "guest-shutdown"


def policy(image: Path) -> str:
    """What is on the way: shim, whom Microsoft vouches for, and our image, by its owner's key."""
    data = shim().read_bytes()
    signatures = authenticode.signatures(data, pe.parse(data, "shim"), "shim")
    vouching = {each.sha256 for found in signatures for each in found.certificates}
    vouching.add(sha256(owners_certificate()))
    return f"""\
version = 1
name = "demo"
[[images]]
name = "ours"
authenticode = {{ sha256 = "{digest_of(image)}" }}
[[boot.applications]]
name = "shim"
authenticode = {{ sha256 = "{digest_of(shim())}" }}
[secure_boot]
required = true
authorities = {json.dumps(sorted(vouching))}
"""


@pytest.mark.matrix
def test_it_is_attested(boot: Boot, artefacts: Path, tmp_path: Path) -> None:
    directory, tpm = artefacts / "server", tmp_path / "tpm"
    directory.mkdir()
    swtpm.provision(tpm)
    tls, port = make_tls(directory, USER.host, USER.listen), choose_port(USER)
    with server(USER, port, directory, tls, tpm) as host:
        image = signed_image(
            OURS, config=config(port, tls, f"[payload]\npath = '{SIGNED_HELLO}'\n")
        )
        enrol(host, tpm, policy(image), KEY, str(VOLUME_UUID))
        machine = replace(
            machine_behind_shim(tmp_path, image),
            nic=Nic(),
            tpm_directory=tpm,
            extra=("-rtc", "base=utc"),
        )
        guest = Guest(boot(machine, limit_s=400))
        guest.vm.expect_stage("attest", "accepted", within=240)
        guest.vm.expect_stage("attest", "released")
        guest.payload_ran()


def test_without_what_is_ours_both_are_lost(boot: Boot, tmp_path: Path) -> None:
    image = signed_image(OURS, defines=("PK_TEST_NO_SHIM_CHECK",), doors_open=True)
    guest = Guest(boot(machine_behind_shim(tmp_path, image))).ready()
    assert attempts(guest, DEBIANS_KERNEL)[KEXEC] == "done"

    # A firmware that has no RAM disks gets ours, which is called when its memory is another's.
    guest.ok(f"pykexec load-driver '{SIGNED_DRIVER}' --options hide --no-connect")
    guest.ok("head -c 100000 /dev/urandom > /tmp/data")
    guest.send("pykexec ramdisk add /tmp/data")
    guest.vm.expect("X64 Exception Type", within=60, fatal=None)
