# SPDX-License-Identifier: Apache-2.0
"""The CPU time of verify() for one evidence, and of keylime for the same quote and log."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pykexec.attest.protocol import Evidence, qualifying_data
from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.tpm.eventlog import parse_event_log
from pykexec.verify.told import forget_all
from pykexec.verify.verify import Expected, verify
from tests.support import attest_ca
from tests.support.attest_machine import Machine

ROUNDS = 300
GOAL_MS = 2.0
# keylime 7.14 names no requirements; these are what the functions that are called import.
PACKAGES = (
    "keylime==7.14.3", "cryptography", "jsonschema", "lark", "packaging", "psutil", "pyasn1",
    "pyasn1-modules", "pyyaml", "requests", "sqlalchemy", "tornado",
)  # fmt: skip
_SHA256 = 0x000B
_BANKS = 16


@dataclass(frozen=True, slots=True)
class Keylime:
    """CPU milliseconds of keylime's functions for the quote and for the log; why not, else."""

    quote_ms: float | None
    log_ms: float | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """CPU milliseconds of verify(): quote, EK chain (known from before), log and claims; again_ms
    where the log is known from before, too.
    """

    events: int
    verify_ms: float
    again_ms: float
    keylime: Keylime


def measure(directory: Path) -> Verification:
    """Ours in this process, keylime's in an environment of its own below directory."""
    machine = Machine("bench-verify")
    evidence = machine.evidence(bytes(32))
    expected = Expected(datetime.now(UTC), bytes(32), ek_roots=(attest_ca.root_der(),))
    if not verify(evidence, expected).verdict.accepted:
        raise RuntimeError("the evidence is not accepted")

    def again() -> None:
        verify(evidence, expected)

    def first() -> None:
        forget_all()
        again()

    first_ms, again_ms = _rounds_ms(first), _rounds_ms(again)
    events = len(parse_event_log(machine.event_log).events)
    keylime = _keylime(directory / "keylime", machine, evidence)
    return Verification(events, first_ms, again_ms, keylime)


def _rounds_ms(work: Callable[[], None]) -> float:
    start = time.process_time()
    for _ in range(ROUNDS):
        work()
    return (time.process_time() - start) / ROUNDS * 1000


def _keylime(directory: Path, machine: Machine, evidence: Evidence) -> Keylime:
    python = directory / "bin" / "python"
    try:
        if not python.exists():
            run([sys.executable, "-m", "venv", directory], timeout_s=120)
        run([python, "-m", "pip", "install", "--quiet", *PACKAGES], timeout_s=300)
    except ToolError as error:
        return Keylime(None, None, f"cannot be installed: {error}"[:300])
    spki = machine.ak.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    given = {
        "ak": _text(spki),
        "signature": _text(evidence.signature),
        "quote": _text(evidence.quote),
        "pcrs": _text(_tools_pcrs(evidence)),
        "nonce": _text(qualifying_data(evidence.statement)),
        "count": len(evidence.pcrs),
        "log": _text(evidence.event_log),
    }
    script = Path(__file__).with_name("attest_keylime.py")
    done = subprocess.run(
        [python, script], input=json.dumps(given), capture_output=True, text=True, cwd=directory,
        timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        return Keylime(None, None, done.stderr.strip().rpartition("\n")[2][:300])
    found = json.loads(done.stdout.splitlines()[-1])
    return Keylime(found["quote_ms"], found["log_ms"])


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _tools_pcrs(evidence: Evidence) -> bytes:
    """Registers as tpm2_quote --pcr writes them: structures as they are in x86's memory."""
    selected = sum(1 << number for number in evidence.pcrs)
    selections = struct.pack("<HB3s2x", _SHA256, 3, selected.to_bytes(3, "little"))
    selections += bytes(8) * (_BANKS - 1)
    values = [evidence.pcrs[number] for number in sorted(evidence.pcrs)]
    groups = [values[start : start + 8] for start in range(0, len(values), 8)]
    data = struct.pack("<I", 1) + selections + struct.pack("<I", len(groups))
    for group in groups:
        data += struct.pack("<I", len(group))
        for value in (*group, *([b""] * (8 - len(group)))):
            data += struct.pack("<H64s", len(value), value)
    return data
