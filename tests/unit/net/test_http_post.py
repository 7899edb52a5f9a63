# SPDX-License-Identifier: Apache-2.0
"""A POST brings one answer from the server that was meant, or says why not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pykexec.config.url import parse_url
from pykexec.errors import NetworkError, NotOnServerError
from pykexec.net.connection import Kept
from pykexec.net.http import post
from pykexec.net.transfer import Deadline, Limits, Transient
from tests.support.https_server import HANG_UP, Answer, https_server
from tests.support.samples_tls import Certified, certified

BODY = b'{"a":1}' * 100_000
PROBLEM = {"Content-Type": "application/problem+json"}


@pytest.fixture(scope="module", name="tls")
def tls_fixture(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return certified(tmp_path_factory.mktemp("tls"))


def send(tls: Certified, answer: Answer | None, **limits: float) -> bytes:
    """What comes back from a server that answers so."""
    bounds = {"timeout_s": 2.0, "total_s": 4.0, **limits}
    allowed = Limits(
        1 << 16, bounds["timeout_s"], bounds["total_s"], authorities=tls.authority.read_text()
    )
    with https_server(tls, lambda path, body: answer) as server:
        found = post(parse_url(f"{server.address}/v1/x"), BODY, allowed, Deadline(allowed))
        assert server.requests == [("/v1/x", BODY)]
    return found


def test_the_answer_comes_whole(tls: Certified) -> None:
    assert send(tls, Answer(200, b"{}" * 1000)) == b"{}" * 1000


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(400, b"x"), "400 Bad Request$"),
        (Answer(403, json.dumps({"detail": "no\nsuch"}).encode(), PROBLEM), "Forbidden: no such$"),
        (Answer(400, b'{"detail": 7}', PROBLEM), "400 Bad Request$"),
        (Answer(400, b"[" * 5000, PROBLEM), "400 Bad Request$"),
        (Answer(302, b"", {"Location": "https://127.0.0.1/x"}), "redirects to .*, refused"),
        (Answer(307, b"", {"Location": "https://127.0.0.1/x"}), "redirects to .*, refused"),
        (Answer(308, b"", {"Location": "/elsewhere"}), "redirects to /elsewhere, refused"),
        (Answer(200, bytes(65537)), "65537 bytes, more than the 65536 that fit"),
        (Answer(201, b"{}"), "201 Created$"),
    ],
)
def test_a_refusal_is_final(tls: Certified, answer: Answer, fault: str) -> None:
    with pytest.raises(NetworkError, match=fault) as caught:
        send(tls, answer)
    assert not isinstance(caught.value, Transient)


def test_what_is_not_there_is_told_apart(tls: Certified) -> None:
    with pytest.raises(NotOnServerError, match="404 Not Found"):
        send(tls, Answer(404))


@pytest.mark.parametrize(
    ("answer", "fault", "after_s"),
    [
        (Answer(500), "500 Internal Server Error$", 0),
        (Answer(503, b"", {"Retry-After": "7"}), "503 Service Unavailable$", 7),
        (Answer(429, b"", {"Retry-After": "2"}), "429 Too Many Requests$", 2),
        (Answer(429, b"", {"Retry-After": "9" * 400}), "429 Too Many", 3600),
        (Answer(503, b"", {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}), "503", 0),
        (Answer(200, b"{}" * 9, cut=5), "cut off after 5 bytes", 0),
        (HANG_UP, "closed without an answer$", 0),
    ],
)
def test_what_may_pass_is_said_to(
    tls: Certified, answer: Answer | None, fault: str, after_s: float
) -> None:
    with pytest.raises(Transient, match=fault) as caught:
        send(tls, answer)
    assert caught.value.retry_after_s == after_s


def test_a_server_that_another_authority_vouches_for_gets_nothing(
    tls: Certified, tmp_path: Path
) -> None:
    allowed = Limits(authorities=certified(tmp_path).authority.read_text(), total_s=4)
    with https_server(tls, lambda path, body: Answer(200)) as server:
        with pytest.raises(NetworkError, match="certificate refused") as caught:
            post(parse_url(server.address + "/"), BODY, allowed, Deadline(allowed))
        assert server.requests == []
    assert not isinstance(caught.value, Transient)


def test_without_an_authority_nobody_is_trusted(tls: Certified) -> None:
    with https_server(tls, lambda path, body: Answer(200)) as server:
        with pytest.raises(NetworkError, match="nobody is trusted"):
            post(parse_url(server.address + "/"), BODY, Limits(), Deadline(Limits()))
        assert server.requests == []


def test_silence_ends(tls: Certified) -> None:
    def slow(path: str, body: bytes) -> Answer:
        time.sleep(1)
        return Answer(200)

    allowed = Limits(authorities=tls.authority.read_text(), timeout_s=0.3, total_s=4)
    with (
        https_server(tls, slow) as server,
        pytest.raises(Transient, match=r"no answer within 0\.3 s"),
    ):
        post(parse_url(server.address + "/"), BODY, allowed, Deadline(allowed))


def send_twice(tls: Certified, *answers: Answer) -> tuple[list[bytes], int]:
    """What comes back of both, and how many connections that took."""
    allowed = Limits(authorities=tls.authority.read_text(), timeout_s=2, total_s=8)
    waiting = list(answers)
    with https_server(tls, lambda path, body: waiting.pop(0)) as server, Kept() as kept:
        found = []
        for answer in answers:
            found.append(
                post(parse_url(server.address + "/"), b"{}", allowed, Deadline(allowed), kept)
            )
            if not answer.keeps:
                assert server.ended.acquire(timeout=5)
    return found, server.nr_connections


def test_a_connection_is_kept_for_the_next_request(tls: Certified) -> None:
    answers = Answer(200, b"first", keeps=True), Answer(200, b"second", keeps=True)
    assert send_twice(tls, *answers) == ([b"first", b"second"], 1)


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["unsaid", "said"])
def test_one_that_the_server_has_ended_costs_no_attempt(
    tls: Certified, headers: dict[str, str]
) -> None:
    answers = Answer(200, b"first", headers), Answer(200, b"second", keeps=True)
    assert send_twice(tls, *answers) == ([b"first", b"second"], 2)


def test_after_a_refusal_nothing_is_kept(tls: Certified) -> None:
    allowed = Limits(authorities=tls.authority.read_text(), timeout_s=2, total_s=8)
    with https_server(tls, lambda path, body: Answer(429, keeps=True)) as server, Kept() as kept:
        for _ in range(2):
            with pytest.raises(Transient, match="429"):
                post(parse_url(server.address + "/"), b"{}", allowed, Deadline(allowed), kept)
        assert server.nr_connections == 2


def test_another_server_gets_a_connection_of_its_own(tls: Certified) -> None:
    allowed = Limits(authorities=tls.authority.read_text(), timeout_s=2, total_s=8)
    answer = Answer(200, b"{}", keeps=True)
    with (
        https_server(tls, lambda path, body: answer) as first,
        https_server(tls, lambda path, body: answer) as second,
        Kept() as kept,
    ):
        for server in (first, second):
            post(parse_url(server.address + "/"), b"{}", allowed, Deadline(allowed), kept)
        assert (first.nr_connections, second.nr_connections) == (1, 1)
