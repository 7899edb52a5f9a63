# SPDX-License-Identifier: Apache-2.0
"""[firmware] drivers: in order, each for itself, once in the firmware's life."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykexec.abi import pack
from pykexec.config.agent import AgentConfig
from pykexec.firmware.info import FirmwareInfo, decode_info
from pykexec.guest import drivers
from tests.support.faults import FAULTS

LISTED = ("\\EFI\\first.efi", "\\EFI\\second.efi", "http://server/third.efi")


def info(nr_runs: int = 0) -> FirmwareInfo:
    """What the stub says after so many round trips."""
    return decode_info(pack("struct pk_info", outcome={"nr_runs": nr_runs}))


@pytest.fixture(name="load")
def load_fixture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """load_once(), by a firmware that refuses what is in faults; it returns what was asked for."""

    def load(nr_runs: int = 0, faults: dict[str, str] | None = None) -> list[str]:
        asked: list[str] = []

        def start_image(mailbox: object, path: str, **settings: Any) -> int:
            asked.append(path)
            if path in (faults or {}):
                raise FAULTS[(faults or {})[path]]()
            return 0

        monkeypatch.setattr("pykexec.kexec.images.start_image", start_image)
        config = AgentConfig(drivers=LISTED)
        mailbox: Any = None
        drivers.load_once(mailbox, info(nr_runs), config, str(tmp_path / "run/drivers"))
        return asked

    return load


def test_all_of_them_are_loaded_in_order_and_once(
    load: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load() == list(LISTED)
    assert capsys.readouterr().out == "".join(f"driver {name}: SUCCESS\n" for name in LISTED)
    assert load() == []


def test_a_second_linux_finds_them_at_work(load: Any) -> None:
    assert load(nr_runs=1) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_one_that_fails_is_a_line_and_the_others_are_loaded(
    fault: str, load: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert load(faults={LISTED[1]: fault}) == list(LISTED)
    out, err = capfd.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == [
        f"driver {LISTED[0]}",
        "driver http",
    ]
    assert err.startswith(f"pykexec: driver {LISTED[1]}: ")
