# SPDX-License-Identifier: Apache-2.0
"""The process of a bridge: started, ended, and its end understood, whatever of that fails."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pykexec.bridge import Bridge, state
from pykexec.bridge.kinds import release, serve
from pykexec.errors import PykexecError
from pykexec.log import describe
from pykexec.steps import attempt, on_stderr, words

# A kernel keeps an NBD's requests for 30 s when nobody is there to answer: no pause is longer.
PAUSES_S: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
# Until what is in Linux' memory is on the disk; all but that takes no time worth mentioning.
GRACE_S = 30.0
_KILLED_S = 5.0
_STEADY_S = 60.0  # A bridge that lived so long has no failures to its name.
_FAULT_MAX = 1000


@dataclass(slots=True)
class Child:
    """A bridge and the process that serves it, if one does (pid 0: none)."""

    bridge: Bridge
    pid: int = 0
    pidfd: int = -1
    stop_fd: int = -1  # the write end of what it listens to
    fault_fd: int = -1  # what it has to say when it fails
    fault: str = ""
    failures: int = 0
    started: float = 0.0
    again: float = 0.0  # when to start it anew


def start(child: Child, kept: Collection[int] = ()) -> None:
    """Fork the process that serves the bridge; of the other descriptors it keeps those alone.

    Where that fails it counts as a process that has failed.
    """
    child.started = time.monotonic()
    try:
        _fork(child, kept)
    except Exception as error:
        _forget_process(child)
        _failed(child, words(error))


def _fork(child: Child, kept: Collection[int]) -> None:
    stop_read = fault_write = -1
    try:
        stop_read, child.stop_fd = os.pipe2(os.O_CLOEXEC)
        child.fault_fd, fault_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            _be(child.bridge, stop_read, fault_write, kept)
        child.pid = pid
        child.pidfd = os.pidfd_open(pid)
    except BaseException:
        if child.pid:  # Nobody would hear of its end.
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        raise
    finally:
        _close(stop_read, fault_write)


def _be(bridge: Bridge, stop_fd: int, fault_fd: int, kept: Collection[int]) -> None:
    code = 1
    try:
        # Not the siblings' pipes, nor clients, nor the socket that they come by.
        _close_all_but({0, 1, 2, stop_fd, fault_fd, *kept})
        with _also_by_signal(stop_fd) as stop:
            serve(bridge, stop.fileno())
        code = 0
    except BaseException as error:
        fault = describe(error) if isinstance(error, PykexecError) else repr(error)
        with suppress(OSError):
            os.write(fault_fd, fault.encode(errors="replace")[:_FAULT_MAX])
    finally:
        os._exit(code)


def _also_by_signal(stop_fd: int) -> select.epoll:
    """Readable when stop_fd is, or once SIGTERM has come: the main thread may be busy in C.

    So whoever asks a bridge to end has it end as it always does, with nothing under way.
    """
    told, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    stop = select.epoll()
    stop.register(stop_fd, select.EPOLLIN)
    stop.register(told, select.EPOLLIN)
    return stop


def _close_all_but(kept: Collection[int]) -> None:
    first = 0
    for fd in sorted(kept):
        if first < fd:  # An empty range at 0 is to Python all there is.
            os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def reap(child: Child) -> bool:
    """Its process has ended: note why, and when to try again; True if it did so by itself."""
    pid = child.pid
    status = attempt("bridge: waitpid", lambda: os.waitpid(pid, 0)[1], 1 << 8)
    code = os.waitstatus_to_exitcode(status)
    said = _said(child)
    _forget_process(child)
    _withdraw(child)
    if time.monotonic() - child.started > _STEADY_S:
        child.failures = 0
    if code == 0:  # The device has gone, or another medium is in it.
        child.fault = ""
        child.again = time.monotonic() + _pause_s(child.failures + 1)
        return True
    _failed(child, said or (f"ended by signal {-code}" if code < 0 else f"exit code {code}"))
    return False


def _failed(child: Child, fault: str) -> None:
    pause_s = _pause_s(child.failures)
    child.fault, child.failures = fault, child.failures + 1
    child.again = time.monotonic() + pause_s
    on_stderr(f"bridge: {child.bridge.name}: {fault}; again in {pause_s:g} s")


def _pause_s(failures: int) -> float:
    return PAUSES_S[min(failures, len(PAUSES_S) - 1)]


def end(*children: Child) -> list[Child]:
    """Have the bridges end by themselves, all at once, or by force; those that did not end well.

    Their fault tells why: something that was written last has not reached a disk, say.
    """
    served = [child for child in children if child.pid]
    for child in served:
        with suppress(OSError):  # EPIPE: it has ended, and was not reaped yet.
            os.write(child.stop_fd, b"\0")
    deadline = time.monotonic() + GRACE_S
    for child in served:
        child.fault = ""
        _step(child, partial(_wait, child, deadline))
        _forget_process(child)
        _withdraw(child)
    for child in children:
        _step(child, partial(release, child.bridge))
    return [child for child in served if child.fault]


def _wait(child: Child, deadline: float) -> None:
    poll = select.poll()
    poll.register(child.pidfd, select.POLLIN)
    if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        child.fault = "does not end, killed"
        os.kill(child.pid, signal.SIGKILL)
        poll.poll(_KILLED_S * 1000)
    pid, status = os.waitpid(child.pid, os.WNOHANG)
    if pid and status and not child.fault:
        child.fault = _said(child) or f"ended with status {status:#x}"
    if child.fault:
        on_stderr(f"bridge: {child.bridge.name}: {child.fault}")


def _said(child: Child) -> str:
    said = attempt("bridge: fault", lambda: os.read(child.fault_fd, _FAULT_MAX), b"")
    return said.decode(errors="replace")


def _withdraw(child: Child) -> None:
    _step(child, partial(state.withdraw, child.bridge))


def _step(child: Child, step: Callable[[], None]) -> None:
    attempt(f"bridge: {child.bridge.name}", step, None)


def _forget_process(child: Child) -> None:
    _close(child.pidfd, child.stop_fd, child.fault_fd)
    child.pid, child.pidfd, child.stop_fd, child.fault_fd = 0, -1, -1, -1


def _close(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
