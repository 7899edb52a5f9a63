# SPDX-License-Identifier: Apache-2.0
"""`pykexec serve` as a process: TLS, workers that die, peers that dawdle, an orderly end; and
`pykexec server`, which sets it up and administers it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.attest import decode, protocol
from pykexec.cli import main
from tests.support import attest_ca
from tests.support.attest_machine import Machine
from tests.support.samples_tls import certified
from tests.support.server_world import ANY_IMAGE, KEY, PASSWORD

START_S = 30
TOKEN_FILE = "token"


@dataclass(frozen=True)
class Served:
    """A server with two workers, set up by `pykexec server`."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    def connect(self) -> http.client.HTTPSConnection:
        """A new connection that trusts the server's authority alone."""
        context = ssl.create_default_context(cafile=self.directory / "ca.pem")
        return http.client.HTTPSConnection("localhost", self.port, timeout=20, context=context)

    def raw(self) -> ssl.SSLSocket:
        """Only TLS."""
        context = ssl.create_default_context(cafile=self.directory / "ca.pem")
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        return context.wrap_socket(plain, server_hostname="localhost")

    def post(self, path: str, body: bytes) -> bytes:
        """One message of the protocol."""
        connection = self.connect()
        connection.request("POST", path, body)
        response = connection.getresponse()
        assert response.status == 200
        data = response.read()
        connection.close()
        return data

    def workers(self) -> set[int]:
        """Their process ids."""
        pid = self.process.pid
        return {int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def run(self, *words: str) -> int:
        """`pykexec server`."""
        url = f"https://localhost:{self.port}"
        files = ("--token-file", self.directory / TOKEN_FILE, "--ca", self.directory / "ca.pem")
        return main(["server", "--url", url, *map(str, files), *words])


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(served: Served) -> bool:
    connection = served.connect()
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def set_up(directory: Path) -> tuple[str, ...]:
    """Make key, database and administrator; the options that both verbs take."""
    (directory / "password").write_text(PASSWORD + "\n")
    store = ("--database", f"sqlite:///{directory}/s.db", "--master-key", f"file:{directory}/key")
    files = ("--password-file", f"{directory}/password", "--token-file", f"{directory}/token")
    assert main(["server", "init", *store, *files]) == 0
    return store


@pytest.fixture(name="served", scope="module")
def served_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("serve")
    tls = certified(directory)
    store = set_up(directory)
    roots = directory / "roots"
    roots.mkdir()
    (roots / "root.pem").write_bytes(attest_ca.root().certificate.public_bytes(Encoding.PEM))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "pykexec", "serve", *store, "--listen", f"127.0.0.1:{port}",
        "--tls-cert", str(tls.certificate), "--tls-key", str(tls.key), "--ek-roots", str(roots),
        "--workers", "2", "--log-format", "json",
    ]  # fmt: skip
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    found = Served(directory, port, process)
    try:
        wait(lambda: answers(found))
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def test_init_makes_files_that_nobody_else_can_read(served: Served) -> None:
    for name in ("key", TOKEN_FILE, "s.db"):
        assert (served.directory / name).stat().st_mode & 0o777 == 0o600


