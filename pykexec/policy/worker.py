# SPDX-License-Identifier: Apache-2.0
"""The process that evaluates CEL expressions for rules; started as a file, by itself.

It reads one JSON document a line and answers each expression with one line. What takes too much
processor time or memory ends the process, not its parent.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

import cel

CPU_S = 1.0
"""For all expressions of a request together."""
_MEMORY_MAX = 1 << 30
_PROGRAMS_MAX = 1024


class _Program(Protocol):
    def execute(self, context: cel.Context) -> object: ...


_programs: dict[str, _Program] = {}


def _program(expression: str) -> _Program:
    if expression not in _programs:
        if len(_programs) >= _PROGRAMS_MAX:
            _programs.clear()
        _programs[expression] = cel.compile(expression)
    return _programs[expression]


def _answer(expression: str, context: cel.Context | None) -> dict[str, object]:
    """The value of the expression; without a context whether it is one."""
    program = _program(expression)
    value = True if context is None else program.execute(context)
    if not isinstance(value, bool):
        return {"fault": f"gives {type(value).__name__}, neither true nor false"}
    return {"value": value}


def _fault(error: Exception) -> dict[str, object]:
    words = str(error).splitlines() or [""]
    return {"fault": f"{type(error).__name__}: {' '.join(words)}"[:500]}


def _context(variables: dict[str, dict[str, object]]) -> cel.Context:
    known = dict(variables)
    for name, key in (("context", "time"), ("approval", "auth_time")):
        if name in known:
            time = datetime.fromisoformat(str(known[name][key]))
            known[name] = {**known[name], key: time}
    return cel.Context(variables=known)


def _answers(request: dict[str, Any]) -> Iterator[dict[str, object]]:
    """One for each expression; whatever the library raises, the expression has no value."""
    expressions, variables = request["expressions"], request["variables"]
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        context = None if variables is None else _context(variables)
    except Exception as error:
        yield from [_fault(error)] * len(expressions)
        return
    for expression in expressions:
        try:
            yield _answer(expression, context)
        except Exception as error:
            yield _fault(error)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MAX, _MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    # The interpreter may hold back a handler of its own as long as native code runs; the default
    # action cannot be.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> None:
    """Serve until standard input ends."""
    _limit()
    for line in sys.stdin.buffer:
        for answer in _answers(json.loads(line)):
            sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
            sys.stdout.buffer.flush()
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
