# SPDX-License-Identifier: Apache-2.0
"""The boot server: what dnsmasq is told, what HTTP gives away, and what it refuses to do."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.config.url import parse_url
from pykexec.errors import FormatError, NetworkError, NotOnServerError, ToolError, UsageError
from pykexec.net.fetch import fetch_bytes
from pykexec.net.transfer import Limits
from pykexec.netboot import Settings, Tls, serve
from pykexec.netboot.dnsmasq import Dnsmasq, configuration
from pykexec.netboot.rights import missing_capabilities
from pykexec.netboot.settings import Addresses, parse_addresses
from pykexec.netboot.web import parse_range
from pykexec.run import run
from pykexec.vm.lan import Lan
from tests.support.samples_tls import certified

LISTING = b"""[{"ifname": "tap0", "addr_info": [
{"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
{"family": "inet", "local": "10.77.0.1", "prefixlen": 24, "scope": "global"},
{"family": "inet6", "local": "fd77::1", "prefixlen": 64, "scope": "global"}]}]"""
ADDRESSES = parse_addresses(LISTING, "tap0")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What is served: an image, a text in a directory below, and a secret beside it."""
    path = tmp_path / "served"
    (path / "sub").mkdir(parents=True)
    (path / "pykexec.efi").write_bytes(bytes(range(256)) * 1000)
    (path / "sub" / "a b.txt").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"secret")
    return path


def test_dnsmasq_is_told_who_gets_what(directory: Path) -> None:
    lines = configuration(Settings(directory, "tap0"), ADDRESSES, 8080).splitlines()
    assert "dhcp-range=10.77.0.128,10.77.0.254,255.255.255.0,1h" in lines
    assert "dhcp-boot=tag:pxe,tag:!ipxe,pykexec.efi,,10.77.0.1" in lines
    assert "dhcp-boot=tag:http,http://10.77.0.1:8080/pykexec.efi,,10.77.0.1" in lines
    assert "dhcp-boot=tag:ipxe,http://10.77.0.1:8080/pykexec.efi,,10.77.0.1" in lines
    assert "dhcp-option=tag:pxe6,tag:!ipxe,option6:59,tftp://[fd77::1]/pykexec.efi" in lines


def test_ipxe_gets_its_script_if_there_is_one(directory: Path) -> None:
    (directory / "boot.ipxe").write_text("#!ipxe\n")
    text = configuration(Settings(directory, "tap0"), ADDRESSES, 8080)
    assert "dhcp-boot=tag:ipxe,http://10.77.0.1:8080/boot.ipxe,,10.77.0.1\n" in text


def test_a_proxy_gives_no_addresses(directory: Path) -> None:
    text = configuration(Settings(directory, "tap0", proxy=True), ADDRESSES, 8080)
    assert "dhcp-range=10.77.0.0,proxy,255.255.255.0\n" in text
    assert text.count("dhcp-range=") == 1
    assert "dhcp-authoritative" not in text
    assert "enable-ra" not in text


@pytest.mark.parametrize("proxy", [False, True])
def test_dnsmasq_itself_accepts_the_configuration(proxy: bool, directory: Path) -> None:
    file = directory / "dnsmasq.conf"
    file.write_text(configuration(Settings(directory, "lo", proxy=proxy), ADDRESSES, 80))
    run(["dnsmasq", "--test", f"--conf-file={file}"])


def test_no_name_of_a_directory_writes_configuration(tmp_path: Path) -> None:
    odd = tmp_path / "a\ndhcp-script=/tmp/x"
    odd.mkdir(parents=True)
    text = configuration(Settings(odd, "tap0"), ADDRESSES, 8080)
    assert "tmp" not in text


def test_networks_without_room_are_refused(directory: Path) -> None:
    import ipaddress

    tiny = Addresses(ipaddress.IPv4Interface("10.0.0.1/30"), None)
    with pytest.raises(UsageError, match=r"10\.0\.0\.0/30: too small"):
        configuration(Settings(directory, "tap0"), tiny, 80)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (Settings(Path("/none")), "/none: not a directory"),
        (Settings(Path("/"), proxy=True), "--proxy: needs --interface"),
        (Settings(Path("/"), "eth0", "none.efi"), "/none.efi: there is no such file to boot"),
        (Settings(Path("/"), "eth0", "a,b"), "'a,b': DHCP carries plain file names only"),
        (Settings(Path("/"), "eth0", "a\nlog-debug"), "DHCP carries plain file names only"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: Settings, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        settings.check()


def test_rights_that_are_missing_are_named() -> None:
    assert missing_capabilities("CapEff:\t000001ffffffffff\n") == []
    assert missing_capabilities("CapEff:\t0000000000001000\n") == [
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
    ]


@pytest.mark.parametrize(
    ("listing", "kind", "fault"),
    [
        (b"[]", ToolError, "cannot be read"),
        (b"nonsense", ToolError, "cannot be read"),
        (b'[{"addr_info": []}]', UsageError, "has no address; give it one first"),
    ],
)
def test_an_interface_without_addresses_is_refused(
    listing: bytes, kind: type[Exception], fault: str
) -> None:
    with pytest.raises(kind, match=fault):
        parse_addresses(listing, "tap0")


def test_an_interface_that_is_not_there_is_refused(directory: Path) -> None:
    with Lan(["10.77.0.1/24"]) as lan:
        command = ["netboot", "serve", str(directory), "--interface", "eth7", "--http-port", "0"]
        with pytest.raises(ToolError, match=r"exit status 2: .*--interface eth7: there is no such"):
            run([*lan.within, sys.executable, "-m", "pykexec", *command], timeout_s=30)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-4", (0, 5)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=9-99", (9, 10)),
        ("bytes=-", None),
        ("bytes=4-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("", None),
    ],
)
def test_a_range_is_read(text: str, part: tuple[int, int] | None) -> None:
    assert parse_range(text, 10) == part


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_outside_the_file_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_range(text, 10)


