# SPDX-License-Identifier: Apache-2.0
"""TPM2_PCR_Read: what is asked, and answers that do not fit."""

from __future__ import annotations

import struct

import pytest

from pykexec.errors import TpmError
from pykexec.tpm.pcr import read_pcrs


def response(numbers: set[int], values: list[bytes], code: int = 0, algorithm: int = 0xB) -> bytes:
    bits = sum(1 << number for number in numbers).to_bytes(3, "little")
    body = struct.pack(">IIHB3sI", 7, 1, algorithm, 3, bits, len(values))
    body += b"".join(struct.pack(">H", len(value)) + value for value in values)
    return struct.pack(">HII", 0x8001, 10 + len(body), code) + body


def test_a_tpm_that_answers_in_pieces_is_asked_again() -> None:
    asked = []
    answers = [response({0, 4}, [b"a" * 32, b"b" * 32]), response({9}, [b"c" * 32])]

    def transmit(command: bytes) -> bytes:
        asked.append(command)
        return answers[len(asked) - 1]

    assert read_pcrs(transmit, "sha256", [9, 0, 4]) == {0: b"a" * 32, 4: b"b" * 32, 9: b"c" * 32}
    assert asked == [
        bytes.fromhex("8001 00000014 0000017e 00000001 000b 03 110200"),
        bytes.fromhex("8001 00000014 0000017e 00000001 000b 03 000200"),
    ]


def test_a_bank_that_is_not_active_is_empty() -> None:
    assert read_pcrs(lambda _: response(set(), []), "sha256", [0]) == {}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"", "cut off"),
        (response({0}, [b"a" * 32])[:-1], "cut off"),
        (response({0}, [b"a" * 32])[:20], "cut off"),
        (response({0}, [b"a" * 32], code=0x101), "error 0x101"),
        (response({1}, [b"a" * 32]), "does not fit"),
        (response({0}, []), "does not fit"),
        (response({0}, [b"a" * 31]), "does not fit"),
        (response({0}, [b"a" * 32], algorithm=4), "does not fit"),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(answer: bytes, fault: str) -> None:
    with pytest.raises(TpmError, match=fault):
        read_pcrs(lambda _: answer, "sha256", [0])
