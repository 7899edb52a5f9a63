# SPDX-License-Identifier: Apache-2.0
"""The supervisor: finds devices, keeps a bridge running for each, starts again what dies."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from pykexec._native import ffi
from pykexec.abi_devices import WindowConstant
from pykexec.bridge import FAILED, STARTING, UP, Bridge, state
from pykexec.bridge.kinds import discover, release, serve
from pykexec.bridge.native import Natives
from pykexec.bridge.window import find_window
from pykexec.errors import PykexecError
from pykexec.firmware.mailbox import Mailbox
from pykexec.log import describe

LOOK_S = 2.0
SCAN_S = 30.0  # For what goes without a word; bridges themselves notice it sooner.
_GRACE_S = 5.0
_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_S = 60.0  # A bridge that lived so long has no failures to its name.
_REQUEST_MAX = 65536


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


@dataclass(slots=True)
class Waiter:
    """A client that gets its answer when the bridges of kinds have settled."""

    connection: socket.socket
    kinds: tuple[str, ...]
    deadline: float


@dataclass(slots=True)
class Supervisor:
    """All that the loop knows."""

    mailbox: Mailbox
    natives: Natives
    wanted: set[str] = field(default_factory=set)
    children: dict[str, Child] = field(default_factory=dict)
    waiters: list[Waiter] = field(default_factory=list)
    header: mmap.mmap | None = None  # of the window
    nr_installed: int = 0  # as of the last scan
    next_look: float = 0.0
    next_scan: float = 0.0
    ended: bool = False


def run(path: str) -> None:
    """Serve clients at the socket path until one of them stops everything."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # Another one was faster.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    mailbox = Mailbox()
    supervisor = Supervisor(mailbox, Natives(mailbox), header=_map_header())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        if os.path.exists(path):
            os.unlink(path)
        listener.bind(path)
        listener.listen(8)
        while not supervisor.ended:
            _turn(supervisor, listener)
        os.unlink(path)


def _map_header() -> mmap.mmap | None:
    dax = find_window()  # Once for all that are forked.
    if dax is None:
        return None
    fd = os.open(dax, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, WindowConstant.ALIGNMENT)
    finally:
        os.close(fd)


def _turn(supervisor: Supervisor, listener: socket.socket) -> None:
    now = time.monotonic()
    if now >= supervisor.next_look:
        lost = supervisor.natives.look()
        new = _nr_installed(supervisor) != supervisor.nr_installed
        if lost or new or now >= supervisor.next_scan:
            scan(supervisor)
        supervisor.next_look = time.monotonic() + LOOK_S
    for child in supervisor.children.values():
        if not child.pid and now >= child.again:
            start(child)
    _answer_settled(supervisor)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    by_fd = {child.pidfd: child for child in supervisor.children.values() if child.pid}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    if (events := supervisor.natives.fileno()) >= 0:
        poll.register(events, select.POLLIN)
    # A bridge that is coming up says so in a file.
    wait_s = 0.05 if supervisor.waiters else supervisor.next_look - time.monotonic()
    for fd, _ in poll.poll(max(wait_s, 0.01) * 1000):
        if fd == listener.fileno():
            _accept(supervisor, listener)
        elif fd == events:
            supervisor.natives.drain()
        elif fd in by_fd:
            reap(supervisor, by_fd[fd])


def _nr_installed(supervisor: Supervisor) -> int:
    """Changes when the firmware has new devices; reading it costs nothing."""
    if supervisor.header is None:
        return 0
    offset = ffi.offsetof("struct pk_window", "nr_installed")
    return int.from_bytes(supervisor.header[offset : offset + 8], "little")


def scan(supervisor: Supervisor) -> None:
    """Look for devices: new ones get a bridge, if they need one; what has gone loses it."""
    supervisor.nr_installed = _nr_installed(supervisor)
    supervisor.next_scan = time.monotonic() + (SCAN_S if supervisor.header else LOOK_S)
    for kind in supervisor.wanted:
        try:
            bridges = discover(kind, supervisor.mailbox)
            natives = supervisor.natives.take(kind, bridges, supervisor.children)
        except PykexecError as error:
            _say(f"{kind}: {describe(error)}")
            continue
        found = {bridge.name: bridge for bridge in bridges if bridge.name not in natives}
        for name, bridge in found.items():
            known = supervisor.children.get(name)
            if known and known.bridge == bridge:
                continue
            if known:
                end(known)  # The same device under another handle: its driver was connected anew.
            supervisor.children[name] = Child(bridge)
        for name, child in list(supervisor.children.items()):
            if child.bridge.kind == kind and name not in found:
                end(child)
                del supervisor.children[name]


def start(child: Child) -> None:
    """Fork the process that serves the bridge."""
    stop_read, stop_write = os.pipe2(os.O_CLOEXEC)
    fault_read, fault_write = os.pipe2(os.O_CLOEXEC)
    child.started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(stop_write)
            serve(child.bridge, stop_read)
            code = 0
        except PykexecError as error:
            os.write(fault_write, describe(error).encode()[:1000])
        except BaseException as error:
            os.write(fault_write, repr(error).encode()[:1000])
        finally:
            os._exit(code)
    os.close(stop_read)
    os.close(fault_write)
    child.pid, child.pidfd = pid, os.pidfd_open(pid)
    child.stop_fd, child.fault_fd = stop_write, fault_read


