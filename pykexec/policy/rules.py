# SPDX-License-Identifier: Apache-2.0
"""CEL expressions of a policy, evaluated in a process of their own.

An expression comes from an operator, what it looks at from a stranger's machine, and the library
has neither a time limit nor a bound on memory, and crashes on deep nesting. So it runs where there
are no secrets, with limits that the kernel enforces (see worker).
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import IO

from pykexec.policy.model import Approval, Claims, Context, Policy, Rule
from pykexec.policy.windows import open_windows

VARIABLES_MAX = 1 << 20
"""Bytes of JSON; evidence that gives more than this has no place in a rule."""
_WALL_S = 20.0
_ANSWER_MAX = 4096
_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True)
class Answer:
    """value, or None and why there is none."""

    value: bool | None
    fault: str = ""


class _Worker:
    """A process for expressions, which is replaced when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        atexit.register(self._end)

    def ask(self, expressions: Sequence[str], variables: str) -> list[Answer]:
        """An answer for each expression; variables is JSON, "null" to compile them only."""
        request = f'{{"expressions": {json.dumps(expressions)}, "variables": {variables}}}\n'
        with self._lock:
            return self._ask(request.encode(), len(expressions))

    def _ask(self, request: bytes, count: int) -> list[Answer]:
        process = self._running()
        assert process.stdin and process.stdout
        answers: list[Answer] = []
        try:
            process.stdin.write(request)
            process.stdin.flush()
            deadline = time.monotonic() + _WALL_S
            while len(answers) < count:
                answers.append(_decode(_line(process.stdout, deadline)))
        except (OSError, TimeoutError, ValueError):
            self._end()
            answers.append(Answer(None, "takes too much time or memory to evaluate"))
            rest = Answer(None, "not evaluated: one before it takes too much time or memory")
            answers += [rest] * (count - len(answers))
        return answers

    def _running(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():
            self._process = None  # After fork() it answers to our parent.
        if self._process is None or self._process.poll() is not None:
            self._end()
            if find_spec("cel") is None:
                raise ModuleNotFoundError("common-expression-language is missing", name="cel")
            self._process = subprocess.Popen(
                [sys.executable, "-I", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                bufsize=0,
            )
            self._owner = os.getpid()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def _line(pipe: IO[bytes], deadline: float) -> bytes:
    """One line of the unbuffered pipe; every answer is one small write, so it comes whole."""
    line = b""
    with selectors.PollSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            if not (more := pipe.readline(_ANSWER_MAX)) or len(line) > _ANSWER_MAX:
                raise ValueError("no answer")
            line += more
    return line


def _decode(line: bytes) -> Answer:
    answer = json.loads(line)
    value, fault = answer.get("value"), answer.get("fault", "")
    return Answer(value if isinstance(value, bool) else None, str(fault))


# A machine whose evidence takes long must not stop all others. The last one is asked first, so a
# second process is started only when it is needed.
_workers: queue.LifoQueue[_Worker] = queue.LifoQueue()
for _ in range(2):
    _workers.put(_Worker())


def _ask(expressions: Sequence[str], variables: str) -> list[Answer]:
    worker = _workers.get()
    try:
        return worker.ask(expressions, variables)
    finally:
        _workers.put(worker)


def compile_fault(expressions: Sequence[str]) -> list[str]:
    """For each expression "" if it is CEL, else why it is not."""
    if not expressions:
        return []
    return [answer.fault for answer in _ask(expressions, "null")]


def evaluate(
    policy: Policy, rules: Sequence[Rule], claims: Claims, context: Context
) -> list[Answer]:
    """What each of these rules of the policy says."""
    if not rules:
        return []
    known = {"evidence": claims, "context": describe_context(policy, context)}
    if context.approval is not None:
        known["approval"] = describe_approval(context.approval)
    variables = json.dumps(known)
    if len(variables) > VARIABLES_MAX:
        fault = f"not evaluated: {len(variables)} bytes of evidence, {VARIABLES_MAX} are taken"
        return [Answer(None, fault)] * len(rules)
    return _ask([rule.expression for rule in rules], variables)


def describe_context(policy: Policy, context: Context) -> dict[str, object]:
    """The variable `context` of expressions, time as text."""
    return {
        "time": context.time.astimezone(UTC).isoformat(),
        "address": context.address,
        "networks": networks_of(policy, context.address),
        "machine": context.machine,
        "tags": list(context.tags),
        "labels": dict(context.labels),
        "windows": open_windows(policy, context),
        "releases": dict(context.releases),
        "quarantined": list(context.quarantined),
    }


def describe_approval(approval: Approval) -> dict[str, object]:
    """The variable `approval` of expressions, auth_time as text."""
    return {**asdict(approval), "auth_time": approval.auth_time.astimezone(UTC).isoformat()}


def networks_of(policy: Policy, address: str) -> list[str]:
    """Names of the policy's networks that the address is in."""
    try:
        peer = ip_address(address)
    except ValueError:
        return []
    mapped = getattr(peer, "ipv4_mapped", None)  # A dual-stack socket's name for an IPv4 peer.
    peer = mapped or peer
    return [
        name
        for name, networks in policy.networks.items()
        if any(peer in network for network in networks)
    ]
