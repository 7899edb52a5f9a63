# SPDX-License-Identifier: Apache-2.0
"""The whole web service in this process, over a store with one policy and a token for each role."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

from pykexec.attest import decode, protocol
from pykexec.attest.protocol import AttestReply, Challenge
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.people.operators import CALLBACK, OperatorSettings
from pykexec.server.people.provider import Provider
from pykexec.server.people.settings import PeopleSettings
from pykexec.server.service import Service, ServiceSettings
from pykexec.server.store import account_tables, sessions
from pykexec.server.store.accounts import Accounts
from pykexec.server.store.logins import Logins
from pykexec.server.store.records import ROLES, Machine, Settings
from pykexec.server.store.store import Store
from pykexec.server.web.app import Application
from pykexec.server.web.limits import Rate
from pykexec.server.web.web import Web, WebOptions
from tests.support import attest_ca, attest_machine
from tests.support.web_client import Answer, Client

ACTOR = "operator:test"
ANY_IMAGE = 'version = 1\nname = "any"\nallow_any_image = true\n'
PASSWORD = "a password of some length"
KEY = b"the key of the volume, 32 bytes."
NO_LIMIT = Rate(0, 1)
UNLIMITED = WebOptions(agents=NO_LIMIT, api=NO_LIMIT, failures=NO_LIMIT, account=NO_LIMIT)
MASTER = b"m" * 32


@dataclass
class World:
    """A server, a client of it, and by role bearer tokens and open sessions; operators have the
    roles' names."""

    web: Web
    application: Application
    client: Client
    tokens: dict[str, str]
    sessions: dict[str, str]
    database: Path

    @property
    def store(self) -> Store:
        """The server's."""
        return self.web.store

    def challenge(self, machine: attest_machine.Machine) -> Challenge:
        """First round trip."""
        answer = self.post(protocol.CHALLENGES_PATH, machine.challenge_request().encode())
        assert answer.status == 200, answer.text
        return decode.parse_challenge(answer.body)

    def attest(self, machine: attest_machine.Machine) -> tuple[Answer, AttestReply]:
        """Both round trips."""
        request = machine.attest_request(self.challenge(machine))
        answer = self.post(protocol.ATTESTATIONS_PATH, request.encode())
        return answer, decode.parse_attest_reply(answer.body)

    def post(self, path: str, body: bytes) -> Answer:
        """One message of the protocol."""
        return self.client.request("POST", path, body, {"content-type": "application/json"})

    def sign_in(self, role: str) -> None:
        """Be somebody who has logged in already."""
        self.client.cookies["__Host-pykexec"] = self.sessions[role]

    def grow_old(self, by: timedelta) -> None:
        """The session was begun so long before."""
        secret, table = self.client.cookies["__Host-pykexec"], account_tables.sessions
        with self.store.database.writing(self.store.keys) as tx:
            row = sessions.find(tx.connection, tx.keys, secret)
            assert row
            before = {"started": row.started - by, "used": tx.now}
            seal = sessions.seal(tx.keys, {**row._mapping, **before})
            changed = table.update().where(table.c.digest == row.digest)
            tx.connection.execute(changed.values({**before, "seal": seal}))

    def known_state(self, machine: Machine) -> str:
        """The state that a machine is in by now."""
        return self.store.machine_by_id(machine.id).state

    def known(self, machine: attest_machine.Machine) -> Machine:
        """The machine as the store has it."""
        found = self.store.machine(machine.fingerprint)
        assert found
        return found


@cache
def _template() -> tuple[bytes, dict[str, str], dict[str, str]]:
    """A database that is worth copying: migrations and passwords take time."""
    tokens, sessions = {}, {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.db"
        with Store.open(f"sqlite:///{path}", LocalMasterKey(MASTER), migrate=True) as store:
            store.put_policy("any", ANY_IMAGE, ACTOR)
            store.add_ek_root(attest_ca.root_der(), ACTOR)
            store.set_settings(Settings(default_policy="any", first_use=True), ACTOR)
            accounts = Accounts(store.database, store.keys)
            for role in ROLES:
                accounts.create(role, role, PASSWORD, ACTOR)
                tokens[role] = store.create_token(role, role, ACTOR)[1]
                session = Logins(accounts).login(role, PASSWORD, "192.0.2.7", None)
                assert session
                sessions[role] = session
        shutil.copy(path, path.with_suffix(".copy"))
        return path.with_suffix(".copy").read_bytes(), tokens, sessions


def build(
    directory: Path,
    options: WebOptions = UNLIMITED,
    peer: str = "192.0.2.7",
    people: PeopleSettings | None = None,
    operators: OperatorSettings | None = None,
) -> World:
    """One that answers, and does nothing by itself; with the default options nobody is slowed
    down.
    """
    data, tokens, sessions = _template()
    path = directory / "store.db"
    path.write_bytes(data)
    store = Store.open(f"sqlite:///{path}", LocalMasterKey(MASTER))
    web = Web(
        store,
        Service(store, ServiceSettings(people=people.address if people else "")),
        Accounts(store.database, store.keys, operators),
        options,
        provider=Provider(people) if people else None,
        operator_provider=Provider(replace(people, callback=CALLBACK)) if people else None,
    )
    application = Application(web)
    return World(web, application, Client(application, peer), tokens, sessions, path)


@contextmanager
def world(
    directory: Path,
    options: WebOptions = UNLIMITED,
    peer: str = "192.0.2.7",
    people: PeopleSettings | None = None,
    operators: OperatorSettings | None = None,
) -> Generator[World, None, None]:
    """Start it; people is where persons log in who approve boots, operators how operators do."""
    made = build(directory, options, peer, people, operators)
    with made.client:
        yield made
