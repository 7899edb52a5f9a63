# SPDX-License-Identifier: Apache-2.0
"""Our QR codes are those of a library, and another one reads them."""

from __future__ import annotations

import random

import pytest
import segno
import zxingcpp

from pykexec.errors import UsageError
from pykexec.guest.qr import ALPHABET, NR_MASKS, VERSION_MAX, build, qr_code

# ISO/IEC 18004, table 7: alphanumeric characters at level L.
CAPACITIES = (
    *(25, 47, 77, 114, 154, 195, 224, 279, 335, 395),
    *(468, 535, 619, 667, 758, 854, 938, 1046, 1153, 1249),
)
MARGIN = 4


def text_of(length: int) -> str:
    """Always the same characters."""
    choose = random.Random(length)
    return "".join(choose.choice(ALPHABET) for _ in range(length))


def read(modules: list[list[bool]]) -> list[str]:
    """What a camera's library finds in a picture of it."""
    size = len(modules) + 2 * MARGIN
    picture = bytearray(b"\xff" * size * size)
    for y, row in enumerate(modules, MARGIN):
        for x, dark in enumerate(row, MARGIN):
            picture[y * size + x] = 0 if dark else 0xFF
    view = memoryview(picture).cast("B", (size, size))
    return [found.text for found in zxingcpp.read_barcodes(view)]


@pytest.mark.parametrize("version", range(1, VERSION_MAX + 1))
def test_every_version_is_that_of_the_library(version: int) -> None:
    text = text_of(CAPACITIES[version - 1])
    for mask in (version % NR_MASKS, (version + 3) % NR_MASKS):
        made = segno.make_qr(text, error="l", boost_error=False, mode="alphanumeric", mask=mask)
        assert build(text, mask) == [list(map(bool, row)) for row in made.matrix]


@pytest.mark.parametrize("mask", range(NR_MASKS))
def test_every_mask_is_that_of_the_library(mask: int) -> None:
    made = segno.make_qr("MASK", error="l", boost_error=False, mode="alphanumeric", mask=mask)
    assert build("MASK", mask) == [list(map(bool, row)) for row in made.matrix]


@pytest.mark.parametrize("length", [1, 2, 114, 167, 170, 200, 460, 480, 1024])
def test_another_library_reads_them(length: int) -> None:
    """Some of these lengths end on a byte's border, where the first library pads one too many."""
    text = text_of(length)
    assert read(qr_code(text)) == [text.strip()] or read(qr_code(text)) == [text]


@pytest.mark.parametrize(("text", "words"), [("a", "capitals"), ("A" * 1250, "too many")])
def test_what_does_not_fit_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        qr_code(text)
