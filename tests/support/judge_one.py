# SPDX-License-Identifier: Apache-2.0
"""Judges messages from files, each in a process of its own that the kernel ends when it takes too
much processor time; prints what each has taken: outcome, KiB of memory at most, KiB kept.

    judge_one.py ROOT.der CPU_S FILE...
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from pykexec.attest.decode import parse_attest_request
from pykexec.attest.fields import ProtocolError
from pykexec.verify.verify import Expected, verify

_NOW = datetime(2026, 11, 22, tzinfo=UTC)


def _judge(data: bytes, root: bytes) -> str:
    try:
        request = parse_attest_request(data)
    except ProtocolError:
        return "no message"
    verified = verify(request.evidence, Expected(_NOW, bytes(32), ek_roots=(root,)))
    json.dumps(verified.claims)  # As for rules.
    return "accepted" if verified.verdict.accepted else "refused"


def _memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def _measure(path: str, root: bytes, cpu_s: float) -> dict[str, object]:
    data = Path(path).read_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew (proc_pid_clear_refs(5)).
    before = _memory("VmRSS")
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    outcome = _judge(data, root)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return {
        "outcome": outcome,
        "most": _memory("VmHWM") - before,
        "kept": _memory("VmRSS") - before,
    }


def main() -> None:
    """A line of JSON for each file."""
    root, cpu_s = Path(sys.argv[1]).read_bytes(), float(sys.argv[2])
    for number, path in enumerate(sys.argv[3:]):
        if number == 0:
            assert _judge(Path(path).read_bytes(), root) == "accepted"  # Imports and caches.
        child = os.fork()
        if not child:
            print(json.dumps(_measure(path, root, cpu_s)), flush=True)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status:
            print(json.dumps({"outcome": f"status {status}", "most": 0, "kept": 0}), flush=True)


if __name__ == "__main__":
    main()
