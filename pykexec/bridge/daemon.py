# SPDX-License-Identifier: Apache-2.0
"""The supervisor: finds devices, keeps a bridge running for each, starts again what dies.

All bridges end with it, so it does not end: each thing that it does is a step, and one that fails
is a line, said once, changes nothing else, and is tried again when its time comes.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from pykexec._native import ffi
from pykexec.abi_devices import WindowConstant
from pykexec.bridge import FAILED, STARTING, UP, Bridge, state
from pykexec.bridge.child import Child, end, reap, start
from pykexec.bridge.clients import Clients, Request, answer
from pykexec.bridge.kinds import discover
from pykexec.bridge.native import Natives
from pykexec.bridge.window import find_window
from pykexec.firmware.mailbox import Mailbox
from pykexec.linux.oom import spare_this_process
from pykexec.steps import attempt, on_stderr

LOOK_S = 2.0
SCAN_S = 30.0  # For what goes without a word; bridges themselves notice it sooner.
PAUSE_S = 1.0
"""What a turn that failed as a whole is followed by."""
T = TypeVar("T")
D = TypeVar("D")


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
    clients: Clients
    kept: tuple[int, ...] = ()  # descriptors that bridges keep open, too
    wanted: set[str] = field(default_factory=set)
    children: dict[str, Child] = field(default_factory=dict)
    waiters: list[Waiter] = field(default_factory=list)
    header: mmap.mmap | None = None  # of the window
    nr_installed: int = 0  # as of the last scan
    next_look: float = 0.0
    next_scan: float = 0.0
    ended: bool = False
    said: dict[str, str] = field(default_factory=dict)  # by step, until it goes well again

    def step(self, what: str, do: Callable[[], T], otherwise: D) -> T | D:
        """What do comes to, or otherwise; a line where it fails, once as long as it does so."""
        before = self.said.pop(what, "")

        def say(line: str) -> None:
            self.said[what] = line
            if line != before:
                on_stderr(line)

        return attempt(f"bridge: {what}", do, otherwise, say)


def run(path: str) -> None:
    """Serve clients at the socket path until one of them stops everything."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # Another one was faster, or its bridges have not ended yet.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    spare_this_process()
    mailbox = Mailbox()
    header = attempt("bridge: window", _map_header, None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        if os.path.exists(path):
            os.unlink(path)
        listener.bind(path)
        listener.listen(8)
        supervisor = Supervisor(
            mailbox, Natives(mailbox), Clients(listener), kept=(lock,), header=header
        )
        while not supervisor.ended:
            if not supervisor.step("supervisor", lambda: turn(supervisor), False):
                time.sleep(PAUSE_S)


def _map_header() -> mmap.mmap | None:
    dax = find_window()  # Once for all that are forked.
    if dax is None:
        return None
    fd = os.open(dax, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, WindowConstant.ALIGNMENT)
    finally:
        os.close(fd)


def turn(supervisor: Supervisor) -> bool:
    """Do what is due, then wait for what comes next and see to it; True."""
    now = time.monotonic()
    if now >= supervisor.next_look:
        supervisor.step("look", lambda: _look(supervisor), None)
        supervisor.next_look = time.monotonic() + LOOK_S
    for child in supervisor.children.values():
        if not child.pid and now >= child.again:
            start(child, supervisor.kept)
    _answer_settled(supervisor)
    _wait(supervisor)
    return True


def _look(supervisor: Supervisor) -> None:
    lost = supervisor.step("drivers", supervisor.natives.look, False)
    new = _nr_installed(supervisor) != supervisor.nr_installed
    if lost or new or time.monotonic() >= supervisor.next_scan:
        scan(supervisor)


def _wait(supervisor: Supervisor) -> None:
    clients, natives = supervisor.clients, supervisor.natives
    by_fd = {child.pidfd: child for child in supervisor.children.values() if child.pid}
    poll = select.poll()
    clients.register(poll)
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    if (events := natives.fileno()) >= 0:
        poll.register(events, select.POLLIN)
    dues = [child.again for child in supervisor.children.values() if not child.pid]
    until = min([supervisor.next_look, clients.deadline, *dues])
    # A bridge that is coming up says so in a file.
    wait_s = 0.05 if supervisor.waiters else until - time.monotonic()
    ready = {fd for fd, _ in poll.poll(max(wait_s, 0.01) * 1000)}
    # Who has died is known before anybody is told of it, or asked to end.
    for fd in ready & by_fd.keys():
        if reap(by_fd[fd]):
            supervisor.next_look = supervisor.next_scan = 0.0
    if events in ready:
        supervisor.step("drivers' events", natives.drain, None)
    if clients.listener.fileno() in ready:
        supervisor.step("clients", clients.accept, None)
    for connection, request in supervisor.step("requests", clients.take, ()):
        serve = partial(_serve, supervisor, connection, request)
        if not supervisor.step(request.do, serve, False):
            connection.close()


def _nr_installed(supervisor: Supervisor) -> int:
    """Changes when the firmware has new devices; reading it costs nothing."""
    if supervisor.header is None:
        return 0
    offset = ffi.offsetof("struct pk_window", "nr_installed")
    return int.from_bytes(supervisor.header[offset : offset + 8], "little")


def scan(supervisor: Supervisor) -> None:
    """Look for devices: new ones get a bridge, if they need one; what has gone loses it.

    A kind that cannot be looked for stays as it is.
    """
    supervisor.nr_installed = _nr_installed(supervisor)
    supervisor.next_scan = time.monotonic() + (SCAN_S if supervisor.header else LOOK_S)
    for kind in sorted(supervisor.wanted):
        supervisor.step(kind, partial(_scan, supervisor, kind), None)


def _scan(supervisor: Supervisor, kind: str) -> None:
    bridges = discover(kind, supervisor.mailbox)
    natives = supervisor.natives.take(kind, bridges, supervisor.children)
    found = {bridge.name: bridge for bridge in bridges if bridge.name not in natives}
    gone = [
        child
        for name, child in supervisor.children.items()
        # The same device under another handle: its driver was connected anew.
        if child.bridge.kind == kind and child.bridge != found.get(name)
    ]
    _end(supervisor, gone)
    for name, bridge in found.items():
        if name not in supervisor.children:
            supervisor.children[name] = Child(bridge)


def _end(supervisor: Supervisor, children: list[Child]) -> list[dict[str, Any]]:
    """End them and forget them; rows of those that did not end well."""
    bad = end(*children)
    for child in children:
        del supervisor.children[child.bridge.name]
    return [_row(child.bridge, FAILED, child.fault) for child in bad]


def _serve(supervisor: Supervisor, connection: socket.socket, request: Request) -> bool:
    if request.do == "ensure":
        supervisor.wanted |= set(request.kinds)
        scan(supervisor)
        until = time.monotonic() + request.wait_s
        supervisor.waiters.append(Waiter(connection, request.kinds, until))
        return True
    bad = []
    if request.do == "stop":
        bad = _stop(supervisor, request.kinds)
        if supervisor.ended:  # Before anybody is told: the next one may come at once.
            supervisor.clients.close()
    elif request.do == "release":
        _release(supervisor, request.handle)
    answer(connection, rows(supervisor) + bad)
    return True


def _stop(supervisor: Supervisor, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    supervisor.wanted -= set(kinds)
    ending = [child for child in supervisor.children.values() if child.bridge.kind in kinds]
    bad = _end(supervisor, ending)
    supervisor.step("drivers", lambda: supervisor.natives.end(kinds), None)
    supervisor.ended = not supervisor.wanted
    return bad


def _release(supervisor: Supervisor, handle: int) -> None:
    _end(supervisor, [c for c in supervisor.children.values() if c.bridge.handle == handle])
    supervisor.step("drivers", lambda: supervisor.natives.release(handle), None)
    # Not to be found again before the one who asked has taken it away.
    supervisor.next_look = time.monotonic() + LOOK_S


def _answer_settled(supervisor: Supervisor) -> None:
    if not supervisor.waiters:
        return
    now = time.monotonic()
    found = rows(supervisor)
    for waiter in list(supervisor.waiters):
        states = [row["state"] for row in found if row["kind"] in waiter.kinds]
        if STARTING not in states or now >= waiter.deadline:
            supervisor.waiters.remove(waiter)
            answer(waiter.connection, found)


def rows(supervisor: Supervisor) -> list[dict[str, Any]]:
    """One a device, as supervisor.ensure() describes them."""
    published = {r["name"]: r for r in supervisor.step("records", state.records, ())}
    found = []
    for name, child in supervisor.children.items():
        record = published.get(name, {})
        up = child.pid and record.get("pid") == child.pid
        doing = UP if up else FAILED if child.fault and child.failures else STARTING
        found.append({**(record if up else {}), **_row(child.bridge, doing, child.fault)})
    natives = supervisor.step("drivers", supervisor.natives.records, ())
    found += [{**record, "state": UP, "fault": ""} for record in natives]
    return sorted(found, key=lambda row: str(row["name"]))


def _row(bridge: Bridge, doing: str, fault: str) -> dict[str, Any]:
    row = {"kind": bridge.kind, "name": bridge.name, "handle": bridge.handle}
    return {**row, "state": doing, "fault": fault}
