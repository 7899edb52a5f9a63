# SPDX-License-Identifier: Apache-2.0
"""Devices of the kernel's own drivers: names that are wrong with one are no other's business."""

from __future__ import annotations

from typing import Any

import pytest

from pykexec.bridge import Bridge, native, native_names, state
from pykexec.bridge.native import Natives
from pykexec.firmware import native as firmware
from pykexec.firmware.native import Device
from tests.support.faults import FAULTS

DISKS = [Bridge("block", number, f"disk-{number}") for number in (1, 2)]


class Names:
    """Those of the first disk cannot be had again."""

    polls = True

    def __init__(self, bridge: Bridge, fault: str) -> None:
        self.bridge, self.fault, self.nr_looks = bridge, fault, 0

    def refresh(self, told: bool) -> dict[str, Any]:
        self.nr_looks += 1
        if self.bridge == DISKS[0] and self.nr_looks > 1:
            raise FAULTS[self.fault]()
        return {"node": f"/dev/efiblk{self.bridge.handle}"}

    def remove(self) -> None:
        raise FAULTS[self.fault]()

    def leave(self) -> None:
        raise FAULTS[self.fault]()


@pytest.fixture
def unbound(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """A kernel whose driver has both disks; which were taken from it."""
    directory = str(tmp_path_factory.mktemp("bridges"))
    taken: list[int] = []
    monkeypatch.setattr(firmware, "is_there", lambda: True)
    monkeypatch.setattr(firmware, "is_allowed", lambda: True)
    monkeypatch.setattr(firmware, "rescan", lambda: None)
    monkeypatch.setattr(firmware, "device", device)
    monkeypatch.setattr(firmware, "unbind", taken.append)
    monkeypatch.setattr(native, "_load", lambda kind: None)
    monkeypatch.setattr("pykexec.linux.uevents.open_uevents", lambda: None)
    monkeypatch.setattr(state.Publisher.__init__, "__defaults__", (directory, None, False))
    return taken


def device(handle: int) -> Device:
    """Of the kernel."""
    return Device(handle, "efiblk", "block", (f"efiblk{handle}",))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("broken", ["making", "refreshing"])
def test_a_disk_without_names_is_no_fault_of_another(
    broken: str, fault: str, unbound: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(mailbox: object, bridge: Bridge, *_: object) -> Names:
        if broken == "making" and bridge == DISKS[0]:
            raise FAULTS[fault]()
        return Names(bridge, fault)

    monkeypatch.setattr(native_names, "make_names", make)
    natives = Natives(None)  # type: ignore[arg-type]
    # Neither may have a bridge: the kernel has them.
    assert natives.take("block", DISKS, ()) == {"disk-1", "disk-2"}
    natives.look()
    records = {record["name"]: record.get("node") for record in natives.records()}
    assert records["disk-2"] == "/dev/efiblk2"
    natives.end(["block"])
    assert 2 in unbound
