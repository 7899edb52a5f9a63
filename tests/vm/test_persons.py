# SPDX-License-Identifier: Apache-2.0
"""Persons help a machine: they scan its screen, log in with a real provider, and type."""

from __future__ import annotations

import re
from pathlib import Path

from pykexec.attest.break_glass import PATH
from pykexec.demo.attest_keys import make_tls
from pykexec.demo.attest_server import choose_port, enrol, server
from pykexec.vm import swtpm
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.luks import VOLUME_UUID
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware
from tests.support import oidc_provider
from tests.support.break_glass import TABLE
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, with_entries
from tests.vm.images import image
from tests.vm.persons import Phone, scan, write_settings
from tests.vm.test_attest import KEY, POLICY, USER, config
from tests.vm.watch import files_of, forms_of, holders, open_store

LINK = "n0"


def mistyped(group: str) -> str:
    """One character of it is another."""
    return ("2" if group[0] != "2" else "3") + group[1:]


def test_two_persons_carry_its_key_to_a_machine_without_a_network(
    boot: Boot, artefacts: Path, tmp_path: Path
) -> None:
    directory, tpm = artefacts / "server", tmp_path / "tpm"
    directory.mkdir()
    swtpm.provision(tpm)
    tls, port = make_tls(directory, USER.host, USER.listen), choose_port(USER)
    pages = f"https://{USER.listen}:{port}"
    with oidc_provider.running(address=pages) as provider:
        options = ["--people", str(write_settings(directory, provider.settings))]
        with server(USER, port, directory, tls, tpm, options) as host:
            enrol(host, tpm, POLICY + TABLE, KEY, str(VOLUME_UUID))
            payload = f"[payload]\npath = '{HELLO_PATH}'\n[failure]\naction = 'agent'\n"
            us = image(
                config=config(
                    port, tls, f"break_glass = '{pages}'\n{payload}[agent]\nshell = true\n"
                )
            )
            disk = disk_with(tmp_path, us)
            machine = Machine(
                firmware("2025.02"),
                nic=Nic(),
                tpm="crb",
                tpm_directory=tpm,
                reboot=True,
                extra=("-rtc", "base=utc"),
            )
            entries = [boot_entry(disk, r"\EFI\pykexec\pykexec.efi")]
            guest = Guest(boot(with_entries(machine, tmp_path, disk, entries)))
            # A firmware's first start makes boot options of its own, which it measures (PCR 1).
            for _ in ("as it came", "as it stays"):
                guest.vm.expect_stage("attest", "released", within=120)
                guest.payload_ran()
                guest.ready()
                guest.send("pykexec leave --action reset")

            guest.vm.qmp("set_link", name=LINK, up=False)
            guest.vm.expect_stage("attest", "break-glass", within=120)
            code = guest.vm.expect("^and types ([A-Z-]+) there")[1]
            guest.vm.expect("^group 1: ")
            scanned = scan(guest.vm)
            assert scanned.startswith(f"{pages.upper()}{PATH}")

            for login, then in (("anna", "It still takes: 1 more"), ("bob", "Give the answer")):
                phone = Phone(tls, provider.settings, login)
                phone.go(scanned)
                phone.go("/break-glass", offer=scanned.partition(PATH)[2])
                assert then in phone.decide(code)
            reference = phone.address.rpartition("/")[2]
            given = phone.go(f"/break-glass/{reference}", csrf=phone.csrf)
            groups = re.findall(r"<code>([^<]+)</code>", given)

            guest.send(mistyped(groups[0]))
            guest.vm.expect("^group 1: ")
            for number, group in enumerate(groups, 1):
                guest.send(group)
                if number < len(groups):
                    guest.vm.expect(f"^group {number + 1} of {len(groups)}: ")
            guest.vm.expect_stage("attest", "released")
            guest.payload_ran()
            guest.ready()
            assert guest.json("pykexec ramdisk list --json") == []
    with open_store(directory) as store:
        found = [entry.action for entry in store.audit_entries()]
        assert found.count("approval.approved") == 2
        assert found.count("break-glass.released") == 1
    things = {str(path): path.read_bytes() for path in files_of(artefacts)}
    assert holders(forms_of(KEY), things) == []
