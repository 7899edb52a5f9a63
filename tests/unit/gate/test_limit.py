# SPDX-License-Identifier: Apache-2.0
"""A call that the firmware does not come back from is told, once; one that it does never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from tests.unit.gate.test_state import CSRC, FLAGS, HERE


@pytest.fixture(scope="module", name="limit")
def limit_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("limit") / "limit"
    run(["gcc", *FLAGS, "-o", program, HERE / "limit.c", CSRC / "stub/gate/limit.c"], timeout_s=60)
    return program


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        (["2", "2", "2n", "2"], []),
        (["1", "9"], ["operation 17 after 3 s"]),
        # What holds back the first event is found by the second, later.
        (["12n"], []),
        (["20n"], ["operation 17 after 13 s"]),
        (["600i"], []),
    ],
)
def test_a_call_without_an_end_is_told(calls: list[str], told: list[str], limit: Path) -> None:
    assert run([limit, *calls]).decode().splitlines() == [*told, "0 events are left"]
