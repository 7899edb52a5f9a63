# SPDX-License-Identifier: Apache-2.0
"""What the payload tests found, for the table on the page about them: build/payloads.json."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

FILE = Path(__file__).parents[2] / "build" / "payloads.json"


class Result(TypedDict):
    """One start of a payload: route is "direct" or "kexec", loader the kernel that did it."""

    payload: str
    firmware: str
    route: str
    loader: str
    passed: bool


def read_results(file: Path = FILE) -> list[Result]:
    """What is known so far."""
    results: list[Result] = json.loads(file.read_text()) if file.exists() else []
    return results


@contextmanager
def recorded(
    payload: str, firmware: str, route: str, loader: str = "", file: Path = FILE
) -> Iterator[None]:
    """Record whether the block passed, in place of what was known of the same start."""
    result = Result(payload=payload, firmware=firmware, route=route, loader=loader, passed=False)
    try:
        yield
        result["passed"] = True
    finally:
        _replace(result, file)


def _key(result: Result) -> tuple[str, str, str, str]:
    return result["payload"], result["firmware"], result["route"], result["loader"]


def _replace(result: Result, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = [old for old in read_results(file) if _key(old) != _key(result)]
        partial = file.with_suffix(f".{os.getpid()}")
        rows = sorted([*known, result], key=_key)
        partial.write_text(json.dumps(rows, indent=1) + "\n")
        partial.rename(file)
