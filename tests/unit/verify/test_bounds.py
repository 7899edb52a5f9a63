# SPDX-License-Identifier: Apache-2.0
"""What a stranger's evidence can take of the process that judges it, by the worst that there is."""

from __future__ import annotations

import json
import struct
import sys
import tracemalloc

import pytest

from pykexec.attest.protocol import MESSAGE_MAX, AttestRequest
from pykexec.errors import FormatError
from pykexec.run import run
from pykexec.verify.signatures import DATABASE_MAX, parse_signatures
from tests.lint.tree import ROOT
from tests.support import attest_ca, attest_log
from tests.support.attest_machine import Machine
from tests.support.hostile import ATTESTATIONS

CPU_S = 2.0
"""Of processor time, which the kernel counts; what is usual takes a thousandth of it."""
MOST_KIB = 96 << 10
"""Beside the message itself."""


@pytest.fixture(name="judged", scope="module")
def judged_fixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What became of each, and what it took."""
    directory = tmp_path_factory.mktemp("hostile")
    (directory / "root").write_bytes(attest_ca.root_der())
    usual = AttestRequest("t", bytes(32), Machine().evidence()).encode()
    bodies = {"usual": usual, **{name: make() for name, make in ATTESTATIONS.items()}}
    for name, body in bodies.items():
        assert len(body) <= MESSAGE_MAX
        (directory / name).write_bytes(body)
    words = [sys.executable, "-m", "tests.support.judge_one", str(directory / "root"), str(CPU_S)]
    words += [str(directory / name) for name in bodies]
    lines = run(words, timeout_s=300, cwd=ROOT).splitlines()
    return dict(zip(bodies, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("name", ATTESTATIONS)
def test_nobody_holds_a_worker_or_fills_its_memory(
    judged: dict[str, dict[str, object]], name: str
) -> None:
    taken = judged[name]
    assert taken["outcome"] in ("refused", "no message"), "it was judged to its end"
    assert isinstance(taken["most"], int) and taken["most"] <= MOST_KIB


def test_what_is_usual_is_judged_the_same_way(judged: dict[str, dict[str, object]]) -> None:
    assert judged["usual"]["outcome"] == "accepted"


@pytest.mark.parametrize(("size", "many"), [(4096, 100), (DATABASE_MAX, 3)])
def test_databases_of_strangers_are_not_kept_for_ever(size: int, many: int) -> None:
    """Another one each time: memory must not grow with their number."""

    def database(number: int) -> bytes:
        entries = [struct.pack("<I", number)] * ((size - 28) // 20)
        return attest_log.signature_list(attest_log.X509_LIST, entries)

    def judge(first: int) -> int:
        for number in range(first, first + many):
            parse_signatures(database(number))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_many, after_more = judge(0), judge(many)
    finally:
        tracemalloc.stop()
    assert after_more - after_many < 64 << 10
    assert after_many < 16 << 20


def test_a_database_that_no_firmware_has_is_not_read() -> None:
    entries = [bytes(DATABASE_MAX)]
    with pytest.raises(FormatError, match="at most 262144 are read"):
        parse_signatures(attest_log.signature_list(attest_log.X509_LIST, entries))
