# SPDX-License-Identifier: Apache-2.0
"""Persons help a machine: they scan its screen, log in with a real provider, and type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pykexec.attest.break_glass import PATH
from pykexec.demo.attest_keys import Tls, make_tls
from pykexec.demo.attest_server import choose_port, enrol, server
from pykexec.server.people.settings import PeopleSettings
from pykexec.vm import swtpm
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.luks import VOLUME_UUID
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import firmware
from tests.support import chromium, oidc_provider
from tests.support.break_glass import TABLE
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, with_entries
from tests.vm.images import image
from tests.vm.persons import Phone, scan, write_settings
from tests.vm.test_attest import KEY, POLICY, USER, config
from tests.vm.watch import files_of, forms_of, holders, open_store

LINK = "n0"
APPROVAL = '[approval]\ngroups = ["key-holders"]\n'
AFTER = f"[payload]\npath = '{HELLO_PATH}'\n[failure]\naction = 'agent'\n[agent]\nshell = true\n"


@dataclass(frozen=True, slots=True)
class Scene:
    """A machine whose server asks persons, at pages; they have accounts by settings."""

    guest: Guest
    pages: str
    tls: Tls
    settings: PeopleSettings
    directory: Path

    def actions(self) -> list[str]:
        """What the audit trail has."""
        with open_store(self.directory) as store:
            return [entry.action for entry in store.audit_entries()]


@contextmanager
def scene(
    boot: Boot, artefacts: Path, tmp_path: Path, policy: str, helped: bool
) -> Iterator[Scene]:
    """The machine is switched on; helped: by break-glass, where it has no network."""
    directory, tpm = artefacts / "server", tmp_path / "tpm"
    directory.mkdir()
    swtpm.provision(tpm)
    tls, port = make_tls(directory, USER.host, USER.listen), choose_port(USER)
    pages = f"https://{USER.listen}:{port}"
    with oidc_provider.running(address=pages) as provider:
        options = ["--people", str(write_settings(directory, provider.settings))]
        with server(USER, port, directory, tls, tpm, options) as host:
            enrol(host, tpm, POLICY + policy, KEY, str(VOLUME_UUID))
            phones = f"break_glass = '{pages}'\n" if helped else ""
            disk = disk_with(tmp_path, image(config=config(port, tls, phones + AFTER)))
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
            yield Scene(guest, pages, tls, provider.settings, directory)
    things = {str(path): path.read_bytes() for path in files_of(artefacts)}
    assert holders(forms_of(KEY), things) == []


def mistyped(group: str) -> str:
    """One character of it is another."""
    return ("2" if group[0] != "2" else "3") + group[1:]


def test_two_persons_carry_its_key_to_a_machine_without_a_network(
    boot: Boot, artefacts: Path, tmp_path: Path
) -> None:
    with scene(boot, artefacts, tmp_path, TABLE, helped=True) as at:
        guest = at.guest
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
        assert scanned.startswith(f"{at.pages.upper()}{PATH}")

        for login, then in (("anna", "It still takes: 1 more"), ("bob", "Give the answer")):
            phone = Phone(at.tls, at.settings, login)
            phone.go(scanned)
            phone.go("/break-glass", offer=scanned.partition(PATH)[2])
            assert then in phone.decide(code)
        reference = phone.address.rpartition("/")[2]
        given = phone.go(f"/break-glass/{reference}", csrf=phone.csrf)
        groups = re.findall(r"<code>([^<]+)</code>", given)

        guest.send(mistyped(groups[0]))
        guest.vm.expect("^group 1 is mistyped")
        for number, group in enumerate(groups, 1):
            guest.vm.expect(rf"^group {number}( of {len(groups)})?: ")
            guest.send(group)
        guest.vm.expect_stage("attest", "released")
        guest.payload_ran()
        guest.ready()
        assert guest.json("pykexec ramdisk list --json") == []
        actions = at.actions()
        assert actions.count("approval.approved") == 2
        assert actions.count("break-glass.released") == 1


@pytest.mark.matrix
def test_somebody_scans_the_screen_and_approves_in_a_browser(
    boot: Boot, artefacts: Path, tmp_path: Path
) -> None:
    with scene(boot, artefacts, tmp_path, APPROVAL, helped=False) as at:
        code = at.guest.vm.expect("^and type +([A-Z-]+) ", within=120)[1]
        at.guest.vm.expect_stage("attest", "pending")
        scanned = scan(at.guest.vm)
        assert scanned.startswith(f"{at.pages}/approve/")

        # Nobody has told it whom to trust with certificates.
        with chromium.browsing(tmp_path / "profile", "--ignore-certificate-errors") as browser:
            browser.go(scanned)
            browser.wait("document.querySelector('a.button') !== null")
            browser.run("document.querySelector('a.button').click()")
            browser.wait("document.querySelector('[name=login]') !== null")
            browser.fill("form", login="anna", password="any")
            browser.wait("document.querySelector('[name=prompt][value=consent]') !== null")
            browser.fill("form")
            browser.wait("document.querySelector('[name=code]') !== null")
            browser.fill("form", code=code)
            browser.wait("document.body.innerText.includes('The machine goes on')")

        at.guest.vm.expect_stage("attest", "released", within=60)
        at.guest.payload_ran()
        assert at.actions().count("approval.approved") == 1
