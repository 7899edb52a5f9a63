# SPDX-License-Identifier: Apache-2.0
"""A hundred machines attest while everybody else holds what he can: all of them get their keys."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from pykexec.attest import decode, protocol
from pykexec.config.url import parse_url
from pykexec.net.http import post
from pykexec.net.transfer import Deadline, Limits, Transient
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store.records import Settings
from pykexec.server.store.store import Store
from tests.support import attest_ca
from tests.support.attest_machine import Machine
from tests.support.postgresql import Server
from tests.support.running_server import Running, serving, wait
from tests.support.server_world import ANY_IMAGE, KEY
from tests.support.store_samples import MASTER, OPERATOR, verified

MACHINES = 100
ENTRIES = 12_000
AGENT_S = 120.0
MEMORY_MAX = 512 << 10  # KiB
STRANGER = "127.0.0.66"
OUTAGE_S = 2.0


@dataclass
class Fleet:
    """A server over a store that knows some machines, and a viewer's token."""

    server: Running
    machines: list[Machine]
    token: str


@pytest.fixture(name="fleet")
def fleet_fixture(store_url: str, tmp_path: Path) -> Generator[Fleet, None, None]:
    machines = [Machine(f"fleet {number}") for number in range(MACHINES)]
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        store.put_policy("any", ANY_IMAGE, OPERATOR)
        store.add_ek_root(attest_ca.root_der(), OPERATOR)
        store.set_settings(Settings(default_policy="any"), OPERATOR)
        for machine in machines:
            number = store.enrol(verified(machine)).id
            store.put_secret(number, "root", "luks-key", {"file": "k"}, KEY, OPERATOR)
        with store.database.writing(store.keys) as tx:
            for number in range(ENTRIES):
                tx.chain.append(tx.now, OPERATOR, "entry", str(number), {"filler": "x" * 300})
        _, token = store.create_token("viewer", "viewer", OPERATOR)
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text(MASTER.hex())
    options = ("--rate", "0", "--no-access-log")
    with serving(tmp_path, store_url, f"file:{tmp_path}/key", *options) as server:
        yield Fleet(server, machines, token)


def attest(server: Running, machine: Machine, begin: float) -> tuple[bytes, int]:
    """As the agent does it: asks again as long as a fault may pass; the key, and how often."""
    limits = Limits(protocol.REPLY_MAX, 10.0, AGENT_S, authorities=server.tls.authority.read_text())
    deadline = Deadline(limits)
    time.sleep(max(0.0, begin - time.monotonic()))
    faults = 0

    def ask(path: str, body: bytes) -> bytes:
        nonlocal faults
        while True:
            try:
                return post(parse_url(server.address + path), body, limits, deadline)
            except Transient as error:
                faults += 1
                pause_s = max(error.retry_after_s, 0.2)
                assert deadline.left_s > pause_s, error
                time.sleep(pause_s)

    asked = machine.challenge_request().encode()
    challenge = decode.parse_challenge(ask(protocol.CHALLENGES_PATH, asked))
    request = machine.attest_request(challenge).encode()
    reply = decode.parse_attest_reply(ask(protocol.ATTESTATIONS_PATH, request))
    assert reply.verdict.accepted, reply.verdict.reasons
    return machine.open_release(challenge, reply)[0].value, faults


def hold_silent(fleet: Fleet, held: contextlib.ExitStack) -> None:
    """More connections than one peer may have, which say nothing, not even TLS."""
    for _ in range(300):
        held.enter_context(fleet.server.plain(STRANGER))


def hold_bodies(fleet: Fleet, held: contextlib.ExitStack) -> None:
    """Bodies that are announced, one byte of each sent."""
    head = f"POST {protocol.ATTESTATIONS_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: "
    for _ in range(64):
        peer = held.enter_context(fleet.server.secure("127.0.0.67"))
        peer.sendall(f"{head}{protocol.MESSAGE_MAX}\r\n\r\n{{".encode())


def hold_exports(fleet: Fleet, held: contextlib.ExitStack) -> None:
    """Exports of the audit trail that nobody reads."""
    head = f"GET /admin/v1/audit/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {fleet.token}"
    for _ in range(16):
        peer = held.enter_context(fleet.server.secure("127.0.0.68", 4096))
        peer.sendall(f"{head}\r\n\r\n".encode())


@contextlib.contextmanager
def no_database(server: Server, url: str) -> Generator[None, None, None]:
    """It is gone for all who are connected, and for who wants to be."""
    name = make_url(url).database

    def allow(connections: str) -> None:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {connections}")

    allow("false")
    try:
        server.disconnect_all()
        yield
    finally:
        allow("true")


@contextlib.contextmanager
def full_disk(server: Running) -> Generator[None, None, None]:
    """No file of the server's grows any more."""
    (worker,) = server.workers()
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    yield
    resource.prlimit(worker, resource.RLIMIT_FSIZE, before)


def memory_kib(pid: int) -> int:
    """The most that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_everybody_is_served_whatever_others_hold(
    fleet: Fleet, store_url: str, request: pytest.FixtureRequest
) -> None:
    server = fleet.server
    outage: Callable[[], contextlib.AbstractContextManager[None]]
    if store_url.startswith("postgresql"):
        database: Server = request.getfixturevalue("postgresql_server")
        outage = lambda: no_database(database, store_url)  # noqa: E731
    else:
        outage = lambda: full_disk(server)  # noqa: E731
    with contextlib.ExitStack() as held, ThreadPoolExecutor(MACHINES) as pool:
        for hold in (hold_silent, hold_bodies, hold_exports):
            hold(fleet, held)
        assert server.get("/readyz") == 200, "strangers and viewers keep nobody from writing"
        begin = time.monotonic()
        waves = [begin + 0.05 * number for number in range(MACHINES)]
        results = [
            pool.submit(attest, server, machine, wave)
            for machine, wave in zip(fleet.machines, waves, strict=True)
        ]
        time.sleep(1.0)
        with outage():
            wait(lambda: server.get("/readyz") == 503, "an outage shows")
            time.sleep(OUTAGE_S)
        outcomes = [result.result() for result in results]
        assert {key for key, _ in outcomes} == {KEY}
        assert sum(faults for _, faults in outcomes) > 0, "there was an outage"
        assert server.get("/readyz") == 200
    (worker,) = server.workers()
    assert memory_kib(worker) < MEMORY_MAX
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        assert len(store.audit_entries(action="attestation.released", limit=1000)) == MACHINES
        assert store.verify_audit().faults == ()
