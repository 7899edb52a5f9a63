# SPDX-License-Identifier: Apache-2.0
"""The API does what its document says: schemathesis asks every operation in this process."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.generation import GenerationMode
from starlette.types import Receive, Scope, Send

from pykexec.server.web.admin.routes import OPERATIONS
from pykexec.server.web.openapi import document
from tests.support.attest_machine import Machine
from tests.support.server_world import World, world

NR_AGENTS_AND_PUBLIC = 11
WITHOUT_INPUT = ("/healthz", "/readyz", "/openapi.json")
FINGERPRINT = re.compile("[0-9a-f]{64}")


def operations() -> list[tuple[str, str]]:
    """Paths and methods of the document."""
    paths = document()["paths"]
    assert isinstance(paths, dict)
    return [(path, method) for path, methods in paths.items() for method in methods]


@dataclass(frozen=True)
class Api:
    """The server, its document as schemathesis read it, and a machine that it knows."""

    server: World
    schema: schemathesis.BaseSchema
    fingerprint: str


@pytest.fixture(name="api", scope="module")
def api_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    logging.getLogger("pykexec.access").setLevel(logging.WARNING)
    with world(tmp_path_factory.mktemp("server")) as server:
        machine = Machine()
        server.attest(machine)
        application = server.application

        async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":  # Schemathesis would end it after the first test.
                raise RuntimeError("the lifespan is another's")
            await application(scope, receive, send)

        schema = schemathesis.openapi.from_asgi("/openapi.json", without_lifespan)
        yield Api(server, schema, machine.fingerprint)


def state(server: World) -> tuple[object, ...]:
    """What a refused request must not change; every change leaves an audit entry."""
    store = server.store
    return store.audit_entries(limit=1), store.attestations(limit=1), store.machine_counts()


def test_every_operation_is_in_the_document() -> None:
    paths = document()["paths"]
    assert isinstance(paths, dict)
    told = {operation["operationId"] for path in paths.values() for operation in path.values()}
    assert {operation.name for operation in OPERATIONS} < told
    assert len(told) == len(OPERATIONS) + NR_AGENTS_AND_PUBLIC


def has_fraction(value: object) -> bool:
    """Whether a number in it is written with one."""
    if isinstance(value, dict | list):
        return any(map(has_fraction, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float)


def check(api: Api, path: str, method: str, mode: GenerationMode) -> None:
    strategy = api.schema[path][method].as_strategy(generation_mode=mode)
    headers = {"Authorization": f"Bearer {api.server.tokens['admin']}"}

    @given(case=strategy)
    @settings(
        max_examples=1 if path.startswith("/v1/") else 2,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case[Any]) -> None:
        # JSON Schema takes 1.0 for an integer, we do not.
        assume(mode is GenerationMode.NEGATIVE or not has_fraction(case.body))
        if FINGERPRINT.fullmatch(str(case.path_parameters.get("machine"))):
            # Otherwise there is no such machine, and that is all there is to say.
            case.path_parameters["machine"] = api.fingerprint
        before = state(api.server)
        # What is well formed may still mean nothing: that is 422, and never 400.
        answer = case.call(headers=headers)
        if answer.status_code != 413:  # That it does not take for a refusal.
            case.validate_response(
                answer,
                excluded_checks=[schemathesis.checks.positive_data_acceptance],
                headers=headers,
            )
        assert mode is GenerationMode.NEGATIVE or answer.status_code != 400
        if 400 <= answer.status_code < 500:
            assert state(api.server) == before

    ask()


@pytest.mark.parametrize(("path", "method"), operations())
def test_what_the_document_allows_is_understood(api: Api, path: str, method: str) -> None:
    check(api, path, method, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    ("path", "method"), [one for one in operations() if one[0] not in WITHOUT_INPUT]
)
def test_what_the_document_forbids_is_refused(api: Api, path: str, method: str) -> None:
    check(api, path, method, GenerationMode.NEGATIVE)
