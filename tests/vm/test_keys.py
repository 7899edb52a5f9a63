# SPDX-License-Identifier: Apache-2.0
"""Keys that a machine was given are tried on its disks, and its server is told what opens what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from pykexec.demo.attest_keys import make_tls
from pykexec.demo.attest_server import MACHINE, choose_port, enrol, put_secret, server
from pykexec.vm import swtpm
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.luks import VOLUME_UUID, make_volume
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, with_entries
from tests.vm.images import image
from tests.vm.test_attest import KEY, POLICY, USER, config

OTHER = hashlib.sha256(b"the key of nothing").digest()
VOLUME = str(VOLUME_UUID)


def test_the_server_learns_which_key_opens_the_volume(
    boot: Boot, artefacts: Path, tmp_path: Path
) -> None:
    directory, tpm, volume = artefacts / "server", tmp_path / "tpm", tmp_path / "volume.img"
    directory.mkdir()
    swtpm.provision(tpm)
    make_volume(volume, KEY, {"proof": b"it is open\n"})
    before = hashlib.sha256(volume.read_bytes()).digest()
    tls, port = make_tls(directory, USER.host, USER.listen), choose_port(USER)
    with server(USER, port, directory, tls, tpm) as host:
        enrol(host, tpm, POLICY, KEY, VOLUME)
        put_secret(host, "other", "luks-key", OTHER, volume=VOLUME, file="other.key")
        for name in ("root", "other"):
            parameter = f"volume={VOLUME}"
            host.ask("key", "plan", MACHINE, name, "--kind", "luks-key", "--parameter", parameter)
        us = image(config=config(port, tls, f"[payload]\npath = '{HELLO_PATH}'\n"))
        disk = disk_with(tmp_path, us)
        machine = with_entries(
            Machine(firmware("2025.02"), nic=Nic(), tpm="crb", tpm_directory=tpm),
            tmp_path,
            disk,
            [boot_entry(disk, r"\EFI\pykexec\pykexec.efi")],
        )
        disks = (*machine.disks, Disk(volume))
        guest = Guest(boot(replace(machine, disks=disks, extra=("-rtc", "base=utc"))))
        guest.vm.expect_stage("attest", "accepted", within=120)
        guest.vm.expect("^key other: does not open its volume: ")
        guest.vm.expect("^key root: opens its volume: ")
        guest.vm.expect_stage("attest", "released")
        guest.payload_ran()
        keys = json.loads(host.ask("key", "list", MACHINE, "--json"))["keys"]
    proven = {key["name"]: [each["proven"] for each in key["generations"]] for key in keys}
    assert proven == {"root": [True], "other": [False]}
    assert hashlib.sha256(volume.read_bytes()).digest() == before
