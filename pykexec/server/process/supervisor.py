# SPDX-License-Identifier: Apache-2.0
"""Worker processes by fork: what they share was made before, the rest each makes for itself."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

SHORT_LIFE_S = 5.0
SHORT_LIVES_MAX = 5
"""So many lives in a row may be short before the whole server gives up."""
_WAITED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int
    started: float
    replaced: bool = False


def supervise(count: int, work: Callable[[int], None], grace_s: float) -> int:
    """Run work(number) in count processes until SIGTERM or SIGINT, which are passed on.

    A worker that ends by itself is started again; SIGHUP ends and starts them one after the other.
    Who is not gone grace_s after it was told so is killed. 0, or 1 when they keep dying.
    """
    # Signals are waited for, not handled: nothing here can be interrupted half-way.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    workers = {number: _start(number, work) for number in range(count)}
    short_lives = 0
    try:
        while True:
            received = signal.sigwait(_WAITED)
            if received in (signal.SIGTERM, signal.SIGINT):
                return 0
            if received == signal.SIGHUP:
                for worker in workers.values():
                    _replace(worker, grace_s)
            for worker in _ended(workers):
                short = time.monotonic() - worker.started < SHORT_LIFE_S
                if not worker.replaced:
                    log.error("worker %d ended; it is started again", worker.number)
                    short_lives = short_lives + 1 if short else 0
                if short_lives >= SHORT_LIVES_MAX:
                    log.error("workers keep dying; giving up")
                    return 1
                if short_lives:
                    time.sleep(min(0.2 * 2**short_lives, 5))
                workers[worker.number] = _start(worker.number, work)
    finally:
        _stop(list(workers.values()), grace_s)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAITED)


def _start(number: int, work: Callable[[int], None]) -> _Worker:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return _Worker(number, pid, time.monotonic())
    code = 1
    try:
        for ours in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises again what it has ended gracefully for.
            signal.signal(ours, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAITED)
        work(number)
        code = 0
    except BaseException as error:
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("worker %d: %s: %s\n%s", number, type(error).__qualname__, error, frames)
    finally:
        logging.shutdown()
        os._exit(code)


def _ended(workers: dict[int, _Worker]) -> list[_Worker]:
    return [worker for worker in workers.values() if _is_gone(worker)]


def _is_gone(worker: _Worker) -> bool:
    if not worker.pid:
        return True
    pid, _status = os.waitpid(worker.pid, os.WNOHANG)
    if pid:
        worker.pid = 0
    return pid != 0


def _replace(worker: _Worker, grace_s: float) -> None:
    worker.replaced = True
    _stop([worker], grace_s)


def _stop(workers: list[_Worker], grace_s: float) -> None:
    for worker in workers:
        if worker.pid:
            os.kill(worker.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while not all([_is_gone(worker) for worker in workers]):
        if time.monotonic() > deadline:
            for worker in workers:
                if worker.pid:
                    log.error("worker %d does not end; it is killed", worker.number)
                    os.kill(worker.pid, signal.SIGKILL)
                    os.waitpid(worker.pid, 0)
                    worker.pid = 0
            return
        time.sleep(0.05)
