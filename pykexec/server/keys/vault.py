# SPDX-License-Identifier: Apache-2.0
"""A master key that HashiCorp Vault's transit engine keeps: this host never sees it."""

from __future__ import annotations

import base64
import binascii
import logging
import os
import threading
from typing import Any

import hvac
import requests
from hvac.exceptions import VaultError

from pykexec.server.errors import MasterKeyError
from pykexec.server.keys.environment import take_from_environment

log = logging.getLogger(__name__)

_TIMEOUT_S = 10


class VaultMasterKey:
    """A transit key (aes256-gcm96); every use is one request, which Vault's own audit log has.

    The token needs "update" on MOUNT/encrypt/NAME and MOUNT/decrypt/NAME, nothing else; one that
    may renew itself is renewed by check().
    """

    def __init__(self, client: hvac.Client, mount: str, name: str) -> None:
        self._client = client
        self._mount = mount
        self._name = name
        # requests does not promise that a session may be used by several threads.
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<vault {self._mount}/{self._name}>"

    @property
    def key_id(self) -> str:
        """Without the version, which Vault notes in what it wraps."""
        return f"vault:{self._mount}/{self._name}"

    def wrap(self, plain: bytes | bytearray) -> bytes:
        """Vault's text: "vault:v1:..."."""
        text = base64.b64encode(plain).decode()
        answer = self._call(
            self._client.secrets.transit.encrypt_data,
            name=self._name,
            plaintext=text,
            mount_point=self._mount,
        )
        return self._field(answer, "ciphertext").encode()

    def unwrap(self, wrapped: bytes) -> bytearray:
        """MasterKeyError for what this key did not wrap."""
        answer = self._call(
            self._client.secrets.transit.decrypt_data,
            name=self._name,
            ciphertext=wrapped.decode("ascii", "replace"),
            mount_point=self._mount,
        )
        try:
            return bytearray(base64.b64decode(self._field(answer, "plaintext"), validate=True))
        except binascii.Error:
            raise MasterKeyError(f"{self.key_id}: Vault's answer is not base64") from None

    def check(self) -> None:
        """MasterKeyError when Vault is sealed, away, or refuses the token, which is renewed."""
        data = self._call(self._client.auth.token.lookup_self).get("data") or {}
        ttl, whole = data.get("ttl"), data.get("creation_ttl")
        if data.get("renewable") and ttl and whole and ttl < whole / 2:
            self._call(self._client.auth.token.renew_self)
            log.info("%s: token renewed", self.key_id)

    def _call(self, method: Any, **arguments: str) -> dict[str, Any]:
        try:
            with self._lock:
                answer = method(**arguments)
        except VaultError as error:
            # What Vault itself says of it; str() would hold the whole answer.
            words = "; ".join(map(str, error.errors or [])) or type(error).__name__
            raise MasterKeyError(f"{self.key_id}: {words}") from None
        except (requests.RequestException, ValueError) as error:
            raise MasterKeyError(f"{self.key_id}: {type(error).__name__}: {error}") from None
        if not isinstance(answer, dict):
            raise MasterKeyError(f"{self.key_id}: Vault's answer is not JSON")
        return answer

    def _field(self, answer: dict[str, Any], key: str) -> str:
        data = answer.get("data")
        value = data.get(key) if isinstance(data, dict) else None
        if not isinstance(value, str):
            raise MasterKeyError(f"{self.key_id}: Vault's answer has no {key}")
        return value


def open_vault_key(path: str) -> VaultMasterKey:
    """By "MOUNT/NAME"; address, token and CA are taken from the environment as Vault's tools do."""
    mount, _, name = path.rpartition("/")
    if not mount or not name:
        raise MasterKeyError(f"vault:{path}: must be vault:MOUNT/NAME")
    client = hvac.Client(
        timeout=_TIMEOUT_S,
        namespace=os.environ.get("VAULT_NAMESPACE"),
        # A redirect would take the token along to wherever it points.
        allow_redirects=False,
    )
    # The client has its copy.
    take_from_environment("VAULT_TOKEN")
    key = VaultMasterKey(client, mount, name)
    key.check()
    return key
