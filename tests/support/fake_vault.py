# SPDX-License-Identifier: Apache-2.0
"""As much of HashiCorp Vault's HTTP API as a transit key needs, in this process."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


@dataclass
class Vault:
    """One token, one transit key in versions; requests are noted as they come."""

    token: str = "s.token"
    mount: str = "transit"
    key: str = "pykexec"
    versions: list[AESGCM] = field(default_factory=lambda: [AESGCM(secrets.token_bytes(32))])
    requests: list[str] = field(default_factory=list)
    namespaces: set[str | None] = field(default_factory=set)
    ttl: int = 3600
    sealed: bool = False
    garbage: bool = False
    url: str = ""

    def rotate(self) -> None:
        """Encrypt by a new version from now on; the old ones go on to decrypt."""
        self.versions.append(AESGCM(secrets.token_bytes(32)))

    def answer(self, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a request that has the token."""
        if path == "auth/token/lookup-self":
            data = {"ttl": self.ttl, "creation_ttl": 3600, "renewable": True}
            return 200, {"data": data}
        if path == "auth/token/renew-self":
            self.ttl = 3600
            return 200, {"auth": {"lease_duration": self.ttl}}
        if path == f"{self.mount}/encrypt/{self.key}":
            return 200, {"data": {"ciphertext": self._encrypt(body["plaintext"])}}
        if path == f"{self.mount}/decrypt/{self.key}":
            return self._decrypt(body["ciphertext"])
        return 403, {"errors": ["1 error occurred: permission denied"]}

    def _encrypt(self, plaintext: str) -> str:
        nonce = secrets.token_bytes(12)
        cipher = self.versions[-1].encrypt(nonce, base64.b64decode(plaintext), None)
        return f"vault:v{len(self.versions)}:{base64.b64encode(nonce + cipher).decode()}"

    def _decrypt(self, ciphertext: str) -> tuple[int, dict[str, Any]]:
        try:
            _, version, text = ciphertext.split(":")
            data = base64.b64decode(text)
            plain = self.versions[int(version[1:]) - 1].decrypt(data[:12], data[12:], None)
        except (ValueError, IndexError, InvalidTag):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


def _handler(vault: Vault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Speaks for vault."""

        def handle_any(self) -> None:
            """Every method is answered alike."""
            answer: dict[str, Any]
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.removeprefix("/v1/")
            vault.requests.append(path)
            vault.namespaces.add(self.headers.get("X-Vault-Namespace"))
            if vault.sealed:
                status, answer = 503, {"errors": ["Vault is sealed"]}
            elif self.headers.get("X-Vault-Token") != vault.token:
                status, answer = 403, {"errors": ["permission denied"]}
            else:
                status, answer = vault.answer(path, json.loads(body or b"{}"))
            if vault.garbage:
                answer = {"data": {"ciphertext": 5, "plaintext": "%"}}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    return Handler


@contextmanager
def serving() -> Generator[Vault, None, None]:
    """Answer on a port of the loopback interface."""
    vault = Vault()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(vault))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    vault.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vault
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