def reap(supervisor: Supervisor, child: Child) -> None:
    """Its process has ended: note why, and when to try again."""
    _, status = os.waitpid(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    said = os.read(child.fault_fd, 1000).decode(errors="replace")
    _forget_process(child)
    state.withdraw(child.bridge)
    now = time.monotonic()
    if now - child.started > _STEADY_S:
        child.failures = 0
    if code == 0:  # The device has gone, or another medium is in it: look again.
        child.fault = ""
        child.again = now + _PAUSES_S[min(child.failures + 1, len(_PAUSES_S) - 1)]
        supervisor.next_look = supervisor.next_scan = now
        return
    child.fault = said or f"ended by signal {-code}" if code < 0 else said or f"exit code {code}"
    child.again = now + _PAUSES_S[min(child.failures, len(_PAUSES_S) - 1)]
    child.failures += 1
    _say(f"{child.bridge.name}: {child.fault}; again in {child.again - now:g} s")


def end(*children: Child) -> None:
    """Have the bridges end by themselves, all at once, or by force."""
    served = [child for child in children if child.pid]
    for child in served:
        os.write(child.stop_fd, b"\0")  # Closing is no word: siblings have inherited the pipe.
    deadline = time.monotonic() + _GRACE_S
    for child in served:
        poll = select.poll()
        poll.register(child.pidfd, select.POLLIN)
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            _say(f"{child.bridge.name}: does not end, killed")
            os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        _forget_process(child)
        state.withdraw(child.bridge)
    for child in children:
        release(child.bridge)


def _forget_process(child: Child) -> None:
    for fd in (child.pidfd, child.stop_fd, child.fault_fd):
        if fd >= 0:
            os.close(fd)
    child.pid, child.pidfd, child.stop_fd, child.fault_fd = 0, -1, -1, -1


def _accept(supervisor: Supervisor, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.settimeout(2)
    try:
        request = json.loads(connection.makefile("rb").readline(_REQUEST_MAX))
        do, kinds = request["do"], tuple(request.get("kinds", ()))
        wait_s = float(request.get("wait_s", 0))
    except (OSError, ValueError, KeyError, TypeError):
        connection.close()  # No client of ours.
        return
    if do == "ensure":
        supervisor.wanted |= set(kinds)
        scan(supervisor)
        supervisor.waiters.append(Waiter(connection, kinds, time.monotonic() + wait_s))
        return
    if do == "stop":
        _stop(supervisor, kinds)
    elif do == "release":
        _release(supervisor, request.get("handle", 0))
    _answer(supervisor, connection)


def _stop(supervisor: Supervisor, kinds: tuple[str, ...]) -> None:
    supervisor.wanted -= set(kinds)
    ending = [child for child in supervisor.children.values() if child.bridge.kind in kinds]
    end(*ending)
    for child in ending:
        del supervisor.children[child.bridge.name]
    supervisor.natives.end(kinds)
    supervisor.ended = not supervisor.wanted


def _release(supervisor: Supervisor, handle: int) -> None:
    ending = [child for child in supervisor.children.values() if child.bridge.handle == handle]
    end(*ending)
    for child in ending:
        del supervisor.children[child.bridge.name]
    supervisor.natives.release(handle)
    # Not to be found again before the one who asked has taken it away.
    supervisor.next_look = time.monotonic() + LOOK_S


def _answer_settled(supervisor: Supervisor) -> None:
    for waiter in list(supervisor.waiters):
        states = [row["state"] for row in rows(supervisor) if row["kind"] in waiter.kinds]
        if STARTING in states and time.monotonic() < waiter.deadline:
            continue
        supervisor.waiters.remove(waiter)
        _answer(supervisor, waiter.connection)


def _answer(supervisor: Supervisor, connection: socket.socket) -> None:
    with connection:
        try:
            connection.sendall(json.dumps(rows(supervisor)).encode() + b"\n")
        except OSError:
            pass  # It no longer listens.


def rows(supervisor: Supervisor) -> list[dict[str, Any]]:
    """One a device, as supervisor.ensure() describes them."""
    published = {record["name"]: record for record in state.records()}
    found = []
    for name, child in supervisor.children.items():
        record = published.get(name, {})
        up = child.pid and record.get("pid") == child.pid
        doing = UP if up else FAILED if child.fault and child.failures else STARTING
        row = {"kind": child.bridge.kind, "name": name, "handle": child.bridge.handle}
        found.append({**(record if up else {}), **row, "state": doing, "fault": child.fault})
    found += [{**record, "state": UP, "fault": ""} for record in supervisor.natives.records()]
    return sorted(found, key=lambda row: str(row["name"]))


def _say(line: str) -> None:
    """On standard error, which is the console's."""
    try:
        os.write(2, f"bridge: {line}\n".encode())
    except OSError:
        pass
