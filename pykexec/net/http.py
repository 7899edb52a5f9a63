# SPDX-License-Identifier: Apache-2.0
"""HTTP and HTTPS: one GET, redirects followed, or one POST; everything bounded."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pykexec.about import version
from pykexec.config.url import Url
from pykexec.errors import NetworkError, NotOnServerError, UsageError
from pykexec.log import printable
from pykexec.net.connection import Connection, Kept
from pykexec.net.transfer import Deadline, Limits, Sink, Taken, Transient

CHUNK_SIZE = 1 << 18
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
# Whose lister may not see what there is says 403 of what is not there (S3).
_MISSING = (403, 404, 410)
_TOO_MANY = 429
_RETRY_AFTER_MAX_S = 3600.0
_WORDS_MAX = 512  # characters that a server may add to an error
_LOCATION_MAX = 2048


def get(url: Url, sink: Sink, limits: Limits, deadline: Deadline) -> Url:
    """Write what url names to sink; the address that it came from in the end.

    Transient, NotOnServerError or NetworkError say what went wrong. A redirect away from HTTPS is
    refused: what HTTPS has vouched for must not come from elsewhere.
    """
    with open_body(url, {}, sink, limits, deadline) as (came_from, response):
        _receive(came_from, response, sink, deadline)
    return came_from


@contextmanager
def open_body(
    url: Url, headers: Mapping[str, str], taken: Taken, limits: Limits, deadline: Deadline
) -> Iterator[tuple[Url, http.client.HTTPResponse]]:
    """The answer to a GET, all redirects followed, and where it came from; its body is yet to be
    read.

    What goes wrong, with the body too, is Transient, NotOnServerError or NetworkError; taken says
    how much of it had come. With a Range among headers a part of the body is an answer as well.
    """
    for _ in range(MAX_REDIRECTS + 1):
        with _request(url, "GET", None, taken, limits, deadline, headers) as response:
            if response.status not in _REDIRECTS:
                _check_status(url, response, partial="Range" in headers)
                yield url, response
                return
            target = _location(url, response)
        url = _following(url, target)
    raise NetworkError(f"{url}: more than {MAX_REDIRECTS} redirects")


def _following(url: Url, target: str) -> Url:
    """Where a redirect leads: to HTTP, and never away from HTTPS."""
    try:
        following = url.join(target)
    except UsageError as error:
        raise NetworkError(f"{url}: redirects to an address that is none: {error}") from None
    if following.scheme not in ("http", "https"):
        raise NetworkError(f"{url}: redirects to {following}, which is not HTTP")
    if url.scheme == "https" != following.scheme:
        raise NetworkError(f"{url}: redirects to {following}, away from HTTPS")
    return following


def post(
    url: Url, body: bytes, limits: Limits, deadline: Deadline, kept: Kept | None = None
) -> bytes:
    """Send body, which is JSON, and give what comes back; by kept's connection, if it has one, and
    by one that kept has then.

    Transient, NotOnServerError or NetworkError say what went wrong, with the server's own words
    where it sent some (RFC 9457). No redirect is followed: what is sent is for this server alone.
    """
    fd = os.memfd_create("reply", os.MFD_CLOEXEC)
    try:
        sink = Sink(fd, url, limits.size)
        with _request(url, "POST", body, sink, limits, deadline, {}, kept) as response:
            if response.status in _REDIRECTS:
                raise NetworkError(f"{url}: redirects to {_location(url, response)}, refused")
            _check_status(url, response)
            _receive(url, response, sink, deadline)
        return os.pread(fd, sink.size, 0)
    finally:
        os.close(fd)


@contextmanager
def _request(
    url: Url,
    method: str,
    body: bytes | None,
    taken: Taken,
    limits: Limits,
    deadline: Deadline,
    headers: Mapping[str, str],
    kept: Kept | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """The answer, whose body is yet to be read; faults of reading it are put into words, too."""
    answered = False
    with _connection(url, limits, deadline, kept) as connection:
        try:
            connection.putrequest(method, url.path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", _host(url))
            connection.putheader("User-Agent", f"pykexec/{version()}")
            connection.putheader("Accept-Encoding", "identity")
            if kept is None:
                connection.putheader("Connection", "close")
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(body)))
            _send(connection, body)
            response = connection.getresponse()
            answered = True
            yield response
            response.close()  # That it is at its end read1() does not tell the connection.
        except TimeoutError:
            raise Transient(f"{url}: no answer within {limits.timeout_s:g} s") from None
        except http.client.IncompleteRead:
            deadline.silence_s(url)  # We may have closed it ourselves, at the end of all patience.
            raise Transient(cut_off(url, taken.size)) from None
        except http.client.RemoteDisconnected:
            deadline.silence_s(url)
            raise Transient(f"{url}: closed without an answer") from None
        except http.client.HTTPException as error:
            deadline.silence_s(url)
            raise NetworkError(f"{url}: not HTTP: {printable(repr(error), _WORDS_MAX)}") from None
        except OSError as error:
            deadline.silence_s(url)
            if _ends_before_tls(url, error):
                gone = f"{url}: closed without an answer"
                raise Transient(cut_off(url, taken.size) if answered else gone) from None
            raise Transient(f"{url}: {error.strerror or error}") from None


def _ends_before_tls(url: Url, error: OSError) -> bool:
    """Did it end without the word that TLS has for it? Anybody on the way can do that."""
    if url.scheme != "https":
        return False
    import ssl

    # Python below 3.11.4 has no type of its own for what OpenSSL 3 says.
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    return isinstance(error, ssl.SSLEOFError) or reason == "UNEXPECTED_EOF_WHILE_READING"


def _send(connection: http.client.HTTPConnection, body: bytes | None) -> None:
    try:
        connection.endheaders(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # Who refuses without reading it all has answered nevertheless.


def _host(url: Url) -> str:
    """The Host field: without the scope, which means nothing elsewhere (RFC 6874, 4)."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    default = {"http": 80, "https": 443}[url.scheme]
    return host if url.port == default else f"{host}:{url.port}"


