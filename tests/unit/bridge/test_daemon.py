# SPDX-License-Identifier: Apache-2.0
"""The supervisor goes on whatever fails, and so does every bridge that is not concerned."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pykexec.bridge import FAILED, UP, Bridge, child, clients, daemon, state
from pykexec.bridge.clients import Clients, parse_request
from pykexec.bridge.daemon import Supervisor, rows
from pykexec.errors import FirmwareError
from tests.support.faults import FAULTS, inject

LOOK_S = 0.01
TURNS = 10000  # None waits longer than for the next look.
HEALTHY = Bridge("block", 3, "disk-3")
STATUS, RELEASE = b'{"do": "status"}\n', b'{"do": "release", "handle": 1}\n'
PAUSES_S = child.PAUSES_S


class NoDrivers:
    """No driver of the kernel serves anything."""

    def look(self) -> bool:
        return False

    def fileno(self) -> int:
        return -1

    def take(self, *_: object) -> set[str]:
        return set()

    def end(self, kinds: object) -> None: ...

    def release(self, handle: object) -> None: ...

    def records(self) -> list[dict[str, Any]]:
        return []


@dataclass(slots=True)
class World:
    """A supervisor, and the devices that its firmware has."""

    supervisor: Supervisor
    path: str
    devices: list[Bridge] = field(default_factory=list)
    serve: Callable[[Bridge, int], None] | None = None

    def turns_until(self, done: Callable[[], object]) -> None:
        """Let the supervisor work until done() is true."""
        for _ in range(TURNS):
            if done():
                return
            self.supervisor.step("supervisor", lambda: daemon.turn(self.supervisor), False)
        raise AssertionError(f"never: {rows(self.supervisor)}")

    def up(self) -> bool:
        """Is exactly what there is bridged?"""
        found = {row["name"]: row["state"] for row in rows(self.supervisor)}
        return found == {device.name: UP for device in self.devices}

    def pid(self, bridge: Bridge) -> int:
        """Of the process that serves it."""
        return self.supervisor.children[bridge.name].pid

    def connect(self, line: bytes = b"") -> socket.socket:
        """A client that has sent line."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.path)
        client.sendall(line)
        return client

    def ask(self, line: bytes) -> bytes:
        """What a client that sends line is answered; b"" when it is sent away."""
        with self.connect(line) as client:
            client.setblocking(False)
            answers: list[bytes] = []

            def answered() -> bool:
                if select.select([client], [], [], 0)[0]:
                    answers.append(client.recv(1 << 16))
                return bool(answers)

            self.turns_until(answered)
            return answers[0]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Three disks that are up; nothing takes long."""
    directory = str(tmp_path / "bridges")
    monkeypatch.setattr(state.publish, "__defaults__", (directory,))
    monkeypatch.setattr(state.withdraw, "__defaults__", (directory,))
    monkeypatch.setattr(state.records, "__defaults__", (directory, ""))
    monkeypatch.setattr(daemon, "LOOK_S", LOOK_S)
    monkeypatch.setattr(daemon, "SCAN_S", LOOK_S)
    monkeypatch.setattr(child, "PAUSES_S", (0.0, 0.02))
    monkeypatch.setattr(child, "GRACE_S", 0.3)
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(8)
        supervisor = Supervisor(None, NoDrivers(), Clients(listener), wanted={"block"})  # type: ignore[arg-type]
        world = World(supervisor, path, [Bridge("block", n, f"disk-{n}") for n in (1, 2, 3)])

        def serve(bridge: Bridge, stop_fd: int) -> None:
            if world.serve:
                world.serve(bridge, stop_fd)
            state.publish(bridge, directory)
            select.select([stop_fd], [], [])

        monkeypatch.setattr(daemon, "discover", lambda kind, mailbox: list(world.devices))
        monkeypatch.setattr(child, "serve", serve)
        monkeypatch.setattr(child, "release", lambda bridge: None)
        world.turns_until(world.up)
        yield world
        child.end(*supervisor.children.values())


# What of the supervisor's steps is made to fail: the module, and what it calls there.
STEPS: list[tuple[ModuleType | type, str]] = [
    *[
        (child, f"os.{name}")
        for name in ("pipe2", "fork", "pidfd_open", "waitpid", "write", "read")
    ],
    *[(child, name) for name in ("state.withdraw", "release", "select.poll", "os.close")],
    *[(daemon, name) for name in ("discover", "state.records", "select.poll")],
    *[(daemon, name) for name in ("start", "reap", "end", "answer", "turn")],
    *[(clients, name) for name in ("json.loads", "json.dumps", "_read", "_Partial")],
    *[(NoDrivers, name) for name in ("look", "fileno", "take", "records", "release")],
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("where", "step"), STEPS, ids=[f"{where.__name__.split('.')[-1]}-{s}" for where, s in STEPS]
)
def test_whatever_fails_the_supervisor_goes_on(
    where: object, step: str, fault: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy, dead = world.pid(HEALTHY), world.pid(world.devices[0])
    injected = inject(monkeypatch, where, step, fault)

    world.devices[1] = Bridge("block", 4, "disk-4")
    os.kill(dead, signal.SIGKILL)
    # Else it may still be alive when its release is asked for, and is not reaped but ended.
    os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
    with world.connect(RELEASE), world.connect(STATUS):
        world.turns_until(lambda: not injected.left)

    assert json.loads(world.ask(STATUS))
    world.turns_until(world.up)
    assert world.pid(HEALTHY) == healthy
    assert world.pid(world.devices[0]) != dead


def test_a_bridge_that_has_just_ended_is_ended(world: World) -> None:
    first = world.supervisor.children["disk-1"]
    os.kill(first.pid, signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    bad = child.end(first, world.supervisor.children["disk-2"])
    assert [(one.bridge.name, one.fault) for one in bad] == [("disk-1", "ended with status 0x9")]
    world.turns_until(world.up)


def test_a_bridge_that_is_asked_to_end_ends_as_it_always_does(world: World) -> None:
    asked = world.pid(HEALTHY)
    os.kill(asked, signal.SIGTERM)
    world.turns_until(lambda: world.pid(HEALTHY) not in (0, asked) and world.up())
    assert world.supervisor.children["disk-3"].failures == 0


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 60000 + b"\n",
        b'{"do": "ensure", "kinds": [[1]]}\n',
        b'{"do": "ensure", "kinds": "block"}\n',
        b'{"do": "ensure", "kinds": ["disk"]}\n',
        b'{"do": "ensure", "kinds": ["block"], "wait_s": NaN}\n',
        b'{"do": "ensure", "kinds": ["block"], "wait_s": 1e99}\n',
        b'{"do": "release", "handle": "1"}\n',
        b'{"do": "everything"}\n',
        b"7\n",
        b"\n",
        b"\xff\n",
    ],
)
def test_what_no_client_says_is_left_without_an_answer(line: bytes, world: World) -> None:
    with pytest.raises(ValueError):
        parse_request(line.rstrip(b"\n"))
    assert world.ask(line[: clients.REQUEST_MAX]) == b""
    assert world.up()


def test_nobody_waits_for_a_slow_client(world: World) -> None:
    with world.connect(b'{"do": "sta') as slow:
        assert json.loads(world.ask(STATUS))
        slow.sendall(b'tus"}\n')
        world.turns_until(lambda: select.select([slow], [], [], 0)[0])
        assert json.loads(slow.recv(1 << 16))


def test_who_never_says_what_is_wanted_is_sent_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "REQUEST_S", 0.0)
    assert world.ask(b'{"do": "sta') == b""


def test_many_silent_clients_leave_room_for_another(world: World) -> None:
    silent = []
    for _ in range(clients.NR_CLIENTS + 4):
        silent.append(world.connect())
        daemon.turn(world.supervisor)
    assert json.loads(world.ask(STATUS))
    for client in silent:
        client.close()


def test_what_comes_in_the_place_of_a_device_has_a_bridge_of_its_own(world: World) -> None:
    """A stick that was exchanged: the port's name leads to the new one, and nobody else minds."""
    kept, (old, *others) = [world.pid(each) for each in world.devices[1:]], world.devices
    former = world.pid(old)
    world.devices[0] = Bridge("block", 9, old.name)
    world.turns_until(lambda: world.supervisor.children[old.name].bridge.handle == 9 and world.up())
    assert world.pid(old) != former
    assert [world.pid(each) for each in others] == kept


