# SPDX-License-Identifier: Apache-2.0
"""What Linux' programs leave in the TPM goes, what was there before stays."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pykexec.errors import TpmError
from pykexec.tpm.loaded import flush_leftovers, loaded_handles

GET_CAPABILITY, FLUSH_CONTEXT = 0x17A, 0x165


@dataclass(slots=True)
class Tpm:
    """As much of a TPM as knows its handles."""

    handles: set[int] = field(default_factory=set)

    def __call__(self, command: bytes) -> bytes:
        _, size, code = struct.unpack_from(">HII", command)
        assert size == len(command)
        if code == FLUSH_CONTEXT:
            self.handles.remove(struct.unpack_from(">I", command, 10)[0])
            return struct.pack(">HII", 0x8001, 10, 0)
        capability, first, _ = struct.unpack_from(">III", command, 10)
        assert (code, capability) == (GET_CAPABILITY, 1)
        found = sorted(handle for handle in self.handles if handle >> 24 == first >> 24)
        body = struct.pack(f">BII{len(found)}I", 0, 1, len(found), *found)
        return struct.pack(">HII", 0x8001, 10 + len(body), 0) + body


def test_only_what_came_after_the_first_look_is_flushed(tmp_path: Path) -> None:
    tpm = Tpm({0x80000000, 0x03000001})
    baseline = str(tmp_path / "run" / "handles")
    assert flush_leftovers(tpm, baseline) == set()
    tpm.handles |= {0x80000001, 0x02000000, 0x81000001}
    assert flush_leftovers(tpm, baseline) == {0x80000001, 0x02000000}
    assert tpm.handles == {0x80000000, 0x03000001, 0x81000001}


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        (b"", "cut off"),
        (struct.pack(">HII", 0x8001, 10, 0x101), "TPM error 0x101"),
        (struct.pack(">HII", 0x8001, 10, 0), "cut off"),
        (struct.pack(">HIIBII", 0x8001, 19, 0, 0, 1, 1), "cut off"),
        (struct.pack(">HIIBII", 0x8001, 19, 0, 0, 1, 0xFFFFFFFF), "does not fit"),
        (struct.pack(">HIIBII", 0x8001, 19, 0, 0, 2, 0), "does not fit"),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(response: bytes, fault: str) -> None:
    with pytest.raises(TpmError, match=fault):
        loaded_handles(lambda _: response)


def test_a_tpm_that_never_ends_its_list_is_an_error() -> None:
    asked = 0

    def endless(command: bytes) -> bytes:
        nonlocal asked
        asked += 1
        (first,) = struct.unpack_from(">I", command, 14)
        handles = range(first, first + 254)
        body = struct.pack(">BII254I", 1, 1, 254, *handles)
        return struct.pack(">HII", 0x8001, 10 + len(body), 0) + body

    with pytest.raises(TpmError, match="does not fit"):
        loaded_handles(endless)
    assert asked < 20


def test_a_list_in_pieces_is_asked_for_piece_by_piece() -> None:
    tpm = Tpm({0x80000000, 0x80000001, 0x80000007})

    def one_at_a_time(command: bytes) -> bytes:
        _, first, _ = struct.unpack_from(">III", command, 10)
        left = sorted(h for h in tpm.handles if h >= first and h >> 24 == first >> 24)
        body = struct.pack(f">BII{len(left[:1])}I", len(left) > 1, 1, len(left[:1]), *left[:1])
        return struct.pack(">HII", 0x8001, 10 + len(body), 0) + body

    assert loaded_handles(one_at_a_time) == tpm.handles
