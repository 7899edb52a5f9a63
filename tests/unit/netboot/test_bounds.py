# SPDX-License-Identifier: Apache-2.0
"""The boot server's bounds: where it listens, whose files it gives, as whom, and to how many."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pykexec.errors import UsageError
from pykexec.netboot import Settings, Tls, rights, serve, web
from pykexec.netboot.settings import check_for_tftp
from pykexec.netboot.web import open_inside
from pykexec.run import run
from pykexec.vm.lan import Lan


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What is served, with links in it: two stay inside, the others lead out."""
    path = tmp_path / "served"
    (path / "sub").mkdir(parents=True)
    (path / "pykexec.efi").write_bytes(b"MZ" * 50_000)
    (path / "sub" / "private").write_bytes(b"private")
    (path / "sub" / "private").chmod(0o600)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "served-not").mkdir()
    (tmp_path / "served-not" / "secret").write_bytes(b"secret")
    (path / "near").symlink_to("sub/../pykexec.efi")
    (path / "below").symlink_to("sub")
    (path / "out").symlink_to("../secret")
    (path / "absolute").symlink_to(tmp_path / "secret")
    (path / "beside").symlink_to(tmp_path / "served-not")
    (path / "up").symlink_to("/")
    (path / "round").symlink_to("round")
    (path / "device").symlink_to("/dev/zero")
    os.mkfifo(path / "pipe")
    return path


@pytest.fixture
def opened(directory: Path) -> Iterator[int]:
    """That directory, open as the server has it."""
    fd = os.open(directory, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("address", ["/pykexec.efi", "/near?x", "//pykexec.efi", "/%70ykexec.efi"])
def test_what_lies_in_the_directory_is_served(address: str, opened: int) -> None:
    with open_inside(opened, address) as file:
        assert file.read() == b"MZ" * 50_000


@pytest.mark.parametrize(
    "address",
    [
        *("/out", "/absolute", "/beside/secret", "/up/etc/hostname", "/device", "/round", "/pipe"),
        *("/", "/sub", "/below", "/none", "/../secret", "/sub/..", "/%2e%2e/secret", "/a%00b"),
        "/" + "a" * 300,
        "/" + "a/" * 3000,
        "/%ff%fe",
        "/pykexec.efi/x",
    ],
)
def test_nothing_else_is(address: str, opened: int) -> None:
    with pytest.raises(OSError):
        open_inside(opened, address)


def test_root_gives_to_everybody_what_everybody_may_read(
    opened: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(PermissionError):
        open_inside(opened, "/below/private")


def test_a_request_that_leads_out_is_answered(directory: Path) -> None:
    with serve(Settings(directory, http_port=0), lambda line: None) as server:
        for address in ("/out", "/" + "a" * 300):
            connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
            connection.request("GET", address)
            assert connection.getresponse().status == 404
            connection.close()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tls": Tls(Path("c.pem"), Path("served/sub/private"))}, "private: lies in .*, it would"),
    ],
)
def test_what_must_not_be_served_is_refused(
    changes: dict[str, object], fault: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory.parent)
    with pytest.raises(UsageError, match=fault):
        Settings(directory, **changes).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "target", "fault"),
    [
        ("sub/out", "../../secret", r"sub/out: a link that leads out of .*: TFTP would follow it"),
        ("absolute", "{outside}/secret", "absolute: a link that leads out of "),
        ("beside", "../served-not", "beside: a link that leads out of "),
        ("over", "near-out/secret", "near-out: a link that leads out of "),
        ("later", "../not-there-yet", "later: a link that leads out of "),
        ("device", "/dev/zero", "device: a link that leads out of "),
        ("sub/pipe", None, "sub/pipe: neither a file nor a directory: TFTP would wait for it"),
    ],
)
def test_what_tftp_must_not_follow_is_refused(
    name: str, target: str | None, fault: str, text_directory: Path
) -> None:
    (text_directory / "sub").mkdir()
    (text_directory.parent / "served-not").mkdir()
    (text_directory / "near").symlink_to("sub")
    (text_directory / "round").symlink_to("round")
    (text_directory / "pykexec.efi").rename(text_directory / "sub/1.efi")
    (text_directory / "pykexec.efi").symlink_to("near/1.efi")
    check_for_tftp(text_directory)
    if name == "over":
        (text_directory / "near-out").symlink_to("../served-not")
    if target is None:
        os.mkfifo(text_directory / name)
    else:
        (text_directory / name).symlink_to(target.format(outside=text_directory.parent))
    with pytest.raises(UsageError, match=fault):
        Settings(text_directory, "lo").check()
    Settings(text_directory).check()


