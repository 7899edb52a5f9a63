# SPDX-License-Identifier: Apache-2.0
"""What a release brings besides keys: the system's token to hand in keys, and the agent's right to
report what it found of them. Both are sealed for this server, which keeps neither.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pykexec.attest import key_report
from pykexec.attest.fields import ProtocolError, base64url
from pykexec.attest.key_report import KeyReport
from pykexec.attest.protocol import Statement
from pykexec.server.sealed_json import SealedJson
from pykexec.server.store.machine_keys import MachineKeys, Verdict
from pykexec.server.store.records import Counters, Machine, StoredSecret
from pykexec.server.store.store import Store
from pykexec.verify.release import PlainSecret

FILE = "pykexec-escrow.json"
"""What the token's file is called, beside those of the keys."""
PREFIX = "pykexec_escrow_"
TOKEN_MAX = 16 << 10
"""Characters."""
TOKEN_S = 3600
"""So long a system may take from its start to its script."""
_REPORT_S = 900
_PROVEN_FOR = timedelta(days=7)
_NEVER = datetime.min.replace(tzinfo=UTC)
_TOKEN, _REPORT = b"pykexec escrow token 1", b"pykexec key report ticket 1"


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may hand in keys: one machine, in one boot, which was given these versions by name; uuid
    is SMBIOS', "" where the attester did not say it; expires is in seconds since 1970.
    """

    machine_id: int
    boot: tuple[int, int]
    uuid: str
    given: Mapping[str, int]
    expires: int


class Escrow:
    """Makes and takes both, for one store; safe in any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.keys = MachineKeys(store)
        key = store.derived_key("escrow")
        self._tokens = SealedJson(_derive(key, _TOKEN), _TOKEN, TOKEN_MAX)
        self._reports = SealedJson(_derive(key, _REPORT), _REPORT, TOKEN_MAX)

    def beside(
        self,
        machine_id: int,
        given: Sequence[StoredSecret],
        statement: Statement,
        counters: Counters,
        now: datetime,
    ) -> list[PlainSecret]:
        """What goes into a release of these secrets, for a machine that has plans; the caller wipes
        the values.
        """
        plans = {plan.name for plan in self.keys.plans(machine_id)} if given else set()
        if not plans:
            return []
        found = []
        planned = [secret for secret in given if secret.name in plans]
        wanted = self._wanted(machine_id, planned, now) if statement.tries else []
        if not any(secret.parameters.get("file") == FILE for secret in given):
            found.append(self._token(machine_id, planned, statement, counters, now))
        if wanted:
            found.append(self._rights(machine_id, wanted, now))
        return found

    def _wanted(
        self, machine_id: int, planned: Sequence[StoredSecret], now: datetime
    ) -> list[StoredSecret]:
        """Those that nobody has tried for a while: it takes a boot's time."""
        proven = {
            each.id: each.proven
            for state in self.keys.states(machine_id)
            for each in state.generations
        }
        late = now - _PROVEN_FOR
        return [each for each in planned if (proven.get(each.id) or _NEVER) < late]

    def _token(
        self,
        machine_id: int,
        planned: Sequence[StoredSecret],
        statement: Statement,
        counters: Counters,
        now: datetime,
    ) -> PlainSecret:
        used = {secret.name: secret.version for secret in planned if secret.stage == "current"}
        grant = Grant(
            machine_id,
            counters.boot,
            _uuid(statement.machine.get("uuid", "")),
            used,
            int((now + timedelta(seconds=TOKEN_S)).timestamp()),
        )
        value = {"version": 1, "token": self.seal(grant), "expires": grant.expires}
        return PlainSecret(FILE, "file", {"file": FILE}, bytearray(json.dumps(value).encode()))

    def _rights(
        self, machine_id: int, wanted: Sequence[StoredSecret], now: datetime
    ) -> PlainSecret:
        key = secrets.token_bytes(key_report.KEY_SIZE)
        versions = [
            [each.name, "try" if each.stage == "next" else "", each.version] for each in wanted
        ]
        ticket = self._reports.seal(
            {
                "machine": machine_id,
                "key": base64url(key),
                "versions": versions,
                "expires": int(now.timestamp()) + _REPORT_S,
            }
        )
        names = [(str(name), str(use)) for name, use, _ in versions]
        value = bytearray(key_report.encode_rights(ticket, key, names))
        return PlainSecret("report", "file", {}, value, "report")

    def seal(self, grant: Grant) -> str:
        """The token."""
        return PREFIX + self._tokens.seal(
            {
                "machine": grant.machine_id,
                "boot": list(grant.boot),
                "uuid": grant.uuid,
                "given": [[name, version] for name, version in grant.given.items()],
                "expires": grant.expires,
            }
        )

    def open(self, token: str) -> Grant | None:
        """The opposite; None unless a server with this key has sealed it."""
        if not token.startswith(PREFIX) or len(token) > TOKEN_MAX:
            return None
        if (fields := self._tokens.open(token.removeprefix(PREFIX))) is None:
            return None
        reset, restart = (_number(value) for value in fields.values("boot", 2))
        given = {str(name): _number(version) for name, version in _rows(fields.values("given", 64))}
        return Grant(
            machine_id=fields.number("machine"),
            boot=(reset, restart),
            uuid=fields.text("uuid", 64),
            given=given,
            expires=fields.number("expires"),
        )

    def fault(self, grant: Grant, uuid: str, now: datetime) -> str:
        """Why a token counts no more, or not here; "" where it counts."""
        machine = self._store.machine_by_id(grant.machine_id)
        if now.timestamp() >= grant.expires:
            return "the token has expired: it comes anew with the next boot"
        if grant.uuid and not hmac.compare_digest(grant.uuid, _uuid(uuid)):
            return "the token is another machine's"
        if machine.state != "enrolled":
            return f"the machine is {machine.state}"
        if machine.last_counters is None or machine.last_counters.boot != grant.boot:
            return "the token is of another boot"
        return ""

    def report(self, report: KeyReport, now: datetime) -> Machine | None:
        """Write down what the agent found; None for who cannot prove to have been given the keys.
        ProtocolError for what was signed, and is no report.
        """
        fields = self._reports.open(report.ticket)
        if fields is None:
            return None
        machine_id, key = fields.number("machine"), fields.data("key", key_report.KEY_SIZE)
        proof = key_report.proof_of_report(key, report.ticket, report.said)
        late = now.timestamp() >= fields.number("expires")
        if late or not hmac.compare_digest(proof, report.proof):
            return None
        versions = {
            (str(name), str(use)): _number(version)
            for name, use, version in _rows(fields.values("versions", 64))
        }
        found = []
        for each in key_report.parse_verdicts(report.said):
            if (version := versions.get((each.name, each.use))) is None:
                raise ProtocolError(f"verdicts: {each.name[:64]!r} was not given")
            found.append(Verdict(each.name, version, each.fits, each.text))
        self.keys.judge(machine_id, found)
        return self._store.machine_by_id(machine_id)


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, purpose, "sha256")


def _uuid(text: str) -> str:
    return text.strip().strip("{}").lower()


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _rows(values: Sequence[object]) -> list[list[object]]:
    found = []
    for value in values:
        assert isinstance(value, list)
        found.append(value)
    return found
