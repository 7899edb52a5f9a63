# SPDX-License-Identifier: Apache-2.0
"""The attester's side of the protocol: evidence to a server, its answer, what it released.

attest() asks, again while only the connection or the server's load is in the way: what may have
been answered is asked again unchanged as long as its challenge lives, and with a new one then.
open_release() spends the boot first and opens secrets afterwards: there is no way to them that
leaves the boot unspent.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from pykexec.attest import protocol
from pykexec.attest.approval import PollRequest, poll_proof
from pykexec.attest.decode import parse_attest_reply, parse_challenge, parse_release
from pykexec.attest.fields import ProtocolError
from pykexec.attest.jwe import open_direct, open_to_key
from pykexec.attest.opened import OpenedSecret, Release
from pykexec.attest.protocol import (
    AttestReply,
    AttestRequest,
    Challenge,
    ChallengeRequest,
    Evidence,
    Identity,
    Statement,
)
from pykexec.config.attest import check_server
from pykexec.config.url import Url, parse_url
from pykexec.errors import DeniedError, TpmError
from pykexec.log import printable
from pykexec.net.connection import Kept
from pykexec.net.http import post
from pykexec.net.transfer import Deadline, Limits, Transient

if TYPE_CHECKING:
    from pykexec.crypto import EcdhKey
    from pykexec.secret import Secret
    from pykexec.tpm.client import Tpm
    from pykexec.tpm.transport import FirmwareLog

log = logging.getLogger(__name__)

ATTEMPTS_MAX = 12
_PAUSE_S, _PAUSE_MAX_S = 0.5, 15.0
_LAST_TRY_S = 2.0
_TEXT_MAX = 4096  # characters of a refusal

Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask, and for how long.

    address is https://; the protocol's paths are added to it. authorities is PEM: who may vouch for
    it. timeout_s is for everything, silence_s for a server that says nothing. bank "" leaves the
    choice to the server; ek is a kind of EK, or "auto".
    """

    address: str
    authorities: str
    timeout_s: float = 120.0
    silence_s: float = 10.0
    bank: str = ""
    ek: str = "auto"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said beside the quote: SMBIOS' identity, the payload, the firmware's event log, which
    is read when the quote is made, whether keys will be tried, and what is installed of us.
    """

    machine: Mapping[str, str]
    payload: Mapping[str, str]
    event_log: Callable[[], FirmwareLog]
    tries: bool = False
    installed: Mapping[str, str] = field(default_factory=dict)


class Answer:
    """A server's verdict, the request that it is about, and what opens the release.

    A context manager: at its end the release can be opened no more.
    """

    def __init__(
        self,
        server: str,
        request: AttestRequest,
        reply: AttestReply,
        nonce: bytes,
        key: EcdhKey,
        credential: Secret,
    ) -> None:
        self.server = server
        self.request = request
        self.reply = reply
        self._nonce = nonce
        self._key = key
        self._credential = credential

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._credential.wipe()

    def check(self) -> None:
        """DeniedError, with every reason, if the server refuses."""
        if self.reply.verdict.accepted:
            return
        reasons = "; ".join(str(finding) for finding in self.reply.verdict.reasons)
        reasons = printable(" ".join(reasons.split()), _TEXT_MAX)
        raise DeniedError(f"{self.server} refuses: {reasons}")

    def poll_request(self, ticket: str) -> PollRequest:
        """What asks whether persons have decided; the reply to it takes the place of reply."""
        return PollRequest(ticket, poll_proof(self._credential.view, self._nonce, ticket))

    def open_release(self, spend: Callable[[], None]) -> Release:
        """Call spend, then open the secrets; if it raises, or one cannot be opened, none is.

        DeniedError if the server refuses; ProtocolError or FormatError for a release that is none.
        """
        self.check()
        spend()
        if self.reply.release is None:
            return Release(self.reply.verdict)
        key = protocol.release_key(self._credential.view, self._nonce)
        found: list[OpenedSecret] = []
        try:
            for secret in parse_release(open_direct(self.reply.release, key)):
                value = open_to_key(secret.jwe, self._key)
                fields = (secret.name, secret.kind, secret.parameters, value, secret.use)
                found.append(OpenedSecret(*fields))
        except BaseException:
            for opened in found:
                opened.value.wipe()
            raise
        return Release(self.reply.verdict, tuple(found))


def attest(server: Server, tpm: Tpm, facts: Facts, progress: Progress = lambda _: None) -> Answer:
    """Have server judge this boot; progress is told "quote" whenever one was made.

    An answer may be a refusal. NetworkError if no server answers in time, ProtocolError for an
    answer that is none, TpmError when the TPM does not play its part.
    """
    check_server(server.address)
    limits = Limits(
        protocol.REPLY_MAX, server.silence_s, server.timeout_s, authorities=server.authorities
    )
    deadline = Deadline(limits)
    with _Attester(server, tpm, facts, limits, deadline, progress) as attester:
        for attempt in range(1, ATTEMPTS_MAX):
            try:
                return attester.attempt()
            except Transient as error:
                pause_s = max(error.retry_after_s, _pause_s(attempt))
                if pause_s >= deadline.left_s:
                    # Once more before the time is up, unless the server wants not to be asked then.
                    pause_s = deadline.left_s - _LAST_TRY_S
                    if pause_s <= 0 or pause_s < error.retry_after_s:
                        raise
                log.info("%s; once more in %.1f s", error, pause_s)
                time.sleep(pause_s)
        return attester.attempt()


def _pause_s(attempt: int) -> float:
    """Longer each time, and never the same: a whole hall may have been switched on at once."""
    jitter = 0.5 + int.from_bytes(os.urandom(2), "little") / 65536
    return min(_PAUSE_S * 2.0 ** (attempt - 1), _PAUSE_MAX_S) * jitter


@dataclass(slots=True)
class _Asked:
    """A request that may have been answered; until then (monotonic) it can be asked again."""

    challenge: Challenge
    key: EcdhKey
    credential: Secret
    request: AttestRequest
    until: float
    again: bool = False


class _Attester:
    """What stays the same over all attempts.

    A context manager: at its end what was asked in vain is wiped, the connection closed.
    """

    def __init__(
        self,
        server: Server,
        tpm: Tpm,
        facts: Facts,
        limits: Limits,
        deadline: Deadline,
        progress: Progress,
    ) -> None:
        self._server, self._tpm, self._facts = server, tpm, facts
        self._limits, self._deadline, self._progress = limits, deadline, progress
        self._banks = _banks(tpm, server.bank)
        self._ek = tpm.best_ek() if server.ek == "auto" else tpm.ek(server.ek)
        self._ak = tpm.ak()
        self._identity = Identity(self._ek.public, self._ek.certificates, self._ak.public)
        self._asked: _Asked | None = None
        # Both round trips by one: a handshake of TLS is most of what the network costs us.
        self._kept = Kept()

    def __enter__(self) -> _Attester:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._forget()
        self._kept.close()

    def attempt(self) -> Answer:
        """Both round trips, or the second one again; Transient if another attempt may be better.

        Who does not hear the answer cannot know whether the server has released something, which
        it does once in a boot: the same request gets the same answer, a new one may get none.
        """
        asked = self._asked
        if asked is None or time.monotonic() >= asked.until:
            self._forget()
            asked = self._asked = self._ask()
        body = asked.request.encode()
        try:
            reply = parse_attest_reply(self._post(protocol.ATTESTATIONS_PATH, body))
        except Transient:
            asked.again = True
            raise
        reasons = {finding.code for finding in reply.verdict.reasons}
        if asked.again and reasons & {"challenge.replayed", "challenge.expired"}:
            # It had refused, or there is no answer left to give: only a new request tells.
            self._forget()
            raise Transient(f"{self._server.address}: the challenge is used up")
        self._asked = None
        nonce = asked.challenge.nonce
        return Answer(
            self._server.address, asked.request, reply, nonce, asked.key, asked.credential
        )

    def _forget(self) -> None:
        if self._asked is not None:
            self._asked.credential.wipe()
            self._asked = None

    def _ask(self) -> _Asked:
        """The first round trip, and what is to be asked then."""
        asked = ChallengeRequest(self._identity, self._banks)
        challenge = parse_challenge(self._post(protocol.CHALLENGES_PATH, asked.encode()))
        until = time.monotonic() + challenge.expires_s
        if challenge.bank not in self._banks:
            raise ProtocolError(f"challenge.bank: {challenge.bank} was not offered")
        from pykexec.crypto import ecdh_generate

        key = ecdh_generate("P-256")
        credential = self._tpm.activate_credential(
            self._ak, self._ek, challenge.credential_blob, challenge.credential_secret
        )
        try:
            request = self._request(challenge, key, credential)
        except BaseException:
            credential.wipe()
            raise
        self._progress("quote")
        return _Asked(challenge, key, credential, request, until)

    def _request(self, challenge: Challenge, key: EcdhKey, credential: Secret) -> AttestRequest:
        facts = self._facts
        point, nonce = (key.x, key.y), challenge.nonce
        statement = Statement(
            nonce, point, facts.machine, facts.payload, facts.tries, facts.installed
        )
        said = statement.encode()
        quote, signature = self._tpm.quote(
            self._ak, protocol.qualifying_data(said), challenge.bank, challenge.pcrs
        )
        values = self._tpm.read_pcrs(challenge.bank, challenge.pcrs)
        event_log = facts.event_log()
        evidence = Evidence(
            identity=self._identity,
            statement=said,
            quote=quote,
            signature=signature,
            bank=challenge.bank,
            pcrs=values,
            event_log=event_log.data,
            log_full=event_log.truncated,
        )
        proof = protocol.proof_of(credential.view, challenge.nonce, said, quote)
        return AttestRequest(challenge.token, proof, evidence)

    def _post(self, path: str, body: bytes) -> bytes:
        url = below(self._server.address, path)
        return post(url, body, self._limits, self._deadline, self._kept)


def _banks(tpm: Tpm, wanted: str) -> tuple[str, ...]:
    """Banks to be offered; TpmError if the TPM has none of them."""
    known = (wanted,) if wanted else protocol.BANKS
    active = tpm.active_banks()
    found = tuple(bank for bank in known if bank in active)
    if not found:
        have = ", ".join(active) or "none"
        raise TpmError(f"PCR banks: {' or '.join(known)} is wanted, active: {have}")
    return found


def below(address: str, path: str) -> Url:
    """The address of one of the protocol's paths."""
    return parse_url(address.rstrip("/") + path)
