# SPDX-License-Identifier: Apache-2.0
"""A firmware whose event log has no room for more: said clearly, and nobody is given anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.demo.attest_keys import make_tls
from pykexec.demo.attest_server import choose_port, enrol, server
from pykexec.vm import swtpm
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.luks import VOLUME_UUID
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with, with_entries
from tests.vm.test_attest import DENIED, KEY, POLICY, USER, attest_again, codes, config

LOG_MAX = 64 << 10
"""What EDK II sets aside."""


@pytest.mark.matrix
@pytest.mark.parametrize("release", ["2022.11", "2025.02"])
def test_a_log_without_room_is_told_and_grants_nothing(
    release: str, boot: Boot, artefacts: Path, tmp_path: Path
) -> None:
    directory, tpm = artefacts / "server", tmp_path / "tpm"
    directory.mkdir()
    swtpm.provision(tpm)
    tls, port = make_tls(directory, USER.host, USER.listen), choose_port(USER)
    with server(USER, port, directory, tls, tpm) as host:
        enrol(host, tpm, POLICY, KEY, str(VOLUME_UUID))
        payload = f"[payload]\npath = '{HELLO_PATH}'\n[failure]\naction = 'agent'\n"
        again = images.image(config=config(port, tls, f"{payload}[agent]\nshell = true\n"))
        disk = disk_with(tmp_path, images.image(config=config(port, tls, "")), {"EFI/2.efi": again})
        machine = Machine(
            firmware(release), nic=Nic(), tpm="tis", tpm_directory=tpm, extra=("-rtc", "base=utc")
        )
        entries = [boot_entry(disk, IMAGE_PATH)]
        guest = Guest(boot(with_entries(machine, tmp_path, disk, entries))).ready()

        filled = guest.script("fill_log", within=120)
        assert filled["logged"]["SUCCESS"] > 1
        assert filled["last"] == "VOLUME_FULL"
        (before, was_full), (after, is_full) = filled["before"], filled["after"]
        assert before < after <= LOG_MAX
        assert (was_full, is_full) == (False, True)
        said = guest.packed("pykexec eventlog || [ $? = 1 ]")  # Registers differ from the log.
        assert "no room for more: events are missing" in said
        assert re.findall(r"^PCR (\d+) sha256 \w+ differs", said, re.M) == ["5"]
        status, answer = attest_again(guest)
        assert status == DENIED
        assert "log.replay.5" in codes(answer)
        assert "log.full" in {finding["code"] for finding in answer["findings"]}

        # The image that comes next meets it in the stub, and is to be given a key.
        guest.send(r"pykexec exec '\EFI\2.efi'")
        guest.vm.expect("^attestation: the firmware's event log is full", within=120)
        guest.vm.expect_stage("attest", "refused", within=60)
        # That nothing is released to a person later cannot be logged: nobody is let in.
        guest.vm.expect("^pykexec: no shell: measure into PCR 15: No space left", within=60)
        guest.vm.expect_stage("agent", "leave")
        guest.vm.expect("PK:stub:action:0x2$", within=30)
