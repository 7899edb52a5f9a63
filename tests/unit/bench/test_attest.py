# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the attestation server: figures become goals that are met or missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.attest import Attestations, Load
from tests.bench.attest_report import rows
from tests.bench.attest_verify import Keylime, Verification

LOAD = Load(1000, 2.0, 500.0, 1.9, 1.0, 20.0, 50.0, 90.0, ())


def told(load: Load = LOAD, keylime: Keylime | None = None, verify_ms: float = 1.0) -> str:
    verification = Verification(63, verify_ms, 0.25, keylime or Keylime(0.1, 18.9))
    found = Attestations({"SQLite": load}, {"SQLite": load}, verification)
    return "\n".join(" | ".join(row) for row in rows(found))


def test_goals_that_are_met_say_so() -> None:
    assert "MISSED" not in told() and told().count(": met") == 5


@pytest.mark.parametrize(
    ("load", "missed"),
    [
        (replace(LOAD, per_s=476.0), ">= 500/s: MISSED"),
        (replace(LOAD, server_cpu_ms=2.1), "SQLite | 2.10 ms | "),
        (replace(LOAD, server_cpu_ms=2.1), "the database's aside | < 2 ms: MISSED"),
        (replace(LOAD, seconds=61.0), "< 60 s: MISSED"),
        (replace(LOAD, errors=("x",)), "no error, < 60 s: MISSED"),
    ],
)
def test_goals_that_are_missed_say_so(load: Load, missed: str) -> None:
    assert missed in told(load)


def test_the_machines_own_time_is_told_apart_from_the_servers() -> None:
    assert "the simulated machines' own, SQLite | 1.00 ms" in told()


def test_what_a_known_log_spares_is_told_apart() -> None:
    assert "63 events, claims; 0.25 ms where the log is known" in told()
    assert "CPU time for each, SQLite, logs that are new | 1.90 ms" in told()


def test_keylime_is_a_ratio_or_a_reason() -> None:
    assert "19 x ours" in told()
    assert "cannot run | no libefivar" in told(keylime=Keylime(None, None, "no libefivar"))


def test_a_slow_verification_is_missed() -> None:
    assert "< 2 ms: MISSED" in told(verify_ms=2.5)
