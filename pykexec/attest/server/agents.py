# SPDX-License-Identifier: Apache-2.0
"""The attesters' two requests: bytes to the service, its answers to bytes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.types import Receive, Scope

from pykexec.attest import protocol
from pykexec.attest.decode import parse_attest_request, parse_challenge_request
from pykexec.attest.fields import ProtocolError
from pykexec.attest.server.problems import Problem
from pykexec.attest.server.service import Refused
from pykexec.attest.server.web import Web

CHALLENGE_MAX = 128 << 10
"""Bytes of a ChallengeRequest; protocol.MESSAGE_MAX is for what has an event log."""


async def challenge(web: Web, scope: Scope, receive: Receive) -> Response:
    """POST /v1/challenges."""
    return await _post(web, scope, receive, CHALLENGE_MAX, _challenge)


async def attest(web: Web, scope: Scope, receive: Receive) -> Response:
    """POST /v1/attestations; a refusal is a verdict, too, and answered by 200."""
    return await _post(web, scope, receive, protocol.MESSAGE_MAX, _attest)


PATHS = {protocol.CHALLENGES_PATH: challenge, protocol.ATTESTATIONS_PATH: attest}


async def _post(
    web: Web,
    scope: Scope,
    receive: Receive,
    size_max: int,
    work: Callable[[Web, bytes, str], Response],
) -> Response:
    if scope["method"] != "POST":
        raise Problem(405, "POST is needed", {"Allow": "POST"})
    body = await web.bodies.read(scope, receive, size_max)
    try:
        return await web.run(work, web, body, scope["pykexec.peer"])
    except ProtocolError as error:
        raise Problem(400, str(error)) from None
    except Refused as error:
        raise Problem(error.status, str(error)) from None
    finally:
        web.bodies.release(body)


def _challenge(web: Web, body: bytes, peer: str) -> Response:
    request = parse_challenge_request(body)
    answer = web.service.challenge(request, peer, datetime.now(UTC))
    return Response(answer.encode(), 200, media_type="application/json")


def _attest(web: Web, body: bytes, peer: str) -> Response:
    request = parse_attest_request(body)
    reply = web.service.attest(request, peer, datetime.now(UTC))
    accepted = reply.verdict.accepted
    web.metrics.count("pykexec_attestations_total", result="accepted" if accepted else "refused")
    for code in {finding.code for finding in reply.verdict.reasons}:
        web.metrics.count("pykexec_findings_total", code=code)
    if reply.release is not None:
        web.metrics.count("pykexec_releases_total")
    return Response(reply.encode(), 200, media_type="application/json")
