# SPDX-License-Identifier: Apache-2.0
"""The service over a real store, without the web, and a simulated machine that asks it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pykexec.attest.protocol import AttestReply, Challenge
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.service import Service
from pykexec.server.store.records import Settings
from pykexec.server.store.store import Store
from tests.support import attest_ca
from tests.support.attest_machine import Machine

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PEER = "192.0.2.7"
KEY = b"the key of the volume, 32 bytes."
ANY_IMAGE = 'version = 1\nname = "any"\nallow_any_image = true\n'
OPERATOR = "operator:test"


@dataclass
class World:
    """A server with one policy that allows any image, and a machine that it does not know yet."""

    store: Store
    service: Service
    machine: Machine

    def known(self) -> int:
        """Make the machine known by a first attestation, which is given nothing; its number."""
        self.attest()
        found = self.store.machine(self.machine.fingerprint)
        assert found
        self.store.put_secret(found.id, "root", "luks-key", {"file": "k"}, KEY, OPERATOR)
        self.machine.reboot()
        return found.id

    def challenge(self) -> Challenge:
        """Ask for one."""
        return self.service.challenge(self.machine.challenge_request(), PEER, NOW)

    def attest(self, challenge: Challenge | None = None, later_s: int = 1) -> AttestReply:
        """Both round trips."""
        challenge = challenge or self.challenge()
        request = self.machine.attest_request(challenge)
        return self.service.attest(request, PEER, NOW + timedelta(seconds=later_s))


@contextmanager
def service_world(directory: Path) -> Generator[World, None, None]:
    """Start it."""
    url = f"sqlite:///{directory}/store.db"
    with Store.open(url, LocalMasterKey(b"m" * 32), migrate=True) as store:
        store.put_policy("any", ANY_IMAGE, OPERATOR)
        store.add_ek_root(attest_ca.root_der(), OPERATOR)
        store.set_settings(Settings(default_policy="any"), OPERATOR)
        yield World(store, Service(store), Machine())


def codes(reply: AttestReply) -> list[str]:
    """What refuses."""
    return [finding.code for finding in reply.verdict.reasons]
