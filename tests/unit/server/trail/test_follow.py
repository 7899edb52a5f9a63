# SPDX-License-Identifier: Apache-2.0
"""A trail that is followed: each entry, in order, at least once, wherever it goes and ends."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykexec.errors import FormatError, NetworkError, UsageError
from pykexec.server.store import audit
from pykexec.server.trail.follow import read_place, step
from pykexec.server.trail.targets import Tls, open_target
from tests.support.admin_commands import InProcess, run
from tests.support.samples_tls import Certified, certified
from tests.support.server_world import ACTOR, World, world
from tests.support.trails import rewrite


class Kept:
    """Takes messages, but for the first ones."""

    def __init__(self, failures: int = 0) -> None:
        self.lines: list[bytes] = []
        self.failures = failures

    def send(self, lines: Sequence[bytes]) -> None:
        """All, or one before it fails."""
        if self.failures:
            self.failures -= 1
            self.lines += lines[:1]
            raise NetworkError("away")
        self.lines += lines

    def close(self) -> None:
        """Nothing to do."""

    @property
    def seqs(self) -> list[int]:
        """Of entries."""
        return [json.loads(line.split(b"] ", 1)[1])["seq"] for line in self.lines if is_entry(line)]

    @property
    def heads(self) -> list[dict[str, str]]:
        """Signed ones."""
        return [json.loads(line.split(b"] ", 1)[1]) for line in self.lines if not is_entry(line)]


def is_entry(line: bytes) -> bool:
    return b" [audit@" in line


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def all_steps(server: World, target: Kept, cursor: Path) -> None:
    client = InProcess(server, "viewer")
    while step(client, target, cursor):
        pass


def last(server: World) -> int:
    return server.store.audit_entries(limit=1)[0].seq


def test_all_comes_once_then_a_signed_head_and_what_is_new_later(
    server: World, tmp_path: Path
) -> None:
    target, cursor = Kept(), tmp_path / "cursor"
    all_steps(server, target, cursor)
    before = last(server)
    assert target.seqs == list(range(1, before + 1))
    all_steps(server, target, cursor)
    assert len(target.heads) == 1
    server.store.audit(ACTOR, "operator.login", ACTOR)
    again = Kept()
    all_steps(server, again, cursor)  # Another process, that has the cursor alone.
    assert again.seqs == [before + 1]
    (head,) = again.heads
    said = audit.HEADS.check(json.dumps(head).encode(), audit.HEADS.public_key(server.store.keys))
    assert said.number("seq") == before + 1


def test_what_was_not_taken_is_sent_again_from_where_it_was_left(
    server: World, tmp_path: Path
) -> None:
    target, cursor = Kept(failures=2), tmp_path / "cursor"
    for _ in range(2):
        with pytest.raises(NetworkError):
            all_steps(server, target, cursor)
    assert not cursor.exists()
    all_steps(server, target, cursor)
    assert target.seqs == [1, 1, *range(1, last(server) + 1)]


def test_following_leaves_no_trace_in_the_trail(server: World, tmp_path: Path) -> None:
    before = server.store.verify_audit()
    all_steps(server, Kept(), tmp_path / "cursor")
    assert server.store.verify_audit() == before


def test_a_trail_that_was_cut_off_or_rewritten_is_not_followed(
    server: World, tmp_path: Path
) -> None:
    cursor = tmp_path / "cursor"
    all_steps(server, Kept(), cursor)
    target = Kept()
    rewrite(server.store, lambda rows: rows.pop())
    with pytest.raises(FormatError, match=r"the trail ends with entry .*was cut off or rewritten"):
        all_steps(server, target, cursor)
    for _ in range(2):
        server.store.audit(ACTOR, "operator.login", ACTOR)
    with pytest.raises(FormatError, match=r"does not follow entry .*was cut off or rewritten"):
        all_steps(server, target, cursor)
    assert target.lines == []


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"seq":"1","hash":"","anchored":true}'])
def test_another_file_is_no_cursor(tmp_path: Path, text: str) -> None:
    (tmp_path / "cursor").write_text(text)
    with pytest.raises(FormatError, match="no place in an audit trail"):
        read_place(tmp_path / "cursor")


def test_a_file_goes_on_behind_a_line_that_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    target = open_target(f"file:{path}", Tls())
    target.send([b"one", b"two"])
    assert path.read_bytes() == b"one\ntwo\n"
    path.write_bytes(b"one\ntw")
    target.send([b"two"])
    assert path.read_bytes() == b"one\ntw\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o640


@contextmanager
def collector(tls: Certified | None) -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """One that reads until it is told to end: its address, what it has read of each connection."""
    found: list[bytes] = []
    ends = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not ends.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connection.settimeout(10)
                if tls is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(tls.certificate, tls.key)
                    try:
                        connection = context.wrap_socket(connection, server_side=True)
                    except OSError:
                        continue
                found.append(b"")
                with connection:
                    while data := connection.recv(65536):
                        found[-1] += data

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            scheme = "tcp" if tls is None else "tls"
            yield f"{scheme}://localhost:{server.getsockname()[1]}", found, ends
        finally:
            ends.set()
            thread.join()


def frames(data: bytes) -> list[bytes]:
    """By octet counting."""
    found = []
    while data:
        size, _, rest = data.partition(b" ")
        found.append(rest[: int(size)])
        assert len(found[-1]) == int(size)
        data = rest[int(size) :]
    return found


@pytest.mark.parametrize("secured", [False, True])
def test_a_collector_is_sent_frames(tmp_path: Path, secured: bool) -> None:
    tls = certified(tmp_path / "tls") if secured else None
    with collector(tls) as (address, found, _ends):
        target = open_target(address, Tls(tls.authority if tls else None))
        target.send([b"one", b"two"])
        target.send([b"three"])
        target.close()
    assert [frames(data) for data in found] == [[b"one", b"two", b"three"]]


def test_a_collector_that_nobody_vouches_for_is_sent_nothing(tmp_path: Path) -> None:
    with collector(certified(tmp_path / "tls")) as (address, found, _ends):
        with pytest.raises(NetworkError, match="certificate verify failed"):
            open_target(address, Tls()).send([b"one"])
    assert found in ([], [b""])


def test_a_collector_that_has_gone_is_noticed_and_found_again() -> None:
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            held.append(server.accept()[0])
            assert held[-1].recv(100)

        target = open_target(f"tcp://127.0.0.1:{server.getsockname()[1]}", Tls())
        for lines in ([b"one"], [b"two"]):
            reads = threading.Thread(target=take)
            reads.start()
            target.send(lines)
            reads.join()
            held.pop().close()
            with pytest.raises(NetworkError, match="ended the connection"):
                target.send([b"lost"])


@pytest.mark.parametrize(
    "text", ["", "udp://x", "tcp://", "tcp://x:99999", "tls://x/path", "tcp://u@x"]
)
def test_what_is_no_target_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="where to"):
        open_target(text, Tls())


def test_the_command_ends_when_all_is_sent(
    server: World, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = ("audit", "follow", "--to", "stdout", "--cursor", str(tmp_path / "c"), "--once")
    assert run(server, *words, "--enterprise", "99", role="viewer") == 0
    lines = capsysbinary.readouterr().out.splitlines()
    assert len(lines) == last(server) + 1
    assert b" [audit@99 " in lines[0] and b" [head@99 " in lines[-1]