def test_a_file_that_grows_is_sent_as_long_as_was_said(directory: Path) -> None:
    file = directory / "grows"
    file.write_bytes(b"x" * (8 << 20))
    with (
        serve(Settings(directory, http_port=0), lambda line: None) as server,
        socket.create_connection(("127.0.0.1", server.http_port)) as client,
    ):
        client.settimeout(10)
        client.sendall(b"GET /grows HTTP/1.1\r\n\r\nGET /none HTTP/1.0\r\n\r\n")
        said = client.recv(1000)
        with file.open("ab") as more:
            more.write(b"\xfe" * 1000)
        while data := client.recv(1 << 20):
            said = said[:1000] + said[1000:][-1000:] + data
    assert b"\xfe" not in said
    assert b"HTTP/1.1 404" in said[-2000:]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bounds."""
    monkeypatch.setattr(web, "CONNECTIONS_MAX", 5)
    monkeypatch.setattr(web, "HEAD_S", 1.0)


@pytest.mark.usefixtures("few")
def test_slow_clients_are_few_and_not_for_ever(directory: Path) -> None:
    said: list[str] = []
    with serve(Settings(directory, http_port=0), said.append) as server:
        target = ("127.0.0.1", server.http_port)
        slow = [socket.create_connection(target) for _ in range(5)]
        for client in slow:
            client.sendall(b"GET / HTTP/1.1\r\nX: ")
            client.settimeout(10)
        with socket.create_connection(target) as refused:
            refused.settimeout(10)
            assert refused.recv(1) == b""
        ended = [client.recv(1) for client in slow]
        assert ended == [b""] * 5
        for client in slow:
            client.close()
        deadline = time.monotonic() + 10
        answer = b""
        while not answer and time.monotonic() < deadline:
            with socket.create_connection(target) as again:
                again.sendall(b"GET /pykexec.efi HTTP/1.0\r\n\r\n")
                answer = again.recv(12)
        assert answer == b"HTTP/1.1 200"
    assert said.count("http: 5 connections are open, others are refused") == 1


@pytest.mark.usefixtures("few")
def test_a_thread_that_cannot_be_had_takes_no_place(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, faults = ThreadingHTTPServer.process_request, iter(range(6))

    def process(server: ThreadingHTTPServer, request: Any, address: Any) -> None:
        if next(faults, None) is not None:
            raise RuntimeError("can't start new thread")
        started(server, request, address)

    monkeypatch.setattr(ThreadingHTTPServer, "process_request", process)
    with serve(Settings(directory, http_port=0), lambda line: None) as server:
        for _ in range(6):
            with socket.create_connection(("127.0.0.1", server.http_port)) as client:
                client.settimeout(10)
                assert client.recv(1) == b""
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
        connection.request("GET", "/pykexec.efi")
        assert connection.getresponse().status == 200
        connection.close()


# Runs in a network of its own: asks the server, and looks at its threads and at dnsmasq.
ASK = r"""
import json, os, sys
from pathlib import Path
from pykexec.config.url import parse_url
from pykexec.errors import NetworkError
from pykexec.net.fetch import fetch_bytes
from pykexec.net.transfer import Limits

found = {}
directory, *addresses = sys.argv[1:]
for address in addresses:
    try:
        found[address] = fetch_bytes(parse_url(address), Limits(timeout_s=5, attempts=1)).decode()
    except NetworkError as error:
        found[address] = str(error)

def is_server(process):
    try:
        return os.fsencode(directory) in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False  # It has ended.


named = [process for process in Path("/proc").glob("[0-9]*") if is_server(process)]
processes = [process for process in named if process.name != str(os.getpid())]
for process in list(processes):
    children = (process / "task" / process.name / "children").read_text()
    processes += [Path("/proc", child) for child in children.split()]


def status_of(thread):
    try:
        return (thread / "status").read_text().splitlines()
    except OSError:
        return []  # It has answered its client.


