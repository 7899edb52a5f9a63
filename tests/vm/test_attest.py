# SPDX-License-Identifier: Apache-2.0
"""Attestation by a real server: once for each boot, never for a person, within bounds, and not for
what is retired. The chain that ends well is that of the demo (test_demo.py).
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pykexec.demo.attest_keys import Tls, make_tls
from pykexec.demo.attest_server import MACHINE, Server, choose_port, enrol, server
from pykexec.demo.lan import Network
from pykexec.vm import swtpm
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.luks import VOLUME_UUID
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, with_entries
from tests.vm.watch import files_of, forms_of, holders, open_store

USER = Network("10.0.2.2", "127.0.0.1", (), None)  # this machine, as QEMU's user network shows it
DENIED = 6
KEY = hashlib.sha256(b"the key of the volume").digest()
# What a machine boots is the demo's business.
POLICY = """\
version = 1
name = "demo"
allow_any_image = true

[[rules]]
name = "ek-certificate"
expression = 'evidence.ek.trusted == "certificate"'
"""


def config(port: int, tls: Tls, more: str) -> str:
    """An agent.toml that has the machine attested by the server at a port of this machine."""
    return (
        f'[attest]\nserver = "https://{USER.host}:{port}"\ntimeout_s = 12\n{more}'
        f'[network]\ntimeout_s = 5\nca = """\n{tls.authority}"""\n'
    )


@contextmanager
def unused_port() -> Iterator[int]:
    """A port at which nobody listens, and nobody else can."""
    with socket.socket() as reserved:
        reserved.bind((USER.listen, 0))
        yield reserved.getsockname()[1]


def codes(reply: Any) -> set[str]:
    """What the server's findings are called."""
    return {finding["code"] for finding in reply["findings"] if finding["refuses"]}


def attest_again(guest: Guest) -> tuple[int, Any]:
    """Exit status and answer of `pykexec attest` in the shell."""
    status = guest.run("pykexec attest --json >/tmp/answer 2>/tmp/fault", within=120).status
    return status, guest.json("cat /tmp/answer")


def retire(host: Server) -> None:
    """For good."""
    host.ask("retire", MACHINE, "--reason", "sold", "--for-good")


def test_secrets_come_once_and_never_to_a_person(
    boot: Boot, artefacts: Path, tmp_path: Path
) -> None:
    directory, tpm = artefacts / "server", tmp_path / "tpm"
    directory.mkdir()
    swtpm.provision(tpm)
    tls, port = make_tls(directory, USER.host, USER.listen), choose_port(USER)
    with server(USER, port, directory, tls, tpm) as host, unused_port() as nobody:
        enrol(host, tpm, POLICY, KEY, str(VOLUME_UUID))
        payload = f"[payload]\npath = '{HELLO_PATH}'\n"
        dead = config(nobody, tls, f"{payload}[failure]\naction = 'boot-next'\n")
        live = config(port, tls, f"{payload}[failure]\naction = 'agent'\n[agent]\nshell = true\n")
        files = {"EFI/live.efi": images.image(config=live)}
        disk = disk_with(tmp_path, images.image(config=dead), files)
        entries = [
            boot_entry(disk, r"\EFI\pykexec\pykexec.efi"),
            boot_entry(disk, r"\EFI\live.efi"),
        ]
        machine = Machine(
            firmware("2022.11"), nic=Nic(), tpm="crb", tpm_directory=tpm, extra=("-rtc", "base=utc")
        )
        guest = Guest(boot(with_entries(machine, tmp_path, disk, entries)))

        # A server that is dead: tried for as long as was configured, then the failure action.
        guest.vm.expect_stage("attest", "start", within=120)
        started = guest.vm.seconds
        guest.vm.expect_stage("attest", "failed", within=60)
        assert 8 < guest.vm.seconds - started < 40
        guest.vm.expect(rf"^pykexec: https://{USER.host}:{nobody}/\S+: cannot connect: ")
        guest.vm.expect("PK:stub:action:0x2$")

        # The next image's server is alive; its payload returns, and Linux with it.
        guest.vm.expect_stage("attest", "accepted", within=120)
        guest.vm.expect_stage("attest", "released")
        guest.payload_ran()
        guest.ready()
        assert guest.json("pykexec ramdisk list --json") == []
        status, answer = attest_again(guest)
        assert status == DENIED
        assert codes(answer) == {"policy.released", "release.again"}
        retire(host)
        status, answer = attest_again(guest)
        assert status == DENIED
        assert "machine.retired" in codes(answer)
    with open_store(directory) as store:
        entries_of = {entry.action for entry in store.audit_entries()}
        assert {"attestation.released", "attestation.refused", "machine.retire"} <= entries_of
        assert [each.released for each in store.attestations()] == [(), (), ("root",)]
    things = {str(path): path.read_bytes() for path in files_of(artefacts)}
    assert holders(forms_of(KEY), things) == []


def test_a_person_with_a_shell_is_given_nothing(
    boot: Boot, artefacts: Path, tmp_path: Path
) -> None:
    directory, tpm = artefacts / "server", tmp_path / "tpm"
    directory.mkdir()
    swtpm.provision(tpm)
    tls, port = make_tls(directory, USER.host, USER.listen), choose_port(USER)
    with server(USER, port, directory, tls, tpm) as host:
        enrol(host, tpm, POLICY, KEY, str(VOLUME_UUID))
        attended = images.image(config=config(port, tls, ""))
        disk = disk_with(tmp_path, attended)
        machine = Machine(firmware("2025.02"), nic=Nic(), tpm="tis", extra=("-rtc", "base=utc"))
        machine = replace(machine, tpm_directory=tpm)
        entries = [boot_entry(disk, r"\EFI\pykexec\pykexec.efi")]
        guest = Guest(boot(with_entries(machine, tmp_path, disk, entries))).ready()
        status, answer = attest_again(guest)
        assert status == DENIED
        assert codes(answer) == {"policy.released"}
        assert "pykexec-shell" in guest.ok("pykexec eventlog")
