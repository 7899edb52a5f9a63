# SPDX-License-Identifier: Apache-2.0
"""The variable that says what is in the slots: text, and nothing but what we write."""

from __future__ import annotations

import pytest

from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.install.slots import ARMED, InSlot, Slots, parse_slots, slot_of

PARTITION = Guid.parse("eeeeeeee-0000-4000-8000-eeeeeeeeeeee")
A, B = InSlot("a", "0" * 64, "pykexec 1 (Linux 6)"), InSlot("b", "f" * 64, "pykexec 2 (Linux 6)")
FULL = Slots(PARTITION, A, B, B, ARMED, A, "it hangs", has_fallback=True)


@pytest.mark.parametrize("slots", [Slots(PARTITION), Slots(PARTITION, A), FULL])
def test_what_is_written_is_read(slots: Slots) -> None:
    assert parse_slots(bytes(slots)) == slots


def test_it_is_text_that_a_person_can_read() -> None:
    assert bytes(Slots(PARTITION, A, failed=B, reason="no\nnews\x1b")).decode() == (
        f"pykexec slots 1\npartition {PARTITION}\nactive a {'0' * 64} pykexec 1 (Linux 6)\n"
        f"failed b {'f' * 64} pykexec 2 (Linux 6)\nreason no?news?\n"
    )


def test_it_is_small_whatever_it_holds() -> None:
    long = InSlot("b", "f" * 64, "v" * 9999)
    data = bytes(Slots(PARTITION, long, long, long, ARMED, long, "r" * 9999, has_fallback=True))
    assert len(data) <= 1200 + 160
    assert parse_slots(data).reason == "r" * 160 + "..."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"pykexec slots 2\n",
        bytes(FULL)[:-1],
        bytes(FULL) + b"more x\n",
        bytes(FULL) + b"reason again\n",
        bytes(FULL).replace(b"stage armed\n", b""),
        bytes(FULL).replace(b"stage armed", b"stage x"),
        bytes(FULL).replace(b"active a", b"active c"),
        bytes(FULL).replace(b"partition", b"partitiom"),
        bytes(FULL).replace(b"hangs", b"h\x1bngs"),
        bytes(FULL) + b"x" * 4096,
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_slots(data)


def test_a_slot_is_known_by_its_path_in_any_case() -> None:
    assert slot_of("\\EFI\\PYKEXEC\\B.EFI") == "b"
    assert slot_of("\\EFI\\pykexec\\pykexec.efi") == ""
