# SPDX-License-Identifier: Apache-2.0
"""Peers are counted from accept() on; a silent or stalled one is let go."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from pykexec.server import quotas
from pykexec.server.process.acceptor import Secured
from pykexec.server.web.gate import Gate
from pykexec.server.web.peer import parse_networks
from tests.support.running_server import serving, wait
from tests.support.samples_tls import certified

PEER, OTHER = "192.0.2.1", "192.0.2.2"


def test_a_peer_has_its_share_and_no_more() -> None:
    gate = Gate(per_peer=2, in_all=3)
    assert [gate.enter(PEER) for _ in range(3)] == [PEER, PEER, None]
    assert [gate.enter(OTHER) for _ in range(2)] == [OTHER, None]
    gate.leave(PEER)
    assert (gate.enter(OTHER), gate.total) == (OTHER, 3)


def test_one_customer_of_ipv6_is_one_peer() -> None:
    gate = Gate(per_peer=1)
    assert gate.enter("2001:db8:1:2::1") and not gate.enter("2001:db8:1:2::2")


@pytest.mark.parametrize("proxy", [PEER, "2001:db8::7"])
def test_a_trusted_proxy_stands_for_many(proxy: str) -> None:
    gate = Gate(parse_networks([proxy]), per_peer=1, in_all=5)
    assert all(gate.enter(proxy) for _ in range(5)) and not gate.enter(proxy)


class _Silent(asyncio.Protocol):
    """Says nothing."""


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_who_says_nothing_in_his_handshake_is_counted_and_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "HANDSHAKE_S", 0.2)
    files = certified(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    gate = Gate(per_peer=3)

    async def silent() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Secured(gate, tls, _Silent()), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        peers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        # Two were never let in; the others are held only for so long.
        for reader, _ in peers:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        await _until(lambda: gate.total == 0)
        server.close()

    uvloop.run(silent())


def test_a_single_worker_is_started_anew_by_sighup(tmp_path: Path, store_url: str) -> None:
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text(bytes(range(32)).hex())
    with serving(tmp_path, store_url, f"file:{tmp_path}/key") as server:
        before = server.workers()
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: len(server.workers()) == 1 and server.workers() != before)
        wait(lambda: server.get("/readyz") == 200)
        assert server.process.poll() is None
