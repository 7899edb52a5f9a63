# SPDX-License-Identifier: Apache-2.0
"""What bridges say of themselves: all of it or what was there before, and nothing ends for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pykexec.bridge import Bridge, state, tpm
from pykexec.tpm.transport import FirmwareLog
from tests.support.faults import FAULTS, inject

DISK = Bridge("block", 1, "disk-1")
IO_FAULTS = [name for name in FAULTS if name in vars(errno)]


@pytest.mark.parametrize("fault", IO_FAULTS)
@pytest.mark.parametrize("step", ["os.makedirs", "os.replace"])
def test_what_cannot_be_said_is_said_later(
    step: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    publisher = state.Publisher(DISK, str(tmp_path))
    publisher.say(node="old")
    inject(monkeypatch, state, step, fault, times=2)
    publisher.say(node="new")
    publisher.again()
    assert [record["node"] for record in state.records(str(tmp_path))] == ["old"]
    assert os.listdir(tmp_path) == ["disk-1.json"]
    assert capfd.readouterr().err.count("\n") == 1
    publisher.again()
    assert [record["node"] for record in state.records(str(tmp_path))] == ["new"]


@pytest.mark.parametrize("fault", IO_FAULTS)
def test_an_event_log_without_room_is_no_end_of_the_tpm(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "event-log"
    monkeypatch.setattr(tpm, "event_log_size", lambda mailbox: 3)
    monkeypatch.setattr(tpm, "read_event_log", lambda mailbox: FirmwareLog(b"log", False))
    inject(monkeypatch, state, "os.replace", fault)
    assert tpm.refresh_event_log(None, -1, str(path)) == 0  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []
    assert tpm.refresh_event_log(None, 0, str(path)) == 3  # type: ignore[arg-type]
    assert path.read_bytes() == b"log"