@pytest.fixture
def log() -> list[str]:
    """What the server has reported."""
    return []


@pytest.fixture
def port(directory: Path, log: list[str]) -> Iterator[int]:
    """A server over HTTP alone."""
    with serve(Settings(directory, http_port=0), log.append) as server:
        yield server.http_port


def ask(
    port: int, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body


def test_files_are_served_whole_and_in_part(port: int, directory: Path, log: list[str]) -> None:
    status, headers, body = ask(port, "/pykexec.efi?x=1")
    assert (status, body) == (200, (directory / "pykexec.efi").read_bytes())
    assert headers["Content-Length"] == "256000"
    status, headers, body = ask(port, "/sub/a%20b.txt", Range="bytes=2-4")
    assert (status, headers["Content-Range"], body) == (206, "bytes 2-4/10", b"234")
    assert ask(port, "/sub/a%20b.txt", Range="bytes=10-")[0] == 416
    assert ask(port, "/pykexec.efi", "HEAD")[2] == b""
    assert log[0] == 'http: 127.0.0.1: "GET /pykexec.efi?x=1 HTTP/1.1" 200 -'.replace(
        "127.0.0.1", "::ffff:127.0.0.1"
    )


@pytest.mark.parametrize(
    "path",
    ["/", "/sub", "/none", "/../secret", "/%2e%2e/secret", "/sub/..%2f../secret", "/a%00b", "//"],
)
def test_nothing_else_is_served(path: str, port: int) -> None:
    assert ask(port, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_taken(method: str, port: int) -> None:
    assert ask(port, "/pykexec.efi", method)[0] == 501


def test_a_client_cannot_write_the_log(port: int, log: list[str]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /\x1b[2J HTTP/1.0\r\n\r\n")
        client.makefile("rb").read()
    assert "\x1b" not in "".join(log)


def test_our_own_client_reads_from_it_by_http_and_https(directory: Path, tmp_path: Path) -> None:
    keys = certified(tmp_path / "keys")
    limits = Limits(timeout_s=5, authorities=keys.authority.read_text())
    tls = Tls(keys.certificate, keys.key, 0)
    with serve(Settings(directory, http_port=0, tls=tls), lambda line: None) as server:
        plain, secure = server.http_port, server.https_port
        assert fetch_bytes(parse_url(f"http://localhost:{plain}/sub/a%20b.txt"), limits)
        data = fetch_bytes(parse_url(f"https://localhost:{secure}/pykexec.efi"), limits)
        assert data == (directory / "pykexec.efi").read_bytes()
        assert any(line.startswith("HTTPS https://") for line in server.describe())


def test_a_taken_port_and_a_bad_key_are_said(directory: Path, port: int) -> None:
    with pytest.raises(UsageError, match=f"port {port}: somebody else listens there"):
        with serve(Settings(directory, http_port=port), print):
            pass
    nothing = Tls(Path(os.devnull), Path(os.devnull), 0)
    with pytest.raises(FormatError, match="/dev/null, /dev/null: "):
        with serve(Settings(directory, http_port=0, tls=nothing), print):
            pass


def test_dnsmasq_that_does_not_start_says_why(directory: Path) -> None:
    with pytest.raises(ToolError, match=r"did not start: .*bad option"):
        Dnsmasq("port=0\nno-such-option\n", directory, lambda line: None).await_start()


FETCH = """
import sys
from pykexec.net.fetch import fetch_bytes
from pykexec.net.transfer import Limits
from pykexec.config.url import parse_url
data = fetch_bytes(parse_url(sys.argv[1]), Limits(timeout_s=5))
import hashlib
print(hashlib.sha256(data).hexdigest())
"""


def test_our_tftp_client_reads_from_dnsmasq(directory: Path, tmp_path: Path) -> None:
    import hashlib

    with Lan(["10.77.0.1/24", "fd77::1/64"]) as lan, lan.serve(directory, tmp_path / "log"):
        for host in ("10.77.0.1", "[fd77::1]"):
            words = [sys.executable, "-c", FETCH, f"tftp://{host}/pykexec.efi"]
            digest = run([*lan.within, *words], timeout_s=30).decode().strip()
            assert digest == hashlib.sha256((directory / "pykexec.efi").read_bytes()).hexdigest()


def test_a_missing_file_is_missing_for_http(port: int) -> None:
    with pytest.raises(NotOnServerError, match="404 Not Found"):
        fetch_bytes(parse_url(f"http://127.0.0.1:{port}/none"), Limits(timeout_s=5))


def test_https_server_is_not_for_http_clients(directory: Path, tmp_path: Path) -> None:
    keys = certified(tmp_path / "keys")
    with serve(
        Settings(directory, http_port=0, tls=Tls(keys.certificate, keys.key, 0)), print
    ) as server:
        with pytest.raises(NetworkError):
            fetch_bytes(parse_url(f"http://127.0.0.1:{server.https_port}/"), Limits(attempts=1))
        context = ssl.create_default_context(cafile=keys.authority)
        with socket.create_connection(("127.0.0.1", server.https_port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                assert secure.version() in ("TLSv1.2", "TLSv1.3")
