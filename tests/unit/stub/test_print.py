# SPDX-License-Identifier: Apache-2.0
"""What the stub says reaches the firmware's console whole, in few calls."""

from __future__ import annotations

from pathlib import Path

from pykexec.run import run
from tests.unit.start.test_platform import CSRC, FLAGS

HERE = Path(__file__).parent


def test_words_come_whole_and_in_few_pieces(tmp_path: Path) -> None:
    program = tmp_path / "print"
    sources = [HERE / "print.c", CSRC / "stub/lib/console.c"]
    run(["gcc", *FLAGS, "-Werror", "-o", program, *sources], timeout_s=60)
    calls = [line.strip("|") for line in run([program]).decode().splitlines()]
    assert calls[:3] == [
        r"pykexec: [1000, ffffffffffffffff) of 0, a b\r\n",
        r"PK:stub:start:0\r\n",
        r"PK:stub:arena:0x8000000000000009\r\n",
    ]
    text = "".join(calls[3:])
    assert text == "x" * 200 + r"\r\n" * 101
    assert len(calls) == 9
