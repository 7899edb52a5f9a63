# SPDX-License-Identifier: Apache-2.0
"""What others said goes to the console as one line that can do nothing to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pykexec.errors import NetworkError
from pykexec.log import describe, printable

HOSTILE = "\x1b[2J\x9b31m\u202e\u2066\x07\r\u2028x"
SHOWN = "?[2J?31m?????x"


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        (HOSTILE, None, SHOWN),
        ("a" * 9, 4, "aaaa..."),
        ("aaaa", 4, "aaaa"),
        ("grün 日本", None, "grün 日本"),
    ],
)
def test_words_of_others_are_one_printable_line(text: str, limit: int | None, shown: str) -> None:
    assert printable(text, limit) == shown


def test_an_error_is_printable_whatever_is_in_it() -> None:
    assert describe(NetworkError(f"x: {HOSTILE}")) == "x: ?[2J?31m??? x"
    assert describe(OSError(2, "No such file", HOSTILE)).isprintable()


@pytest.mark.parametrize("verbose", [False, True])
def test_a_record_is_printable_whatever_is_in_it(verbose: bool) -> None:
    script = (
        "import logging, sys; from pykexec.log import configure;"
        f"configure({verbose}); logging.getLogger('a').warning('%s', sys.argv[1])"
    )
    words = [sys.executable, "-c", script, HOSTILE]
    ran = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=True, encoding="utf-8")
    assert ran.stderr == f"a: {SHOWN}\n"
