# SPDX-License-Identifier: Apache-2.0
"""Downloads over HTTP and HTTPS: what comes is whole and what was meant, or the reason is said."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pykexec.config.url import parse_url
from pykexec.errors import NetworkError, NotOnServerError
from pykexec.net import connection as connections
from pykexec.net.fetch import Fetched, fetch, fetch_bytes
from pykexec.net.transfer import Limits
from tests.support.samples_tls import Certified, certified

DATA = bytes(range(256)) * 4096
QUICK = Limits(size=1 << 20, timeout_s=0.5, total_s=1.5, attempts=1)
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: %d\r\n\r\n" % len(DATA) + DATA
BROKEN, CRLF = b"HTTP/1.1 500 No\r\n\r\n", b"\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server whose nth connection gets the nth answer (bytes, or a function of the socket)."""
    listeners = []

    def start(
        *answers: bytes | Callable[[socket.socket], None], tls: Certified | None = None
    ) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_answer, args=(listener, answers, tls), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def _answer(
    listener: socket.socket,
    answers: tuple[bytes | Callable[[socket.socket], None], ...],
    tls: Certified | None,
) -> None:
    for answer in answers:
        try:
            connection, _ = listener.accept()
            with connection:
                if tls:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(tls.certificate, tls.key)
                    connection = context.wrap_socket(connection, server_side=True)
                connection.recv(65536)
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
                connection.close()
        except OSError:
            continue


def get(address: str, limits: Limits = QUICK, sha256: str = "") -> tuple[Fetched, bytes]:
    """What came, and the file it came into."""
    fd = os.memfd_create("test")
    try:
        fetched = fetch(parse_url(address), fd, limits, sha256)
        return fetched, os.pread(fd, 1 << 22, 0)
    finally:
        os.close(fd)


def test_a_file_comes_whole_with_its_digest(serve: Serve) -> None:
    address = f"http://localhost:{serve(WHOLE)}/a.efi"
    fetched, data = get(address, sha256=hashlib.sha256(DATA).hexdigest().upper())
    assert (str(fetched.url), fetched.size, data) == (address, len(DATA), DATA)


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"5\r\nhello\r\n3;x=y\r\n yo\r\n0\r\n\r\n",
        b"HTTP/1.0 200\r\n\r\nhello yo",
        OK + b"Content-Length: 8\r\nX: y\r\n\r\nhello yo and more",
    ],
    ids=["chunks", "until the end", "length"],
)
def test_every_kind_of_body_is_read(answer: bytes, serve: Serve) -> None:
    assert fetch_bytes(parse_url(f"http://127.0.0.1:{serve(answer)}/"), QUICK) == b"hello yo"


def drip(connection: socket.socket) -> None:
    """A body that never gets anywhere, byte by byte."""
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def drip_header(connection: socket.socket) -> None:
    """Not even a header."""
    while True:
        connection.sendall(b"H")
        time.sleep(0.1)


def silence(connection: socket.socket) -> None:
    """Nothing, until the client goes."""
    connection.recv(1)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found$"),
        (b"HTTP/1.1 403 No\r\n\r\n", "403 No$"),
        (b"HTTP/1.1 503 Later\r\n\r\n", "503 Later$"),
        (b"HTTP/1.1 206 Partial\r\n\r\nx", "206 Partial$"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"", "closed without an answer|reset by peer"),
        (WHOLE[:-1], f"cut off after {len(DATA) - 1} bytes of {len(DATA)}$"),
        (CHUNKED + b"5\r\nhel", "cut off after 3 bytes"),
        (OK + b"Content-Length: 1048577\r\n\r\n", "1048577 bytes, more than the 1048576 that fit"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + DATA + b"x", "more than the 1048576 bytes that fit"),
        (b"HTTP/1.1 302 X\r\n\r\n", "302 without a Location"),
        (b"HTTP/1.1 302 X\r\nLocation: tftp://h/x\r\n\r\n", "redirects to tftp://h/x, which is"),
        (b"HTTP/1.1 302 X\r\nLocation: /../x\r\n\r\n", "redirects to an address that is none"),
        (b"HTTP/1.1 302 X\r\nLocation: /" + b"a" * 9000 + b"\r\n\r\n", "of 9001 characters"),
        (OK + b"Content-Encoding: gzip\r\n\r\nx", r"comes encoded \(gzip\), which was not asked"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\nx", r"encoded \(gzip, chunked\)"),
        (silence, "no answer within 0.5 s"),
        (drip, "took too long, given up"),
        (drip_header, "took too long, given up"),
    ],
)
def test_what_went_wrong_is_said_in_bounded_time(
    answer: bytes | Callable[[socket.socket], None], fault: str, serve: Serve
) -> None:
    started = time.monotonic()
    port = serve(answer)
    with pytest.raises(NetworkError, match=fault) as caught:
        get(f"http://127.0.0.1:{port}/a.efi")
    assert str(caught.value).startswith(f"http://127.0.0.1:{port}/a.efi: ")
    assert time.monotonic() - started < QUICK.total_s + 1


