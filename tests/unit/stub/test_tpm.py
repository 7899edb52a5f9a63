# SPDX-License-Identifier: Apache-2.0
"""The stub's TPM commands, on the host: a firmware whose TPM is busy has them asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from pykexec.tpm.response_code import RETRIED
from pykexec.tpm.wire import response_code

CSRC = Path(__file__).parents[3] / "csrc"
SOURCES = ["stub/services/tpm.c", "stub/services/tcg2.c", "stub/lib/call.c"]
COMMON = [f"common/{name}.c" for name in ("event_log", "guids", "tpm_filter")]
GET_RANDOM = bytes.fromhex("8001 0000000c 0000017b 0010")
ERROR = 1 << 63
NOT_READY, DEVICE_ERROR = ERROR | 6, ERROR | 7


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tpm") / "tpm"
    flags = ["-std=gnu11", "-fshort-wchar", "-g", "-fsanitize=address,undefined"]
    includes = [f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    own = str(Path(__file__).parent / "tpm.c")
    files = [str(CSRC / name) for name in (*SOURCES, *COMMON)]
    run(["gcc", *flags, *includes, own, *files, "-o", str(path)], timeout_s=120)
    return path


def told(program: Path, outcome: int) -> tuple[int, bytes]:
    """The status and the response that Linux is given where the firmware says outcome."""
    words = run([program, hex(outcome)], stdin=GET_RANDOM, timeout_s=60).decode().split()
    return int(words[0], 16), bytes.fromhex("".join(words[1:]))


def test_a_busy_tpm_says_so_as_tpms_do(program: Path) -> None:
    status, response = told(program, NOT_READY)
    assert (status, len(response)) == (0, 10)
    assert response_code(response) in RETRIED


def test_what_may_have_been_done_is_not_asked_again(program: Path) -> None:
    assert told(program, DEVICE_ERROR) == (DEVICE_ERROR, b"")


def test_a_response_is_the_tpms(program: Path) -> None:
    status, response = told(program, 0)
    assert (status, response_code(response)) == (0, 0)
