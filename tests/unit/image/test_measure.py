# SPDX-License-Identifier: Apache-2.0
"""PCR 11 as predicted is what systemd's own tool predicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pykexec.firmware import description
from pykexec.image import measure
from pykexec.run import run

SECTIONS = {name: f"pykexec test section {name[1:]}".encode() for name in description.SECTION_ORDER}
# What Debian 12's systemd-measure (252) has options for.
OLD = (".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey")
SYSTEMD_MEASURE = "/lib/systemd/systemd-measure"


def test_order_of_sections_and_unknown_ones_do_not_matter() -> None:
    shuffled = {".text": b"code", **dict(reversed(SECTIONS.items())), ".pcrsig": b"signature"}
    assert measure.predict_all(shuffled) == measure.predict_all(SECTIONS)


@pytest.mark.parametrize("names", [OLD, OLD[:4], (".linux",), (".linux", ".initrd")])
def test_systemd_measure_agrees(names: tuple[str, ...], tmp_path: Path) -> None:
    options = [f"--{name[1:]}={tmp_path / name}" for name in names]
    options += [f"--bank={bank}" for bank in measure.BANKS]
    for name in names:
        (tmp_path / name).write_bytes(SECTIONS[name])
    command = [SYSTEMD_MEASURE, "calculate", "--phase=:", "--json=short", *options]
    answer = json.loads(run(command))
    expected = measure.predict_all({name: SECTIONS[name] for name in names})
    assert {bank: rows[0]["hash"] for bank, rows in answer.items()} == {
        bank: value.hex() for bank, value in expected.items()
    }
