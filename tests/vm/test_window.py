# SPDX-License-Identifier: Apache-2.0
"""The window carries what the mailbox carries; what it must not carry is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.equipment import BARE
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import QUICK_CMDLINE, image
from tests.vm.snapshots import AgentReady

INVALID_PARAMETER, UNSUPPORTED, BAD_BUFFER_SIZE, MEDIA_CHANGED, NOT_FOUND = 2, 3, 4, 13, 14


@pytest.mark.parametrize(
    ("kernel", "mib"), [("6.1-cloud", 16), pytest.param("6.12-cloud", 40, marks=pytest.mark.matrix)]
)
def test_the_window_is_checked_by_the_stub(kernel: str, mib: int, agent_ready: AgentReady) -> None:
    cmdline = QUICK_CMDLINE if mib == 16 else f"{QUICK_CMDLINE} pykexec.window={mib}M"
    guest = agent_ready(image(kernel, cmdline=cmdline), firmware("2025.02"), **BARE)
    guest.ok("pykexec bridge stop")  # The script wants all of it.
    found = guest.script("window")
    print(found)
    assert found["is_window"]
    assert found["size"] == mib << 20
    # All but what its header takes can be one port's.
    assert found["last"] == found["digest"]
    assert found["same"]
    head = guest.vm.machine.disks[0].path.read_bytes()[: 1 << 20]
    assert found["digest"] == hashlib.sha256(head).hexdigest()
    assert {name: each["status"] for name, each in found["refused"].items()} == {
        "no such handle": NOT_FOUND,
        "half a block": BAD_BUFFER_SIZE,
        "behind the end": INVALID_PARAMETER,
        "over the end": INVALID_PARAMETER,
        "lba wraps": INVALID_PARAMETER,
        "old medium": MEDIA_CHANGED,
        "no descriptor's op": UNSUPPORTED,
    }
    assert all(each["result"] == each["errno"] == 0 for each in found["refused"].values())
    assert found["hostile"] == {
        "header": INVALID_PARAMETER,
        "channels": INVALID_PARAMETER,
        "behind": INVALID_PARAMETER,
        "across the end": INVALID_PARAMETER,
        "wraps": INVALID_PARAMETER,
        "served after nonsense": 1,
    }
    # Its machine has neither TPM nor network; neither is missed by the rest.
    assert guest.ok("pykexec bridge start tpm net").splitlines()[-2:] == [
        "no TPM",
        "no network device",
    ]
    assert guest.run("pykexec net up").status == 9
    assert "no network device" in guest.run("pykexec net").output
    assert guest.firmware_is_the_same()


def test_a_kernel_that_takes_the_window_for_memory_keeps_it(boot: Boot, tmp_path: Path) -> None:
    plain = image(defines=("PK_TEST_NO_SOFT_RESERVE",))
    guest = Guest(boot(machine_with(tmp_path, firmware("2025.02"), plain)))
    guest.vm.expect("init: window: this kernel uses it as ordinary memory", within=120)
    guest.ready()
    assert "data goes by the mailbox" in guest.ok("pykexec status")
    assert "Soft Reserved" not in guest.ok("cat /proc/iomem")
    assert guest.script("unclaimed_window") == {
        "device": None,
        "by": "mailbox",
        "claimed": "ACCESS_DENIED",
        "said again": "SUCCESS",
    }
    # What kexec brings lies anywhere in the kernel's memory.
    guest.send(f"pykexec exec '{HELLO_PATH}' --options from-memory")
    guest.payload_ran("from-memory")
    guest.ready()
    assert guest.firmware_is_the_same()