def _location(url: Url, response: http.client.HTTPResponse) -> str:
    target = response.headers.get("Location")
    if not target:
        raise NetworkError(f"{url}: {response.status} without a Location")
    if len(target) > _LOCATION_MAX:
        raise NetworkError(f"{url}: redirects to an address of {len(target)} characters")
    return target.partition("#")[0]


def _check_status(url: Url, response: http.client.HTTPResponse, partial: bool = False) -> None:
    if response.status == 200 or (partial and response.status == 206):
        return _check_encoding(url, response)
    reason = printable(response.reason, _WORDS_MAX)
    fault = f"{url}: {response.status} {reason}".rstrip()
    if detail := _detail(response):
        fault = f"{fault}: {detail}"
    if response.status in _MISSING:
        raise NotOnServerError(fault)
    if response.status >= 500 or response.status == _TOO_MANY:
        raise Transient(fault, _retry_after_s(response))
    raise NetworkError(fault)


def _check_encoding(url: Url, response: http.client.HTTPResponse) -> None:
    """Compressed contents were not asked for, and are not the file."""
    for field in ("Content-Encoding", "Transfer-Encoding"):
        coding = response.headers.get(field, "identity").strip().lower()
        if coding not in ("", "identity", "chunked" if field.startswith("T") else ""):
            words = printable(coding, _WORDS_MAX)
            raise NetworkError(f"{url}: comes encoded ({words}), which was not asked for")


def _detail(response: http.client.HTTPResponse) -> str:
    """What a problem document says for people (RFC 9457, 3.1.4), if that is what came."""
    if response.headers.get_content_type() != "application/problem+json":
        return ""
    import json

    try:
        document = json.loads(response.read1(CHUNK_SIZE))
    except (ValueError, RecursionError):
        return ""
    detail = document.get("detail") if isinstance(document, dict) else None
    if not isinstance(detail, str):
        return ""
    return printable(" ".join(detail.split()), _WORDS_MAX)


def _retry_after_s(response: http.client.HTTPResponse) -> float:
    """RFC 9110, 10.2.3, in seconds; dates are not understood, our clock may be wrong."""
    text = response.headers.get("Retry-After", "").strip()
    if not (text.isascii() and text.isdigit()):
        return 0.0
    return min(float(text), _RETRY_AFTER_MAX_S)


def _receive(url: Url, response: http.client.HTTPResponse, sink: Sink, deadline: Deadline) -> None:
    size = response.length  # None: until the end of chunks, or of the connection
    if size is not None:
        sink.expect(size)
    # Not read(): it waits until all of the chunk has come, however slowly.
    while data := response.read1(CHUNK_SIZE):
        sink.write(data)
        deadline.silence_s(url)
    deadline.silence_s(url)
    if size is not None and sink.size != size:
        raise Transient(f"{cut_off(url, sink.size)} of {size}")


def cut_off(url: Url, size: int) -> str:
    """What is said of a body that ended too early."""
    return f"{url}: cut off after {size} bytes"


@contextmanager
def _connection(
    url: Url, limits: Limits, deadline: Deadline, kept: Kept | None
) -> Iterator[http.client.HTTPConnection]:
    """Kept if all has gone well."""
    connection = kept.take(url, deadline) if kept else None
    connection = connection or Connection(url, limits, deadline)
    try:
        yield connection.http
    except BaseException:
        connection.close()
        raise
    if kept:
        kept.give(url, connection)
    else:
        connection.close()
