# SPDX-License-Identifier: Apache-2.0
"""What an entry of the menu demands of an attestation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from pykexec.config.agent import AgentConfig
from pykexec.config.attest import AttestConfig
from pykexec.errors import DeniedError
from pykexec.guest import attest


@pytest.mark.parametrize(("pending", "opened"), [(None, False), (object(), True)])
def test_an_approval_that_no_person_has_given_opens_nothing(
    pending: object, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Accepts:
        server = "s"
        reply = SimpleNamespace(pending=pending, release=None, verdict=SimpleNamespace(findings=()))

        def check(self) -> None:
            """Accepted."""

        @contextmanager
        def open_release(self, spend: object) -> Iterator[SimpleNamespace]:
            done.append("opened")
            yield SimpleNamespace(opened=(), secrets=())

    @contextmanager
    def asked(*_: object) -> Iterator[Accepts]:
        yield Accepts()

    monkeypatch.setattr("pykexec.attest.client.attest", asked)
    monkeypatch.setattr("pykexec.attest.deliver.deliver", lambda *_, **words: [])
    monkeypatch.setattr(attest.Attestation, "_wait", lambda *_: None)
    tpm: Any = SimpleNamespace(usage=SimpleNamespace(seconds=0, commands=0))
    facts: Any = SimpleNamespace(machine={}, installed={})
    demand = AttestConfig("https://s", approval=True)
    mailbox: Any = object()
    attestation = attest.Attestation(mailbox, AgentConfig(attest=demand), demand)
    if opened:
        attestation._ask_server(tpm, facts)
    else:
        with pytest.raises(DeniedError, match="no person has approved"):
            attestation._ask_server(tpm, facts)
    assert done == (["opened"] if opened else [])
