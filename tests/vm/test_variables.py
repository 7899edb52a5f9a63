# SPDX-License-Identifier: Apache-2.0
"""EFI variables through the kernel's own efivarfs, and those that are not Linux' business."""

from __future__ import annotations

import pytest

from pykexec.efi.guid import named_guids
from pykexec.vm.bootvars import read_variables
from pykexec.vm.ovmf import firmware
from tests.vm.equipment import BARE, HIDDEN, NON_VOLATILE_BOOT_ONLY, VENDOR
from tests.vm.images import image
from tests.vm.snapshots import AgentReady

EFIVARS = "/sys/firmware/efi/efivars"
GLOBAL = named_guids()["global_variable"]
CHANGE_HIDDEN = f"PkHidden-{VENDOR}={NON_VOLATILE_BOOT_ONLY}"
VOLATILE = f"ConInDev-{GLOBAL}=6"


@pytest.mark.parametrize(
    ("version", "kernel"),
    [
        ("2025.02", "6.12-cloud"),
        pytest.param("2022.11", "6.12-cloud", marks=pytest.mark.matrix),
        pytest.param("2022.11", "6.1-cloud", marks=pytest.mark.matrix),
    ],
)
def test_variables_are_listed_read_written_and_deleted_and_survive_a_reset(
    version: str, kernel: str, agent_ready: AgentReady
) -> None:
    guest = agent_ready(image(kernel), firmware(version), reboot=True)
    listed = guest.ok(f"ls {EFIVARS}").split()
    assert {f"{name}-{GLOBAL}" for name in ("Boot0001", "BootOrder", "BootCurrent")} <= set(listed)
    assert f"PykexecMailbox-{named_guids()['pykexec_mailbox']}" in listed
    assert guest.ok(f"xxd -p {EFIVARS}/BootOrder-{GLOBAL}").startswith("070000000100")

    kept = f"{EFIVARS}/PkKept-{VENDOR}"
    guest.ok(f"printf '\\007\\0\\0\\0kept' | dd of={kept}")
    found = guest.script("variables", f"PkNew-{VENDOR}=7", CHANGE_HIDDEN, VOLATILE)
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
    assert guest.run("ls " + EFIVARS).output.split().count(f"PkNew-{VENDOR}") == 0

    guest.send("reboot -f")
    guest.vm.expect_stage("stub", "start")
    guest.ready()
    assert guest.ok(f"tail -c 4 {kept}") == "kept"
    stored = read_variables(guest.vm.files.variables.read_bytes(), VENDOR)
    assert stored == {**HIDDEN, "PkKept": b"kept"}


def test_without_the_filter_boot_services_variables_are_exposed(agent_ready: AgentReady) -> None:
    unfiltered = image(defines=("PK_TEST_NO_VARIABLE_FILTER",))
    guest = agent_ready(unfiltered, firmware("2025.02"), quick=False, **BARE)
    found = guest.script("variables", CHANGE_HIDDEN, VOLATILE)
    assert found["PkHidden"]["listed"] and found["PkHidden"]["read"].endswith(
        HIDDEN["PkHidden"].hex()
    )
    assert found["PkHidden"]["write"] == "" == found["PkHidden"]["delete"]
    assert found["ConInDev"]["delete"] == ""
    assert read_variables(guest.vm.files.variables.read_bytes(), VENDOR) == {}