HOSTILE = b"\x1b[2J\x1b]0;owned\x07 \x9b31m" + b"A" * 60_000
PROBLEM = b"HTTP/1.1 400 X\r\nContent-Type: application/problem+json\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 " + HOSTILE + b"\r\n\r\n",
        b"HTTP/1.1 \x1b[2J " + HOSTILE + b"\r\n\r\n",
        b"HTTP/1.1 302 X\r\nLocation: " + HOSTILE[:1000] + b"\r\n\r\n",
        b"HTTP/1.1 302 X\r\nLocation: " + HOSTILE + b"\r\n\r\n",
        OK + b"Content-Encoding: " + HOSTILE + b"\r\n\r\n",
        PROBLEM + b'{"detail": "\\u001b[2J\\u202e\\u009b' + b"x" * 9000 + b'"}',
    ],
    ids=["reason", "status", "location", "long location", "coding", "detail"],
)
def test_what_a_server_says_is_short_and_printable(answer: bytes, serve: Serve) -> None:
    with pytest.raises(NetworkError) as caught:
        get(f"http://127.0.0.1:{serve(answer)}/")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("status", [b"403 Forbidden", b"404 Not Found", b"410 Gone"])
def test_only_a_missing_file_is_missing(status: bytes, serve: Serve) -> None:
    with pytest.raises(NotOnServerError):
        get(f"http://127.0.0.1:{serve(b'HTTP/1.1 ' + status + CRLF * 2)}/")
    with pytest.raises(NetworkError) as caught:
        get(f"http://127.0.0.1:{serve(BROKEN)}/")
    assert not isinstance(caught.value, NotOnServerError)


def test_another_file_than_promised_is_refused_and_leaves_nothing(serve: Serve) -> None:
    fd = os.memfd_create("test")
    with pytest.raises(NetworkError, match=f"its SHA-256 is {hashlib.sha256(DATA).hexdigest()}"):
        fetch(parse_url(f"http://127.0.0.1:{serve(WHOLE)}/"), fd, QUICK, "ab" * 32)
    assert os.fstat(fd).st_size == 0
    os.close(fd)


def test_a_server_that_recovers_gets_another_chance(serve: Serve) -> None:
    port = serve(WHOLE[:100000], b"HTTP/1.1 503 Later\r\n\r\n", WHOLE)
    fetched, data = get(f"http://127.0.0.1:{port}/", Limits(timeout_s=2, total_s=20))
    assert (fetched.size, data) == (len(DATA), DATA)


def test_redirects_are_followed_but_not_for_ever(serve: Serve) -> None:
    port = serve(b"HTTP/1.1 301 X\r\nLocation: sub/b.efi#top\r\n\r\n", WHOLE)
    assert str(get(f"http://127.0.0.1:{port}/a")[0].url) == f"http://127.0.0.1:{port}/sub/b.efi"
    again = b"HTTP/1.1 307 X\r\nLocation: /a\r\n\r\n"
    with pytest.raises(NetworkError, match="more than 5 redirects"):
        get(f"http://127.0.0.1:{serve(*[again] * 9)}/a")


def test_a_redirect_may_leave_the_scheme_out(serve: Serve) -> None:
    target = serve(WHOLE)
    port = serve(b"HTTP/1.1 302 X\r\nLocation: //127.0.0.1:%d?b\r\n\r\n" % target)
    assert str(get(f"http://127.0.0.1:{port}/a")[0].url) == f"http://127.0.0.1:{target}/?b"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkError, match="cannot connect: Connection refused"):
        get(f"http://127.0.0.1:{port}/")


