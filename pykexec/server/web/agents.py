# SPDX-License-Identifier: Apache-2.0
"""The attesters' requests: bytes to the service, its answers to bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.types import Receive, Scope

from pykexec.attest import protocol
from pykexec.attest.decode import (
    parse_attest_request,
    parse_challenge_request,
    parse_poll_request,
)
from pykexec.attest.fields import ProtocolError
from pykexec.attest.protocol import AttestReply
from pykexec.server.errors import StoreError
from pykexec.server.service import Refused
from pykexec.server.steps import Steps, advance
from pykexec.server.store.records import AttestationRecord
from pykexec.server.web import escrow
from pykexec.server.web.bodies import Look
from pykexec.server.web.json_log import note_machine
from pykexec.server.web.problems import Problem, too_many
from pykexec.server.web.web import Web

CHALLENGE_MAX = 128 << 10
"""Bytes of a ChallengeRequest; protocol.MESSAGE_MAX is for what has an event log."""
POLL_MAX = 2 * protocol.TOKEN_MAX
"""Bytes of a PollRequest."""


async def challenge(web: Web, scope: Scope, receive: Receive) -> Response:
    """POST /v1/challenges."""
    return await _post(web, scope, receive, CHALLENGE_MAX, _challenge, None)


async def attest(web: Web, scope: Scope, receive: Receive) -> Response:
    """POST /v1/attestations; a refusal is a verdict, too, and answered by 200."""

    def look(head: bytes) -> None:
        """Who has no challenge of ours, or one that is over, need not send his event log."""
        token = _TOKEN.match(head)
        refusal = web.service.token_fault(token[1].decode() if token else "", datetime.now(UTC))
        if refusal is not None:
            raise _Refused(refusal)

    return await _post(web, scope, receive, protocol.MESSAGE_MAX, _attest, look)


async def poll(web: Web, scope: Scope, receive: Receive) -> Response:
    """POST /v1/approvals: whether persons have decided."""
    return await _post(web, scope, receive, POLL_MAX, _poll, None)


PATHS = {
    protocol.CHALLENGES_PATH: challenge,
    protocol.ATTESTATIONS_PATH: attest,
    protocol.APPROVALS_PATH: poll,
    protocol.KEYS_PATH: escrow.report,
}
_Begin = Callable[[Web, bytes, str], tuple[Steps, AttestationRecord | AttestReply]]
_TOKEN = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"token"\s*:\s*"([A-Za-z0-9_-]*)"')


class _Refused(Exception):
    """Answered before all of the body was there."""

    def __init__(self, reply: AttestReply) -> None:
        super().__init__()
        self.reply = reply


async def _post(
    web: Web,
    scope: Scope,
    receive: Receive,
    size_max: int,
    work: Callable[[Web, bytes, str], Awaitable[bytes]],
    look: Look | None,
) -> Response:
    if scope["method"] != "POST":
        raise Problem(405, "POST is needed", {"Allow": "POST"})
    headers = None
    with web.bodies.charging(scope) as reader:
        try:
            body = await reader.read(scope, receive, size_max, look)
            answer = await work(web, body, scope["pykexec.peer"])
        except _Refused as refused:
            _count(web, refused.reply)
            answer, headers = refused.reply.encode(), {"Connection": "close"}
        except ProtocolError as error:
            raise Problem(400, str(error)) from None
        except Refused as error:
            if error.retry_after_s:
                web.metrics.count("pykexec_limited_total", limit="machine")
                raise too_many(error.retry_after_s) from None
            raise Problem(error.status, str(error)) from None
    return Response(answer, 200, headers, media_type="application/json")


async def _challenge(web: Web, body: bytes, peer: str) -> bytes:
    """Done here: it waits for nothing, and takes little longer than giving it to a thread."""
    request = parse_challenge_request(body)
    note_machine(request.identity.fingerprint)
    return web.service.challenge(request, peer, datetime.now(UTC)).encode()


async def _attest(web: Web, body: bytes, peer: str) -> bytes:
    return await _decide(web, _judge, body, peer)


async def _poll(web: Web, body: bytes, peer: str) -> bytes:
    return await _decide(web, _ask_persons, body, peer)


async def _decide(web: Web, begin: _Begin, body: bytes, peer: str) -> bytes:
    """No thread waits for the disk: so the more ask, the more are written at a time."""
    steps, outcome = await web.run_for_agent(begin, web, body, peer)
    while isinstance(outcome, AttestationRecord):
        note_machine(outcome.fingerprint)
        try:
            await asyncio.wrap_future(web.store.submit_attestation(outcome))
        except StoreError as error:
            outcome = await web.run_for_agent(advance, steps, error)
        else:
            outcome = advance(steps)  # Which has only the reply to give.
    _count(web, outcome)
    return outcome.encode()


def _ask_persons(web: Web, body: bytes, peer: str) -> tuple[Steps, AttestationRecord | AttestReply]:
    steps = web.service.poll(parse_poll_request(body), peer, datetime.now(UTC))
    return steps, advance(steps)


def _judge(web: Web, body: bytes, peer: str) -> tuple[Steps, AttestationRecord | AttestReply]:
    steps = web.service.steps(parse_attest_request(body), peer, datetime.now(UTC))
    return steps, advance(steps)


def _count(web: Web, reply: AttestReply) -> None:
    result = "accepted" if reply.verdict.accepted else "refused"
    if reply.pending is not None:
        result = "pending"
    web.metrics.count("pykexec_attestations_total", result=result)
    for code in {finding.code for finding in reply.verdict.reasons}:
        web.metrics.count("pykexec_findings_total", code=code)
    if reply.release is not None:
        web.metrics.count("pykexec_releases_total")
