# SPDX-License-Identifier: Apache-2.0
"""An attestation server for one demo: `pykexec serve`, set up by `pykexec server`."""

from __future__ import annotations

import json
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pykexec.demo.attest_keys import Tls
from pykexec.demo.lan import Network
from pykexec.errors import ToolError
from pykexec.image.reference import reference_values
from pykexec.policy.text import image_lines, listed
from pykexec.run import run
from pykexec.tpm.client import Tpm
from pykexec.vm import child, swtpm

_PORT = 8443
MACHINE = "demo"
POLICY = "demo"
_PYKEXEC = (sys.executable, "-m", "pykexec")
_AUTHORITIES = ("issuercert.pem", "swtpm-localca-rootca-cert.pem")
_START_S = 30.0
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs; its files are in directory."""

    url: str
    directory: Path
    within: tuple[str, ...]

    def ask(self, *words: str | Path, stdin: bytes | None = None) -> str:
        """What `pykexec server` says, asking the server by its admin API."""
        asking: list[str | Path] = [*self.within, *_PYKEXEC, "server", "--url", self.url]
        asking += ["--token-file", self.directory / "token", "--ca", _authority(self.directory)]
        return run([*asking, *words], stdin=stdin, timeout_s=_TIMEOUT_S).decode()

    def audit(self, **wanted: str) -> list[dict[str, object]]:
        """The audit trail, newest first: of an action or a subject alone, if so wanted."""
        options = [word for key, value in wanted.items() for word in (f"--{key}", value)]
        found: list[dict[str, object]] = json.loads(self.ask("audit", "list", "--json", *options))
        return found

    def attestations(self) -> list[dict[str, object]]:
        """Those of the machine, newest first."""
        found: list[dict[str, object]] = json.loads(self.ask("attestations", MACHINE, "--json"))
        return found


def choose_port(network: Network) -> int:
    """Where a server may listen: beside us there are others, but in a network of our own."""
    if network.lan:
        return _PORT
    with socket.socket() as taken:
        taken.bind((network.listen, 0))
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def server(
    network: Network,
    port: int,
    directory: Path,
    tls: Tls,
    tpm: Path,
    options: Sequence[str | Path] = (),
) -> Iterator[Server]:
    """Set a server up in directory and run it, with options, while the `with` block lasts.

    It trusts the authority that has certified the EKs of the TPM whose directory is tpm.
    """
    roots = directory / "roots"
    roots.mkdir(parents=True, exist_ok=True)
    for name in _AUTHORITIES:
        (roots / name).write_bytes((tpm / "ca" / name).read_bytes())
    database = directory / "server.sqlite"
    store = ["--database", f"sqlite:///{database}", "--master-key", f"file:{directory}/master.key"]
    for path in (*directory.glob("server.sqlite*"), directory / "token", directory / "master.key"):
        path.unlink(missing_ok=True)
    setup: list[str | Path] = [
        "server",
        "init",
        *store,
        "--password-file",
        "-",
        "--token-file",
        directory / "token",
    ]
    run([*_PYKEXEC, *setup], stdin=secrets.token_hex(16).encode(), timeout_s=_TIMEOUT_S)
    words = [*network.within, *_PYKEXEC, "serve", *store, "--listen", f"{network.listen}:{port}"]
    words += ["--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)]
    words += ["--ek-roots", str(roots), *map(str, options)]
    log = directory / "server.log"
    process = child.start(words, log)
    try:
        deadline = time.monotonic() + _START_S
        while "serving https://" not in (said := log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ToolError(f"{shlex.join(words)}: does not serve: {said.strip()[-2000:]}")
            time.sleep(0.05)
        yield Server(f"https://{network.listen}:{port}", directory, network.within)
    finally:
        child.stop(process)


def enrol(server: Server, tpm: Path, policy: str, key: bytes, volume: str) -> str:
    """Make the machine with that TPM known, with a policy and the key of its LUKS volume; its
    fingerprint.
    """
    fingerprint = add_machine(server, tpm, policy)
    put_secret(server, "root", "luks-key", key, volume=volume)
    return fingerprint


def add_machine(server: Server, tpm: Path, policy: str) -> str:
    """Make the machine with that TPM known, with a policy; its fingerprint."""
    public = server.directory / "ek.public"
    with swtpm.commands(tpm) as transmit, Tpm(transmit) as client:
        public.write_bytes(client.best_ek().public)
    text = server.directory / "policy.toml"
    text.write_text(policy)
    server.ask("policy", "put", POLICY, text)
    return server.ask("add", public, "--name", MACHINE, "--policy", POLICY).strip()


def put_secret(server: Server, name: str, kind: str, value: bytes, **parameters: str) -> None:
    """Give the machine a secret, which goes to the server by a pipe."""
    options = [word for pair in parameters.items() for word in ("--parameter", "=".join(pair))]
    words = ["secret", "put", MACHINE, name, "--kind", kind, *options, "--file", "-"]
    server.ask(*words, stdin=value)


def policy_for(image: bytes, payload_authenticode: str, *, self_contained: bool = True) -> str:
    """A policy that demands this image, by its reference values, and this payload; self_contained
    is one that reads nothing that nobody has measured.
    """
    reference: Mapping[str, object] = reference_values(image, "image")
    lines = ["version = 1", f'name = "{POLICY}"', *image_lines(reference, "from `pykexec build`")]
    lines += ["", "[secure_boot]", "required = true", "", "[payload]", "required = true"]
    lines += ["self_contained = true"] if self_contained else []
    lines += [f"authenticode_sha256 = {listed([payload_authenticode])}"]
    lines += ["", "[[rules]]", 'name = "ek-certificate"']
    lines += ["expression = 'evidence.ek.trusted == \"certificate\"'"]
    return "\n".join(lines) + "\n"


def _authority(directory: Path) -> Path:
    return directory / "authority.pem"
