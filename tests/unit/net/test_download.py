# SPDX-License-Identifier: Apache-2.0
"""Large downloads: what breaks off is gone on with, and never with another file."""

from __future__ import annotations

import http.server
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

import pytest

from pykexec.config.url import parse_url
from pykexec.errors import NetworkError, NotOnServerError
from pykexec.net.download import open_download
from pykexec.net.transfer import Limits

DATA = random.Random(13).randbytes(3_000_001)
LIMITS = Limits(size=1 << 24, timeout_s=2, total_s=20)


@dataclass
class Site:
    """A server of one file, each of whose answers ends after so many bytes (cuts, then whole)."""

    cuts: list[int] = field(default_factory=list)
    has_ranges: bool = True
    contents: list[bytes] = field(default_factory=lambda: [DATA])
    etags: list[str] = field(default_factory=lambda: ['"1"'])
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 0
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Site:
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers from the site's script."""

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                """As the script says."""
                site.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/boot.wim"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        number = len(self.asked)
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        data = self.contents[min(number, len(self.contents) - 1)]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.has_ranges else 0
        if self.status:
            request.send_error(self.status)
            return
        request.send_response(206 if start else 200)
        request.send_header("ETag", self.etags[min(number, len(self.etags) - 1)])
        headers = {"Content-Length": str(len(data) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        for name, value in (headers | self.headers).items():
            request.send_header(name, value)
        request.end_headers()
        cut = self.cuts[number] if number < len(self.cuts) else len(data)
        request.wfile.write(data[start : start + cut])


def download(site: Site, limits: Limits = LIMITS) -> bytes:
    with open_download(parse_url(site.address), limits) as found:
        assert found.total == len(DATA)
        return b"".join(found.pieces())


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pykexec.net.download._PAUSE_S", 0.001)
    yield


def test_the_size_is_known_before_the_bytes_come() -> None:
    with Site() as site, open_download(parse_url(site.address), LIMITS) as found:
        assert (found.total, found.size, str(found.source)) == (len(DATA), 0, site.address)
        assert b"".join(found.pieces()) == DATA
        assert site.asked == [""]


# More often than a file may fail: each attempt has brought something.
BROKEN_OFF = {True: [1_000_000, 400_000, 1, 700_000], False: [1_000_000, 1_400_000, 1_400_001]}


@pytest.mark.parametrize("has_ranges", [True, False])
def test_what_breaks_off_is_gone_on_with_where_it_ended(has_ranges: bool) -> None:
    with Site(BROKEN_OFF[has_ranges], has_ranges) as site:
        assert download(site) == DATA
    assert site.asked[:4] == ["", "bytes=1000000-", "bytes=1400000-", "bytes=1400001-"]


def test_an_attempt_that_brings_nothing_counts() -> None:
    with Site([500_000, 0, 0, 0]) as site:
        with pytest.raises(
            NetworkError, match=r"boot\.wim: cut off after 500000 bytes of 3000001$"
        ):
            download(site)
        assert len(site.asked) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"contents": [DATA, DATA + b"x"]},
        {"etags": ['"1"', '"2"']},
    ],
)
@pytest.mark.parametrize("has_ranges", [True, False])
def test_another_file_is_not_gone_on_with(changed: dict[str, list[str]], has_ranges: bool) -> None:
    with (
        Site([1_000_000], has_ranges, **changed) as site,  # type: ignore[arg-type]
        pytest.raises(NetworkError, match=r"boot\.wim: changed after 1000000 bytes had come$"),
    ):
        download(site)


def test_a_file_that_is_too_large_is_refused_before_it_comes() -> None:
    with (
        Site() as site,
        pytest.raises(NetworkError, match=r"3000001 bytes, more than the 3000000 that fit"),
    ):
        download(site, Limits(size=3_000_000))


def test_a_server_that_does_not_know_the_size_is_refused() -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    with (
        Site(headers=chunked) as site,
        pytest.raises(NetworkError, match="does not say how large it is"),
    ):
        download(site)


def test_a_part_that_does_not_say_which_is_refused() -> None:
    with (
        Site([5], headers={"Content-Range": "pages 1-2/3"}) as site,
        pytest.raises(NetworkError, match="sends a part, and does not say which"),
    ):
        download(site)


@pytest.mark.parametrize(
    ("status", "error", "attempts"), [(404, NotOnServerError, 1), (500, NetworkError, 3)]
)
def test_what_the_server_refuses_is_said(
    status: int, error: type[NetworkError], attempts: int
) -> None:
    with Site(status=status) as site:
        with pytest.raises(error, match=rf"boot\.wim: {status}"):
            download(site)
        assert len(site.asked) == attempts
