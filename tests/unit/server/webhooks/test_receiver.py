# SPDX-License-Identifier: Apache-2.0
"""Where messages go, where they do not, and for how long a receiver is waited for."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykexec.errors import FormatError, UsageError
from pykexec.server import quotas
from pykexec.server.webhooks.receiver import Receiver, Unreachable
from pykexec.server.webhooks.settings import (
    WebhookSettings,
    address_fault,
    parse_target,
    read_webhooks,
)
from tests.support.https_server import Answer, https_server
from tests.support.receivers import receiving
from tests.support.samples_tls import Certified, certified

HERE = WebhookSettings(http=True, loopback=True)


def post(address: str, settings: WebhookSettings = HERE) -> int:
    with Receiver(parse_target(address, HERE), settings) as receiver:
        return receiver.post({"webhook-id": "1"}, b"{}")


@pytest.fixture(name="tls", scope="module")
def tls_fixture(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return certified(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "::1", "::", "::ffff:127.0.0.1",
        "2002:7f00:1::",
    ],
)  # fmt: skip
def test_this_host_is_no_receiver_unless_the_operator_says_so(address: str) -> None:
    ip = ipaddress.ip_address(address)
    assert "on this very host" in address_fault(ip, WebhookSettings())
    assert address_fault(ip, WebhookSettings(loopback=True)) == ""


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "240.0.0.1", "::ffff:169.254.169.254"],
)
def test_some_addresses_are_nobodys_whatever_is_allowed(address: str) -> None:
    assert "link-local, multicast or reserved" in address_fault(ipaddress.ip_address(address), HERE)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.1.2.3", "fd00::1", "2001:4860::1"])
def test_others_are_receivers(address: str) -> None:
    assert address_fault(ipaddress.ip_address(address), WebhookSettings()) == ""


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.org/", "must be https"),
        ("ftp://example.org/", "must be https"),
        ("https:///x", "must be https"),
        ("https://user:pass@example.org/", "a user or a fragment"),
        ("https://example.org/#x", "a user or a fragment"),
        ("https://example.org:99999/", "the address is none"),
        ("https://[::1]/", "on this very host"),
        ("https://169.254.169.254/", "link-local"),
        ("https://example.org/\r\nHost: x", "must be https"),
        ("https://example.org/" + "x" * 2048, "must be https"),
    ],
)
def test_an_address_is_refused_without_being_repeated(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        parse_target(address, WebhookSettings())
    assert "pass" not in str(refused.value) and "example" not in str(refused.value)


def test_a_name_that_leads_to_this_host_is_not_followed() -> None:
    """The name is looked at where it is connected to, so that it cannot change in between."""
    with receiving() as server:
        address = server.address.replace("127.0.0.1", "localhost")
        with pytest.raises(Unreachable, match="on this very host"):
            post(address, WebhookSettings(http=True))
        assert server.messages == []
        assert post(address) == 204


def test_a_redirection_is_not_followed() -> None:
    with receiving() as server:
        server.answer = lambda _number: 302
        assert post(f"{server.address}/a") == 302
        assert [message.path for message in server.messages] == ["/a"]


def test_a_receiver_is_known_by_its_certificate(tls: Certified, tmp_path: Path) -> None:
    trusting = WebhookSettings(tls.authority, loopback=True)
    with https_server(tls, lambda _path, _body: Answer(200)) as server:
        port = server.address.rpartition(":")[2]
        assert post(f"https://localhost:{port}/", trusting) == 200
        with pytest.raises(Unreachable, match="certificate verify failed"):
            post(f"https://localhost:{port}/", WebhookSettings(loopback=True))
    named = certified(tmp_path, "DNS:localhost")
    trusting = WebhookSettings(named.authority, loopback=True)
    with https_server(named, lambda _path, _body: Answer(200)) as server:
        port = server.address.rpartition(":")[2]
        assert post(f"https://localhost:{port}/", trusting) == 200
        with pytest.raises(Unreachable, match="IP address mismatch"):
            post(f"https://127.0.0.1:{port}/", trusting)


@contextmanager
def listening(answer: bytes, forever: bool) -> Iterator[str]:
    """Takes a connection and says that, a byte now and then."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ends = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while not ends.is_set():
                    try:
                        connection.sendall(answer)
                    except OSError:
                        return
                    if not forever:
                        return
                    ends.wait(0.02)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            ends.set()
            thread.join()


@pytest.mark.parametrize("answer", [b"H", b"HTTP/1.1 200 OK\r\n"])
def test_who_answers_a_byte_at_a_time_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(quotas, "WEBHOOK_S", 0.3)
    with listening(answer, True) as address:
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            post(address)


def test_nobody_waits_for_an_answers_body() -> None:
    with listening(b"HTTP/1.1 200 OK\r\n\r\n", True) as address:
        assert post(address) == 200


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 2000 x\r\n\r\n"])
def test_what_is_no_answer_is_a_failure(answer: bytes) -> None:
    with listening(answer, False) as address, pytest.raises(Unreachable):
        post(address)


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}])
def test_a_connection_that_ended_is_made_anew_as_the_first_was(
    tls: Certified, headers: dict[str, str]
) -> None:
    settings = WebhookSettings(tls.authority, loopback=True)
    with https_server(tls, lambda _path, _body: Answer(200, headers=headers)) as server:
        port = server.address.rpartition(":")[2]
        with Receiver(parse_target(f"https://localhost:{port}/", settings), settings) as receiver:
            assert [receiver.post({}, b"{}") for _ in range(2)] == [200, 200]
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "x: unknown key"),
        ("ca = 1", "ca: must be a string"),
        ("allow_http = 1", "true or"),
    ],
)
def test_the_file_is_checked(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "w.toml").write_text(text)
    with pytest.raises(FormatError, match=words):
        read_webhooks(tmp_path / "w.toml")


def test_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text('ca = "ca.pem"\nallow_loopback = true\n')
    found = read_webhooks(tmp_path / "w.toml")
    assert found == WebhookSettings(tmp_path / "ca.pem", http=False, loopback=True)
    (tmp_path / "w.toml").write_text("")
    assert read_webhooks(tmp_path / "w.toml") == WebhookSettings()