def test_a_family_that_linux_does_not_have_is_passed_over(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = serve(WHOLE)
    unknown: tuple[int, tuple[object, ...]] = (255, ("::1", port))
    there = (socket.AF_INET, ("127.0.0.1", port))
    monkeypatch.setattr(connections, "resolve", lambda url, kind: [unknown, there])
    assert get(f"http://server:{port}/")[1] == DATA
    monkeypatch.setattr(connections, "resolve", lambda url, kind: [unknown])
    with pytest.raises(NetworkError, match="cannot connect: Address family not supported"):
        get(f"http://server:{port}/")


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(NetworkError, match=r"no-such-host\.invalid: "):
        get("http://no-such-host.invalid/")


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """A server that the pinned authority vouches for."""
    return certified(tmp_path_factory.mktemp("trusted"))


def https(authority: Path | None) -> Limits:
    """QUICK, with this authority."""
    pem = authority.read_text() if authority else ""
    return Limits(size=QUICK.size, timeout_s=2, total_s=5, attempts=1, authorities=pem)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_https_with_the_pinned_authority(host: str, serve: Serve, trusted: Certified) -> None:
    port = serve(WHOLE, tls=trusted)
    assert get(f"https://{host}:{port}/", https(trusted.authority))[1] == DATA


def test_https_of_another_authority_is_refused(
    serve: Serve, trusted: Certified, tmp_path: Path
) -> None:
    other = certified(tmp_path / "other")
    port = serve(WHOLE, tls=other)
    with pytest.raises(NetworkError, match="certificate refused: "):
        get(f"https://localhost:{port}/", https(trusted.authority))


def test_https_of_another_name_is_refused(serve: Serve, trusted: Certified, tmp_path: Path) -> None:
    other = certified(tmp_path / "named", "DNS:elsewhere.example")
    port = serve(WHOLE, tls=other)
    with pytest.raises(NetworkError, match="certificate refused: Hostname mismatch"):
        get(f"https://localhost:{port}/", https(other.authority))


def test_https_without_a_pinned_authority_is_refused(serve: Serve, trusted: Certified) -> None:
    port = serve(WHOLE, tls=trusted)
    with pytest.raises(NetworkError, match="no certificate authority is configured"):
        get(f"https://localhost:{port}/", https(None))


def test_https_does_not_lead_away_from_https(serve: Serve, trusted: Certified) -> None:
    away = b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1/x\r\n\r\n"
    port = serve(away, tls=trusted)
    with pytest.raises(NetworkError, match=r"to http://127\.0\.0\.1/x, away from HTTPS"):
        get(f"https://localhost:{port}/", https(trusted.authority))


def test_http_on_an_https_port_is_said(serve: Serve, trusted: Certified) -> None:
    port = serve(WHOLE)
    with pytest.raises(NetworkError, match="no TLS"):
        get(f"https://localhost:{port}/", https(trusted.authority))


def cut_without_a_word(connection: socket.socket) -> None:
    """Half of a configuration, and then what anybody on the way can do: a FIN."""
    assert isinstance(connection, ssl.SSLSocket)
    os.close(connection.detach())


def half(head: bytes) -> Callable[[socket.socket], None]:
    """An answer that begins so, and is cut off within its body."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head + b'[payload]\nurl = "os.efi"\n')
        cut_without_a_word(connection)

    return answer


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        OK + b"Connection: close\r\n\r\n",
        OK + b"Content-Length: 99\r\n\r\n",
        CHUNKED + b"99\r\n",
    ],
)
def test_a_body_over_https_is_never_cut_short_unnoticed(
    head: bytes, serve: Serve, trusted: Certified
) -> None:
    port = serve(half(head), tls=trusted)
    with pytest.raises(NetworkError, match="cut off after 25 bytes"):
        get(f"https://localhost:{port}/agent.toml", https(trusted.authority))


def test_a_body_over_https_may_end_with_the_connection(serve: Serve, trusted: Certified) -> None:
    def answer(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        connection.unwrap()

    port = serve(answer, tls=trusted)
    assert get(f"https://localhost:{port}/", https(trusted.authority))[1] == b"all of it"


def test_the_servers_own_certificate_may_stand_for_an_authority(
    serve: Serve, trusted: Certified
) -> None:
    port = serve(WHOLE, tls=trusted)
    assert get(f"https://localhost:{port}/", https(trusted.certificate))[1] == DATA


def test_a_clock_that_is_wrong_is_named(serve: Serve, tmp_path: Path) -> None:
    # No end before the beginning: OpenSSL 3.5 makes no such certificate.
    stale = certified(tmp_path / "stale", days=0)
    time.sleep(2)
    port = serve(WHOLE, tls=stale)
    with pytest.raises(NetworkError, match=r"; the clock of this machine says \d{4}-\d\d-\d\d "):
        get(f"https://localhost:{port}/", https(stale.authority))
