# SPDX-License-Identifier: Apache-2.0
"""A real provider: logging in there, and all that it may do instead."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from pykexec.server.people.id_token import LoginRefused, Person, Wanted
from pykexec.server.people.provider import Login, Provider, ProviderDown
from pykexec.server.people.settings import PeopleSettings
from tests.support import oidc_provider
from tests.support.oidc_provider import RunningProvider

NONCE = "nonce of this boot"


@pytest.fixture(scope="module", name="running")
def running_fixture() -> Iterator[RunningProvider]:
    with oidc_provider.running() as found:
        yield found


def wanted(settings: PeopleSettings, nonce: str = NONCE) -> Wanted:
    return Wanted(settings.issuer, settings.client_id, nonce)


def query(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def log_in(
    settings: PeopleSettings,
    login: str = "anna",
    spoil: Callable[[dict[str, str]], dict[str, str]] = lambda answer: answer,
    finish: Wanted | None = None,
    other: Login | None = None,
) -> Person:
    """All of it; what the browser brings back may be spoilt."""
    provider, begun = Provider(settings), Login.new()
    address = provider.begin(begun, wanted(settings))
    answer = spoil(query(oidc_provider.log_in(settings, address, login)))
    now = datetime.now(UTC)
    return provider.finish(other or begun, answer, finish or wanted(settings), now)


def test_somebody_logs_in(running: RunningProvider) -> None:
    person = log_in(running.settings, "bob")
    assert (person.subject, person.name) == ("bob", "bob@example.org")
    assert person.groups == ("key-holders", "security")
    assert '"keys":[' in person.key_set


def test_the_request_is_pushed(running: RunningProvider) -> None:
    settings = running.settings
    address = Provider(settings).begin(Login.new(), wanted(settings))
    assert set(query(address)) == {"client_id", "request_uri"}


def test_who_has_no_groups_and_of_whom_nothing_is_said_differ(running: RunningProvider) -> None:
    assert log_in(running.settings, "carl").groups == ("cooks",)
    assert log_in(running.settings, "dora").groups is None


def test_a_login_is_for_the_boot_that_it_was_begun_for(running: RunningProvider) -> None:
    settings = running.settings
    with pytest.raises(LoginRefused, match="another boot"):
        log_in(settings, finish=wanted(settings, "nonce of another boot"))


SPOILT: dict[str, tuple[Callable[[dict[str, str]], dict[str, str]], str]] = {
    "state": (lambda answer: {**answer, "state": "x"}, "another login"),
    "issuer": (lambda answer: {**answer, "iss": "https://evil.example"}, "another login service"),
    "no issuer": (
        lambda answer: {key: value for key, value in answer.items() if key != "iss"},
        "another login service",
    ),
    "code": (lambda answer: {**answer, "code": "made up"}, "login service refuses"),
    "denied": (
        lambda answer: {**answer, "error": "access_denied", "error_description": "not you"},
        "refuses: not you",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_an_answer_that_is_not_of_this_login_is_refused(
    running: RunningProvider, what: str
) -> None:
    spoil, words = SPOILT[what]
    with pytest.raises(LoginRefused, match=words):
        log_in(running.settings, spoil=spoil)


def test_a_code_is_of_use_for_who_has_begun_alone(running: RunningProvider) -> None:
    """Whoever steals it lacks the verifier (RFC 7636), even with the state."""
    stolen: dict[str, str] = {}

    def steal(answer: dict[str, str]) -> dict[str, str]:
        stolen.update(answer)
        return answer

    thief = Login("", Login.new().verifier)
    with pytest.raises(LoginRefused, match="login service refuses"):
        log_in(running.settings, spoil=lambda answer: {**steal(answer), "state": ""}, other=thief)
    assert stolen["code"]


def test_a_wrong_secret_is_told(running: RunningProvider) -> None:
    settings = replace(running.settings, client_secret="wrong")
    with pytest.raises(LoginRefused, match="login service refuses"):
        Provider(settings).begin(Login.new(), wanted(settings))


def test_another_provider_than_was_configured_is_none(running: RunningProvider) -> None:
    settings = replace(running.settings, issuer=f"{running.settings.issuer}/")
    with pytest.raises(ProviderDown, match="another one"):
        Provider(settings).begin(Login.new(), wanted(settings))


def test_a_provider_that_is_not_there_is_down(running: RunningProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = replace(running.settings, issuer=f"http://127.0.0.1:{port}")
    with pytest.raises(ProviderDown, match="does not answer"):
        Provider(settings).begin(Login.new(), wanted(settings))


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [(4000, r"clock is \d+ s ahead"), (-700, "expired: it was made 70. s ago")],
)
def test_a_provider_whose_clock_is_wrong_is_refused_in_words(offset_s: int, words: str) -> None:
    with oidc_provider.running(offset_s) as wrong, pytest.raises(LoginRefused, match=words):
        log_in(wrong.settings)
