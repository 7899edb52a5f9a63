# SPDX-License-Identifier: Apache-2.0
"""A decision as steps: what must be on disk before anything is told, then the reply."""

from __future__ import annotations

from collections.abc import Generator

from pykexec.attest.protocol import AttestReply
from pykexec.attest.verdict import Finding, Verdict
from pykexec.server.errors import StoreError
from pykexec.server.store.records import AttestationRecord
from pykexec.server.store.store import Store

Steps = Generator[AttestationRecord, None, AttestReply]
"""Gives what the store must have recorded before anything is told, at last the reply."""


def advance(steps: Steps, error: StoreError | None = None) -> AttestationRecord | AttestReply:
    """The next record to write, or the reply; error is why the one before was not written."""
    try:
        return next(steps) if error is None else steps.throw(error)
    except StopIteration as end:
        reply = end.value
        assert isinstance(reply, AttestReply)
        return reply


def complete(store: Store, steps: Steps) -> AttestReply:
    """The reply, by who has nothing better to do than to wait for the disk."""
    outcome = advance(steps)
    while isinstance(outcome, AttestationRecord):
        try:
            store.record_attestation(outcome)
        except StoreError as error:
            outcome = advance(steps, error)
        else:
            outcome = advance(steps)
    return outcome


def stranger(code: str, text: str) -> AttestReply:
    """The reply to who has proven nothing."""
    return AttestReply(Verdict((Finding(code, text),)))