threads = [thread for process in processes for thread in (process / "task").iterdir()]
lines = [line.split() for thread in threads for line in status_of(thread)]
keys = ("Uid:", "CapEff:", "CapPrm:")
found["rights"] = sorted({" ".join(line) for line in lines if line and line[0] in keys})
print(json.dumps(found))
"""


@pytest.fixture
def bench() -> Iterator[Lan]:
    """A network, and beside it another address of this machine."""
    with Lan(["10.77.0.1/24", "fd77::1/64"]) as lan:
        run([*lan.within, "ip", "address", "add", "10.9.0.1/24", "dev", "lo"])
        yield lan


def ask(lan: Lan, directory: Path, *addresses: str) -> dict[str, Any]:
    """What is found at these, and with whose rights the server runs."""
    found: dict[str, Any] = json.loads(
        run([*lan.within, sys.executable, "-c", ASK, directory, *addresses])
    )
    return found


@pytest.fixture
def text_directory(tmp_path: Path) -> Path:
    """What is served to those who ask."""
    path = tmp_path / "texts"
    path.mkdir()
    (path / "pykexec.efi").write_text("image")
    (path / "private").write_text("private")
    (path / "private").chmod(0o600)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    return path


def test_it_listens_where_the_interface_is_alone(
    bench: Lan, text_directory: Path, tmp_path: Path
) -> None:
    inside = [f"{host}:8080/pykexec.efi" for host in ("http://10.77.0.1", "http://[fd77::1]")]
    outside = [f"http://{host}:8080/pykexec.efi" for host in ("10.9.0.1", "127.0.0.1", "[::1]")]
    with bench.serve(text_directory, tmp_path / "log"):
        found = ask(bench, text_directory, *inside, *outside)
    assert [found[address] for address in inside] == ["image", "image"]
    assert all("Connection refused" in found[address] for address in outside)


def test_nothing_is_left_in_a_directory_when_it_is_killed(
    bench: Lan, text_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("TMPDIR", str(own))
    with bench.serve(text_directory, tmp_path / "log"):
        assert "image" in ask(bench, text_directory, "tftp://10.77.0.1/pykexec.efi").values()
        assert list(own.iterdir()) == []


def rights_of(user: int) -> list[str]:
    """HTTP with no capability, DHCP and TFTP with three."""
    capabilities = [
        f"{kind}: {value:016x}" for kind in ("CapEff", "CapPrm") for value in (0, 0x3400)
    ]
    return [*capabilities, f"Uid: {user} {user} {user} {user}"]


# Who owns the directory, what is said of a file that only the owner may read, the server's rights.
OWNERS = [(0, "403 Forbidden", rights_of(65534)), (54321, "private", rights_of(54321))]
# Who is root in a namespace alone has no rights that could be given up.
OWNERS = OWNERS if os.geteuid() == 0 else [(os.geteuid(), "private", [])]


@pytest.mark.parametrize(("owner", "private", "rights"), OWNERS)
def test_nothing_is_served_with_the_rights_of_root(
    owner: int, private: str, rights: list[str], bench: Lan, text_directory: Path, tmp_path: Path
) -> None:
    for path in (text_directory, text_directory / "private", text_directory / "pykexec.efi"):
        os.chown(path, owner, -1)
    web, tftp = "http://10.77.0.1:8080/", "tftp://10.77.0.1/"
    names = [way + name for way in (web, tftp) for name in ("pykexec.efi", "private", "out")]
    with bench.serve(text_directory, tmp_path / "log"):
        (text_directory / "out").symlink_to(tmp_path / "secret")
        found = ask(bench, text_directory, *names)
    assert found[web + "pykexec.efi"] == found[tftp + "pykexec.efi"] == "image"
    assert private in found[web + "private"]
    # Who made the tests' directories may see where the link leads: out of what is served.
    refusal = "403 Forbidden" if os.geteuid() == 0 else "404 Not Found"
    assert found[web + "out"] == f"{web}out: {refusal}"
    assert found["rights"] == (rights or found["rights"])


def test_what_could_not_be_served_without_root_is_refused(
    text_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "rights_for", lambda directory: rights.Rights(65534, 65534))
    rights.check_readable(text_directory, "pykexec.efi")
    with pytest.raises(UsageError, match="private: may not be read by user 65534, with whose"):
        rights.check_readable(text_directory, "private")


def test_rights_are_those_of_the_owner_but_for_root(tmp_path: Path) -> None:
    nobody = rights.Rights(65534, 65534)
    status = tmp_path.stat()
    assert not nobody.may_read(status)
    assert rights.Rights(status.st_uid, 1).may_read(status)
    tmp_path.chmod(0o750)
    assert rights.Rights(1, status.st_gid).may_read(tmp_path.stat())
    tmp_path.chmod(0o705)
    assert nobody.may_read(tmp_path.stat())
