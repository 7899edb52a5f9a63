# SPDX-License-Identifier: Apache-2.0
"""Bytes that must never change by accident: archives of the initramfs, values of PCR 11."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pykexec.firmware import description
from pykexec.image import cpio, measure
from tests.unit.image.inputs import TREE

HERE = Path(__file__).parent
# Made by systemd-measure 254, which knows .uname and .sbat.
PCR11 = json.loads((HERE / "pcr11.json").read_text())
SECTIONS = {name: f"pykexec test section {name[1:]}".encode() for name in description.SECTION_ORDER}


def test_an_archive_is_the_golden_one() -> None:
    assert cpio.archive(TREE) == (HERE / "tree.cpio").read_bytes()


@pytest.mark.parametrize("bank", measure.BANKS)
def test_all_sections_give_the_golden_value(bank: str) -> None:
    assert measure.predict(SECTIONS, bank).hex() == PCR11[bank]
