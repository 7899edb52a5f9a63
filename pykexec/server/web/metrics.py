# SPDX-License-Identifier: Apache-2.0
"""Counters of all workers, in the text format that Prometheus reads (version 0.0.4)."""

from __future__ import annotations

import json
import mmap
import struct
import threading
import zlib
from bisect import bisect_left
from collections.abc import Iterable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SERIES_MAX = 400
"""Of one worker; further ones are counted under the label "other"."""

COUNTERS = {
    "pykexec_requests_total": "Requests answered, by route and status.",
    "pykexec_attestations_total": "Attestations judged, by result.",
    "pykexec_findings_total": "Findings that refused, by code.",
    "pykexec_releases_total": "Attestations that were given their secrets.",
    "pykexec_approvals_total": "What persons did about boots that wait for them, by result.",
    "pykexec_break_glass_total": "Machines without a network that were helped or not, by result.",
    "pykexec_limited_total": "Requests refused for their rate, by limit.",
    "pykexec_logins_total": "Logins to the operator page, by result.",
    "pykexec_webhook_messages_total": "Attempts to tell a webhook, by result.",
    "pykexec_failures_total": "Requests that ended in a fault of the server.",
}
HISTOGRAMS = {"pykexec_request_seconds": "Time from a request's head to its answer, by route."}
GAUGES = {
    "pykexec_machines": "Machines, by state.",
    "pykexec_expiry_timestamp_seconds": "When the first one of a kind ends (Unix time), by kind.",
    "pykexec_outdated_machines": "Enrolled machines that a policy's [[outdated]] names.",
    "pykexec_webhooks": "Webhooks, by state: ok, failing, stopped.",
    "pykexec_ready": "Whether the server can attest (1) or not (0).",
}

_REGION_SIZE = 128 << 10
_HEAD = struct.Struct("<II")  # size, CRC-32 of what follows

Series = tuple[str, tuple[tuple[str, str], ...]]


class Metrics:
    """Each worker counts for itself and puts its figures where all can read them: publish()."""

    def __init__(self, workers: int = 1) -> None:
        self._memory = mmap.mmap(-1, _REGION_SIZE * workers)
        self._workers = workers
        self._worker = 0
        self._values: dict[Series, float] = {}
        self._lock = threading.Lock()

    def attach(self, worker: int) -> None:
        """Become that worker; one that took another's place counts on from there."""
        self._worker = worker
        self._values = self._read(worker)

    def count(self, name: str, **labels: str) -> None:
        """One more of a counter."""
        self._add((name, tuple(labels.items())), 1)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """One more value of a histogram."""
        items = tuple(labels.items())
        index = bisect_left(BUCKETS, seconds)
        bound = f"{BUCKETS[index]:g}" if index < len(BUCKETS) else "+Inf"
        self._add((f"{name}_bucket", (*items, ("le", bound))), 1)
        self._add((f"{name}_sum", items), seconds)

    def _add(self, series: Series, value: float) -> None:
        with self._lock:
            values = self._values
            if series not in values and len(values) >= SERIES_MAX:
                name, labels = series
                series = (name, tuple((k, v if k == "le" else "other") for k, v in labels))
            values[series] = values.get(series, 0.0) + value

    def publish(self) -> None:
        """Show this worker's figures to the others; cheap enough for once a second."""
        with self._lock:
            rows = [[*series, value] for series, value in self._values.items()]
        data = json.dumps(rows).encode()
        if len(data) > _REGION_SIZE - _HEAD.size:
            return
        start = self._worker * _REGION_SIZE
        _HEAD.pack_into(self._memory, start, len(data), zlib.crc32(data))
        self._memory[start + _HEAD.size : start + _HEAD.size + len(data)] = data

    def _read(self, worker: int) -> dict[Series, float]:
        start = worker * _REGION_SIZE
        for _attempt in range(3):  # Its owner may be writing.
            size, crc = _HEAD.unpack_from(self._memory, start)
            data = self._memory[start + _HEAD.size : start + _HEAD.size + size]
            if size and zlib.crc32(data) == crc:
                return {
                    (name, tuple((key, text) for key, text in labels)): value
                    for name, labels, value in json.loads(data)
                }
        return {}

    def render(self, gauges: Iterable[tuple[str, dict[str, str], float]] = ()) -> str:
        """All workers' figures together, and the gauges that were just taken."""
        self.publish()
        taken = [(name, tuple(labels.items()), float(value)) for name, labels, value in gauges]
        total: dict[Series, float] = {}
        for worker in range(self._workers):
            for series, value in self._read(worker).items():
                total[series] = total.get(series, 0.0) + value
        lines = []
        for name, text in COUNTERS.items():
            lines += _head(name, "counter", text)
            lines += _lines(name, {key: v for (n, key), v in total.items() if n == name})
        for name, text in HISTOGRAMS.items():
            lines += _head(name, "histogram", text)
            lines += _histogram(name, total)
        for name, text in GAUGES.items():
            lines += _head(name, "gauge", text)
            lines += _lines(name, {labels: v for n, labels, v in taken if n == name})
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _lines(name: str, values: dict[tuple[tuple[str, str], ...], float]) -> list[str]:
    return [f"{name}{_labels(labels)} {_number(v)}" for labels, v in sorted(values.items())]


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _histogram(name: str, total: dict[Series, float]) -> list[str]:
    lines = []
    sums = {labels: value for (n, labels), value in total.items() if n == f"{name}_sum"}
    for labels, value in sorted(sums.items()):
        count = 0.0
        for bound in (*(f"{bucket:g}" for bucket in BUCKETS), "+Inf"):
            count += total.get((f"{name}_bucket", (*labels, ("le", bound))), 0.0)
            lines.append(f"{name}_bucket{_labels((*labels, ('le', bound)))} {_number(count)}")
        lines.append(f"{name}_sum{_labels(labels)} {_number(value)}")
        lines.append(f"{name}_count{_labels(labels)} {_number(count)}")
    return lines
