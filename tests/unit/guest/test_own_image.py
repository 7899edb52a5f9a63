# SPDX-License-Identifier: Apache-2.0
"""The agent notes how the trial of its own image goes, by where it was booted from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pykexec.abi import pack
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import hard_drive_node
from pykexec.efi.guid import Guid
from pykexec.efi.variables import global_name
from pykexec.errors import FormatError
from pykexec.firmware.handles import Handle
from pykexec.firmware.info import FirmwareInfo, decode_info
from pykexec.firmware.last_end import LastEnd
from pykexec.guest import own_image, payload
from pykexec.install import change
from pykexec.install.nvram import read_slots
from pykexec.install.slots import Slots
from tests.support.boot_manager import DRIVE, NEW, OLD, World, identity
from tests.support.faults import FAULTS, inject

OTHER_DRIVE = hard_drive_node(1, 2048, 8192, Guid.parse("11111111-0000-4000-8000-eeeeeeeeeeee"))
VOLUMES = [
    Handle(6, ("simple_file_system",), DevicePath((OTHER_DRIVE,))),
    Handle(7, ("simple_file_system",), DevicePath((DRIVE,))),
    Handle(8, ("simple_file_system",), None),
]
MAILBOX: Any = None


def booted(path: str, volume: int = 7) -> FirmwareInfo:
    """What the stub says of where it came from."""
    info = decode_info(pack("struct pk_info"))
    return dataclasses.replace(info, image_path=path, boot_volume=volume)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An update waits, and the firmware has used BootNext up."""
    directory = tmp_path / "efivars"
    directory.mkdir()
    world = World(directory)
    change.install(world.machine, OLD, identity(OLD), "first", fallback=False, force=False)
    change.update(world.machine, NEW, identity(NEW), force=False)
    world.machine.nvram.drop(global_name("BootNext"))
    monkeypatch.setattr("pykexec.install.nvram.Nvram", lambda: world.machine.nvram)
    monkeypatch.setattr("pykexec.firmware.handles.list_handles", lambda *_: VOLUMES)
    return world


def runs(monkeypatch: pytest.MonkeyPatch, info: FirmwareInfo) -> FirmwareInfo:
    """This boot is that one."""
    monkeypatch.setattr("pykexec.firmware.info.read_info", lambda mailbox: info)
    return info


def slots(world: World) -> Slots:
    found = read_slots(world.machine.nvram)
    assert found is not None
    return found


def test_the_image_on_trial_is_promoted_when_its_payload_is_about_to_start(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = runs(monkeypatch, booted("\\EFI\\pykexec\\b.efi"))
    own_image.begin(MAILBOX, info)
    assert slots(world).stage == "started"
    assert own_image.facts(MAILBOX) == {"slot": "b", "trial": "yes"}
    request: Any = None
    payload._before(MAILBOX, None, None, request)
    assert world.order == [1, 0, 3]
    assert own_image.facts(MAILBOX) == {"slot": "b"}
    out = capsys.readouterr().out
    assert out.startswith("on trial: ") and "promoted: " in out


@pytest.mark.parametrize("refuser", ["attestation", "windows"])
def test_what_is_refused_is_not_promoted(
    refuser: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_image.begin(MAILBOX, runs(monkeypatch, booted("\\EFI\\pykexec\\b.efi")))

    class Refuser:
        def release(self, request: object) -> None:
            raise FormatError("refused")

        def decide(self) -> None:
            raise FormatError("refused")

    refused: Any = {"attestation": None, "windows": None, refuser: Refuser()}
    request: Any = None
    with pytest.raises(FormatError):
        payload._before(MAILBOX, refused["attestation"], refused["windows"], request)
    assert world.order == [0, 3]


@pytest.mark.parametrize(
    "info",
    [
        booted("\\EFI\\pykexec\\a.efi"),
        booted("\\EFI\\pykexec\\b.efi", volume=6),
        booted("\\EFI\\pykexec\\b.efi", volume=8),
        booted("\\EFI\\pykexec\\b.efi", volume=0),
        booted("\\EFI\\BOOT\\BOOTX64.EFI"),
        booted(""),
    ],
)
def test_an_agent_from_anywhere_else_knows_that_the_trial_is_over(
    info: FirmwareInfo,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = LastEnd("exec", 0, "boot-next", "the server refuses: policy.image")
    monkeypatch.setattr("pykexec.firmware.last_end.read_last_end", lambda: last)
    own_image.begin(MAILBOX, runs(monkeypatch, info))
    found = slots(world)
    assert found.trial is None and found.failed is not None
    assert "last end: the server refuses: policy.image" in found.reason
    assert "update given up: " in capsys.readouterr().out
    own_image.succeed(MAILBOX)
    assert world.order == [0, 3]
    assert own_image.facts(MAILBOX)["failed"] == "pykexec 1.1 (Linux 6.12.1)"
    own_image.told()
    assert slots(world).failed is None


def test_where_nothing_is_installed_nothing_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change.remove(world.machine, force=False)
    world.said.clear()
    own_image.begin(MAILBOX, runs(monkeypatch, booted("\\EFI\\pykexec\\a.efi")))
    own_image.succeed(MAILBOX)
    own_image.told()
    assert own_image.facts(MAILBOX) == {}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_promotion_that_fails_keeps_no_payload_from_starting(
    fault: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    request: Any = None
    injected = inject(monkeypatch, payload, "succeed", fault)
    payload._before(MAILBOX, None, None, request)
    assert injected.left == 0
    assert capfd.readouterr().err.startswith("own image: ")
