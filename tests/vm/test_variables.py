# SPDX-License-Identifier: Apache-2.0
"""EFI variables through the kernel's own efivarfs, and those that are not Linux' business."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.efi.guid import named_guids
from pykexec.vm.bootvars import add_variables, read_variables
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.images import image

EFIVARS = "/sys/firmware/efi/efivars"
# The specification's own namespace takes only the names that it defines.
OURS = uuid.UUID("0d9f7c1e-51a4-4d0c-8f6e-6b1d6a3c9e21")
GLOBAL = named_guids()["global_variable"]
NON_VOLATILE_BOOT_ONLY = 3
HIDDEN = f"PkHidden-{OURS}={NON_VOLATILE_BOOT_ONLY}"
VOLATILE = f"ConInDev-{GLOBAL}=6"
SECRET = b"only for boot services"


def _machine_with_secret(directory: Path, version: str, defines: tuple[str, ...] = ()) -> Machine:
    machine = machine_with(directory, firmware(version), image(defines=defines))
    assert machine.variables
    store = machine.variables.read_bytes()
    hidden = {"PkHidden": SECRET}
    store = add_variables(store, hidden, vendor=OURS, attributes=NON_VOLATILE_BOOT_ONLY)
    machine.variables.write_bytes(store)
    return replace(machine, reboot=True)


@pytest.mark.parametrize("version", ["2022.11", "2025.02"])
def test_variables_are_listed_read_written_and_deleted_and_survive_a_reset(
    version: str, boot: Boot, tmp_path: Path
) -> None:
    guest = Guest(boot(_machine_with_secret(tmp_path, version))).ready()
    listed = guest.ok(f"ls {EFIVARS}").split()
    assert {f"{name}-{GLOBAL}" for name in ("Boot0001", "BootOrder", "BootCurrent")} <= set(listed)
    assert f"PykexecMailbox-{named_guids()['pykexec_mailbox']}" in listed
    assert guest.ok(f"xxd -p {EFIVARS}/BootOrder-{GLOBAL}").startswith("070000000100")

    kept = f"{EFIVARS}/PkKept-{OURS}"
    guest.ok(f"printf '\\007\\0\\0\\0kept' | dd of={kept}")
    found = guest.script("variables", f"PkNew-{OURS}=7", HIDDEN, VOLATILE)
    assert found["PkNew"] == {"listed": False, "read": "", "write": "", "delete": ""}
    assert found["PkHidden"] == {
        "listed": False,
        "read": "",
        "write": "EINVAL",
        "delete": "",  # of the empty file that reading made
    }
    volatile = found["ConInDev"]
    assert volatile["listed"] and volatile["read"].startswith("06000000")
    assert volatile["write"] == "EROFS" and volatile["delete"]
    assert guest.run("ls " + EFIVARS).output.split().count(f"PkNew-{OURS}") == 0

    guest.send("reboot -f")
    guest.vm.expect_stage("stub", "start")
    guest.ready()
    assert guest.ok(f"tail -c 4 {kept}") == "kept"
    stored = read_variables(guest.vm.files.variables.read_bytes(), OURS)
    assert stored == {"PkHidden": SECRET, "PkKept": b"kept"}


def test_without_the_filter_boot_services_variables_are_exposed(boot: Boot, tmp_path: Path) -> None:
    unfiltered = _machine_with_secret(tmp_path, "2025.02", defines=("PK_TEST_NO_VARIABLE_FILTER",))
    guest = Guest(boot(unfiltered)).ready()
    found = guest.script("variables", HIDDEN, VOLATILE)
    assert found["PkHidden"]["listed"] and found["PkHidden"]["read"].endswith(SECRET.hex())
    assert found["PkHidden"]["write"] == "" == found["PkHidden"]["delete"]
    assert found["ConInDev"]["delete"] == ""
    assert read_variables(guest.vm.files.variables.read_bytes(), OURS) == {}