def test_init_leaves_a_server_alone_that_has_operators(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ("--database", f"sqlite:///{served.directory}/s.db")
    key = ("--master-key", f"file:{served.directory}/key")
    password = ("--password-file", f"{served.directory}/password")
    assert main(["server", "init", *store, *key, *password, "--operator", "eve"]) == 2
    assert "has operators already" in capsys.readouterr().err


def test_who_has_database_and_key_needs_no_token_to_make_one(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ("--database", f"sqlite:///{served.directory}/s.db")
    key = ("--master-key", f"file:{served.directory}/key")
    made = served.directory / "made"
    words = ["server", "local-token", "ci", *store, *key, "--role", "viewer", "--output", str(made)]
    assert main(words) == 0
    assert made.stat().st_mode & 0o777 == 0o600
    assert main([*words[:-1], f"{made}2"]) == 1, "the name is taken"
    assert main([*words[:2], "ci2", *words[3:]]) == 2, "the file is there"
    files = ["--token-file", str(made), "--ca", f"{served.directory}/ca.pem"]
    assert (
        main(["server", "--url", f"https://localhost:{served.port}", *files, "token", "list"]) == 6
    )
    served.run("token", "list")
    told = capsys.readouterr().out
    assert "ci2" not in told


def test_a_machine_is_served_from_policy_to_secret(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, secret = served.directory / "any.toml", served.directory / "secret"
    policy.write_text(ANY_IMAGE)
    secret.write_bytes(KEY)
    machine = Machine()
    (served.directory / "ek").write_bytes(machine.ek_public)
    ek = str(served.directory / "ek")
    name = machine.fingerprint[:12]
    parameter = ("--parameter", "file=root.key")
    assert served.run("policy", "put", "any", str(policy)) == 0
    assert served.run("add", ek, "--name", "lab 1", "--policy", "any") == 0
    assert served.run("tags", name, "site=Graz") == 0
    put = ("secret", "put", "lab 1", "root", "--kind", "luks-key", *parameter)
    assert served.run(*put, "--file", str(secret)) == 0
    challenge = decode.parse_challenge(
        served.post(protocol.CHALLENGES_PATH, machine.challenge_request().encode())
    )
    request = machine.attest_request(challenge)
    reply = decode.parse_attest_reply(served.post(protocol.ATTESTATIONS_PATH, request.encode()))
    assert [one.value for one in machine.open_release(challenge, reply)] == [KEY]
    assert served.run("machines") == served.run("attestations", name) == 0
    told = capsys.readouterr().out
    assert "lab 1" in told and "site=Graz" in told and "accepted" in told
    assert served.run("audit", "verify") == 0
    assert "the chain is whole" in capsys.readouterr().out


def test_retiring_by_command_wants_to_be_meant(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine("to be retired")
    (served.directory / "ek").write_bytes(machine.ek_public)
    served.run("add", str(served.directory / "ek"))
    assert served.run("retire", machine.fingerprint) == 2
    assert served.run("retire", machine.fingerprint, "--for-good", "--reason", "sold") == 0
    assert served.run("approve", machine.fingerprint) == 2
    assert "retired" in capsys.readouterr().out


def test_a_wrong_token_is_denied(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    (served.directory / "wrong").write_text("pykexec_nothing\n")
    url = f"https://localhost:{served.port}"
    files = ["--token-file", f"{served.directory}/wrong", "--ca", f"{served.directory}/ca.pem"]
    assert main(["server", "--url", url, *files, "status"]) == 6
    assert "not known" in capsys.readouterr().err


def test_a_token_does_not_go_over_plain_http(capsys: pytest.CaptureFixture[str]) -> None:
    os.environ["PYKEXEC_TOKEN"] = "pykexec_nothing"
    try:
        assert main(["server", "--url", "http://192.0.2.1:80", "status"]) == 2
    finally:
        del os.environ["PYKEXEC_TOKEN"]
    assert "https only" in capsys.readouterr().err


def test_a_server_of_another_authority_is_not_believed(served: Served, tmp_path: Path) -> None:
    other = certified(tmp_path)
    url = f"https://localhost:{served.port}"
    files = ["--token-file", f"{served.directory}/{TOKEN_FILE}", "--ca", str(other.authority)]
    assert main(["server", "--url", url, *files, "status"]) == 9


def test_a_worker_that_dies_is_replaced(served: Served) -> None:
    before = served.workers()
    assert len(before) == 2
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait(lambda: len(served.workers()) == 2 and victim not in served.workers())
    wait(lambda: all(answers(served) for _ in range(6)))


def test_a_request_whose_body_is_missing_harms_nobody(served: Served) -> None:
    with served.raw() as idle:
        idle.sendall(b"POST /v1/attestations HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert answers(served)


def test_a_head_without_end_is_cut_off(served: Served) -> None:
    with served.raw() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(1000):
                peer.sendall(b"x-filler: " + b"a" * 1000 + b"\r\n")
            assert not peer.recv(1)
            raise ConnectionResetError


def test_neither_log_nor_arguments_hold_a_secret(served: Served) -> None:
    served.post(protocol.CHALLENGES_PATH, Machine().challenge_request().encode())
    text = (served.directory / "log").read_bytes()
    arguments = Path(f"/proc/{served.process.pid}/cmdline").read_bytes()
    token = (served.directory / TOKEN_FILE).read_text().strip()
    key = (served.directory / "key").read_text().strip()
    assert b"POST /v1/challenges 200" in text
    for secret in (KEY, KEY.hex().encode(), token.encode(), key.encode(), PASSWORD.encode()):
        assert secret not in text + arguments
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"pykexec.server.process.serve", "pykexec.access"} <= {line["logger"] for line in lines}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--listen", "0.0.0.0:1"], "loopback only"),
        (["--listen", "[::]:1"], "loopback only"),
        (["--listen", "nonsense"], "not HOST:PORT"),
        (["--tls-cert", "x"], "go together"),
        (["--workers", "0"], "from 1"),
        (["--trusted-proxy", "x"], "x"),
        (["--database", "mysql://x/y"], "a database is"),
        (["--master-key", "nonsense"], "a master key is"),
        (["--master-key", "env:PYKEXEC_NO_SUCH"], "the environment has no"),
    ],
)
def test_a_server_that_is_told_nonsense_says_so(
    tmp_path: Path, words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "k").touch(0o600)
    (tmp_path / "k").write_text("ab" * 32)
    store = ["--database", f"sqlite:///{tmp_path}/s.db", "--master-key", f"file:{tmp_path}/k"]
    assert main(["serve", *store, *words]) != 0
    assert fault in capsys.readouterr().err


def test_a_database_that_was_never_set_up_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "k").touch(0o600)
    (tmp_path / "k").write_text("ab" * 32)
    store = ["--database", f"sqlite:///{tmp_path}/s.db", "--master-key", f"file:{tmp_path}/k"]
    assert main(["serve", *store]) == 1
    assert "--migrate" in capsys.readouterr().err


def test_it_ends_when_told_to_and_answers_what_it_has_begun(served: Served) -> None:
    with served.raw() as peer:
        peer.sendall(b"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        peer.sendall(b"{}")
        assert peer.recv(64).startswith(b"HTTP/1.1 400")
    assert served.process.wait(timeout=30) == 0
