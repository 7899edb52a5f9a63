# SPDX-License-Identifier: Apache-2.0
"""The attestation server's figures beside their goals, for people."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.attest import STORM_S, Attestations, Load
from tests.bench.attest_verify import GOAL_MS, Verification

Row = tuple[str, str, str, str]

RATE_GOAL = 500.0
SERVER_GOAL_MS = 2.0
STORM_GOAL_S = 60.0
CORES = 2


def rows(found: Attestations) -> Iterator[Row]:
    """What, the figure, what it consists of, the goal."""
    yield ("attestation server", "", "", "goal")
    yield from _verification(found.verification)
    for name, load in found.loop.items():
        yield _loop(name, load)
        yield _server(name, load)
        yield _generator(name, load)
    for name, load in found.storm.items():
        yield _storm(name, load)
        yield _server(f"{name}, logs that are new", load)


def _verification(found: Verification) -> Iterator[Row]:
    yield (
        "verify(), CPU time",
        f"{found.verify_ms:.2f} ms",
        f"quote, EK, {found.events} events, claims; {found.again_ms:.2f} ms where the log is known",
        _goal(found.verify_ms < GOAL_MS, f"< {GOAL_MS:g} ms"),
    )
    theirs = found.keylime
    if theirs.quote_ms is None or theirs.log_ms is None:
        yield ("keylime, the same evidence", "cannot run", theirs.fault, "")
        return
    total = theirs.quote_ms + theirs.log_ms
    yield (
        "keylime, the same evidence",
        f"{total:.2f} ms",
        f"quote {theirs.quote_ms:.2f} ms, log {theirs.log_ms:.2f} ms",
        f"{total / found.verify_ms:.0f} x ours",
    )


def _loop(name: str, load: Load) -> Row:
    return (
        f"attestations, {name}",
        f"{load.per_s:.0f}/s",
        f"median {load.median_ms:.0f} ms, 99 % below {load.percentile_99_ms:.0f} ms; "
        "the machines are simulated on the same cores",
        _goal(load.per_s >= RATE_GOAL and not load.errors, f">= {RATE_GOAL:g}/s"),
    )


def _server(name: str, load: Load) -> Row:
    capacity = CORES * 1000 / load.server_cpu_ms
    return (
        f"  the server's CPU time for each, {name}",
        f"{load.server_cpu_ms:.2f} ms",
        f"that would be {capacity:.0f}/s on {CORES} cores of its own, the database's aside",
        _goal(load.server_cpu_ms < SERVER_GOAL_MS, f"< {SERVER_GOAL_MS:g} ms"),
    )


def _generator(name: str, load: Load) -> Row:
    return (
        f"  the simulated machines' own, {name}",
        f"{load.generator_cpu_ms:.2f} ms",
        "their keys, credential and quote, and both requests",
        "",
    )


def _storm(name: str, load: Load) -> Row:
    errors = f"{len(load.errors)} errors" if load.errors else "no error"
    return (
        f"storm of machines, {name}",
        f"{load.attestations} in {load.seconds:.0f} s",
        f"{errors}; starts spread over {STORM_S:g} s, slowest {load.slowest_ms:.0f} ms",
        _goal(not load.errors and load.seconds < STORM_GOAL_S, f"no error, < {STORM_GOAL_S:g} s"),
    )


def _goal(met: bool, text: str) -> str:
    return f"{text}: {'met' if met else 'MISSED'}"
