# SPDX-License-Identifier: Apache-2.0
"""What the stub does not do for a kernel that calls it, or for that kernel's root."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.vm.ovmf import firmware
from tests.kernel.native import KERNEL, MARKS
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image

pytestmark = MARKS

LOCKED_DOWN = f"{DEFAULT_CMDLINE} lockdown=integrity"


@pytest.mark.parametrize("defines", [(), ("PK_TEST_NO_PAYLOAD_LOCK",)], ids=["lock", "no lock"])
def test_root_of_a_locked_down_kernel_brings_no_image_by_the_mailbox(
    defines: tuple[str, ...], boot: Boot, tmp_path: Path
) -> None:
    """Without Secure Boot the firmware would start anything; without the lock it does."""
    chosen = image(KERNEL, cmdline=LOCKED_DOWN, defines=defines)
    guest = Guest(boot(machine_with(tmp_path, firmware(), chosen))).ready()
    if defines:
        guest.send(f"pykexec exec '{HELLO_PATH}' --via leave --options unverified")
        guest.payload_ran("unverified")
        return
    for command in (f"exec '{HELLO_PATH}' --via leave", "load-driver /inside/driver.efi"):
        refused = guest.run(f"pykexec {command}")
        assert refused.status and "ACCESS_DENIED" in refused.output.upper().replace(" ", "_")
    assert "PK:payload" not in guest.vm.console.text
    assert guest.firmware_is_the_same()


def test_the_kernels_own_test_notices_a_loader_that_takes_any_address(
    boot: Boot, tmp_path: Path
) -> None:
    chosen = image(KERNEL, modules=("bootsvc_test",), defines=("PK_TEST_NO_MEMORY_CHECK",))
    guest = Guest(boot(machine_with(tmp_path, firmware(), chosen))).ready()
    guest.send("/inside/kunit bootsvc_test")
    guest.vm.expect(r"EXPECTATION FAILED at .*bootsvc_test\.c", within=60, fatal=None)