def test_no_pause_is_as_long_as_the_kernel_waits_for_a_server() -> None:
    # DEAD_TIMEOUT_S of csrc/native/nbd_control.c, and starting takes its time.
    assert max(PAUSES_S) <= 15


def test_a_bridge_keeps_nothing_open_that_is_its_siblings(world: World) -> None:
    first, second = (pipes(world.pid(bridge)) for bridge in world.devices[:2])
    assert first and second and not first & second


def pipes(pid: int) -> set[str]:
    """The pipes and sockets that a process has open, but those that it has from us."""
    directory = f"/proc/{pid}/fd"
    found = {os.readlink(f"{directory}/{name}") for name in os.listdir(directory)}
    ours = {os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)}
    return {name for name in found - ours if name.startswith(("pipe:", "socket:"))}


def test_a_bridge_whose_last_words_fail_is_a_row_of_the_answer_to_stop(world: World) -> None:
    def lose(bridge: Bridge, stop_fd: int) -> None:
        state.publish(bridge)
        select.select([stop_fd], [], [])
        raise FirmwareError(5, "not all that was written has reached the disk", bridge.name)

    world.serve = lose
    os.kill(world.pid(HEALTHY), signal.SIGKILL)
    world.turns_until(lambda: world.up() and world.supervisor.children["disk-3"].failures)
    (row,) = json.loads(world.ask(b'{"do": "stop", "kinds": ["block"]}\n'))
    assert (row["name"], row["state"]) == ("disk-3", FAILED)
    assert row["fault"] == "disk-3: not all that was written has reached the disk"
    # Who asks now finds none, and starts another one.
    assert world.supervisor.ended and not os.path.exists(world.path)
