# SPDX-License-Identifier: Apache-2.0
"""The attester's side of an approval: it asks again until persons have decided."""

from __future__ import annotations

import logging
import os
import time

from pykexec.attest import protocol
from pykexec.attest.client import Answer, Server, below
from pykexec.attest.decode import parse_attest_reply
from pykexec.net.connection import Kept
from pykexec.net.http import post
from pykexec.net.transfer import Deadline, Limits, Transient

log = logging.getLogger(__name__)

_INTERVAL_MAX_S = 60


def wait(server: Server, answer: Answer, patience_s: float) -> None:
    """Have answer's reply be the last one: persons have decided, the server waits for them no more,
    or patience_s is over, with which the reply is as pending as it was.

    A server that is not there for a while is asked again; NetworkError for an answer that is none.
    """
    if (pending := answer.reply.pending) is None:
        return
    # Once more after its end: the server says why it is one.
    total_s = min(patience_s, pending.expires_s + 2.0 * pending.interval_s)
    limits = Limits(protocol.REPLY_MAX, server.silence_s, total_s, authorities=server.authorities)
    deadline, url = Deadline(limits), below(server.address, protocol.APPROVALS_PATH)
    body = answer.poll_request(pending.ticket).encode()
    pause_s = _pause_s(pending.interval_s)
    with Kept() as kept:
        while answer.reply.pending is not None and pause_s < deadline.left_s:
            time.sleep(pause_s)
            pause_s = _pause_s(pending.interval_s)
            try:
                answer.reply = parse_attest_reply(post(url, body, limits, deadline, kept))
            except Transient as error:
                log.info("%s; once more", error)
                pause_s = max(pause_s, error.retry_after_s)


def _pause_s(interval_s: int) -> float:
    """As the server wants it, and no two machines at once."""
    jitter = 0.75 + int.from_bytes(os.urandom(2), "little") / 131072
    return min(max(interval_s, 1), _INTERVAL_MAX_S) * jitter
