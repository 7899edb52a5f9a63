# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of the attestation server: how many machines it can serve, and at what price."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench import attest_server, attest_verify
from tests.bench.attest_server import Running
from tests.bench.attest_verify import Verification
from tests.support import postgresql

WORKERS = 2
PROCESSES = 2
MACHINES = 300
THREADS = 16
LOOP_S = 8.0
WARM_UP_S = 2.0
STORM_MACHINES = 1000
STORM_S = 20.0
"""The goal gives them a minute; a third of that is no easier."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under load; both CPU times are milliseconds for each attestation."""

    attestations: int
    seconds: float
    per_s: float
    server_cpu_ms: float
    generator_cpu_ms: float
    median_ms: float
    percentile_99_ms: float
    slowest_ms: float
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attestations:
    """All results, by database where it matters."""

    loop: dict[str, Load]
    storm: dict[str, Load]
    verification: Verification


def measure(directory: Path) -> Attestations:
    """Everything; about two minutes."""
    directory.mkdir(parents=True, exist_ok=True)
    loop, storms = {}, {}
    with postgresql.running(durable=True) as server:
        urls = {
            "SQLite": f"sqlite:///{directory}/store.db",
            "PostgreSQL": server.url(server.create()),
        }
        for name, url in urls.items():
            loop[name], storms[name] = _of_database(directory, name, url)
    return Attestations(loop, storms, attest_verify.measure(directory))


def _of_database(directory: Path, name: str, url: str) -> tuple[Load, Load]:
    key, log = directory / "master.key", directory / f"serve-{name}.log"
    attest_server.prepare(url, key, max(MACHINES, STORM_MACHINES))
    with attest_server.running(url, key, WORKERS, log) as server:
        # The storm first: then no machine has been seen before.
        stormy = _load(server, STORM_MACHINES, STORM_S, boot=1, storm=True)
        _load(server, MACHINES, WARM_UP_S, boot=2)
        return _load(server, MACHINES, LOOP_S, boot=10_000), stormy


def _load(server: Running, machines: int, seconds: float, boot: int, storm: bool = False) -> Load:
    share = machines // PROCESSES
    started = []
    for number in range(PROCESSES):
        command = [
            sys.executable, "-m", "tests.bench.attest_load", "--port", str(server.port),
            "--first", str(number * share), "--count", str(share), "--threads", str(THREADS),
            "--seconds", str(seconds), "--boot", str(boot), *(["--storm"] if storm else []),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
    for process in started:
        assert process.stdout and process.stdout.readline() == "ready\n"
    cpu = server.cpu_s()
    for process in started:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [json.loads(process.communicate(timeout=seconds + 120)[0]) for process in started]
    return _summary(reports, server.cpu_s() - cpu)


def _summary(reports: list[dict[str, object]], server_cpu_s: float) -> Load:
    latencies = [float(value) for report in reports for value in _list(report["latencies_ms"])]
    errors = [str(error) for report in reports for error in _list(report["errors"])]
    count = sum(_number(report["released"]) for report in reports)
    seconds = max(_number(report["seconds"]) for report in reports)
    generator_cpu_s = sum(_number(report["cpu_s"]) for report in reports)
    if not count:
        raise RuntimeError(f"not one attestation: {errors[:3]}")
    return Load(
        attestations=int(count),
        seconds=seconds,
        per_s=count / seconds,
        server_cpu_ms=server_cpu_s / count * 1000,
        generator_cpu_ms=generator_cpu_s / count * 1000,
        median_ms=statistics.median(latencies),
        percentile_99_ms=statistics.quantiles(latencies, n=100)[98],
        slowest_ms=max(latencies),
        errors=tuple(errors),
    )


def _list(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value
