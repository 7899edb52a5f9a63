# SPDX-License-Identifier: Apache-2.0
"""What a machine is to be given, sealed; and the policy that it is given it by."""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache

from pykexec.policy import Policy, parse_policy
from pykexec.server.keys.envelope import wipe
from pykexec.server.store.records import PolicyVersion, StoredSecret
from pykexec.server.store.store import Store
from pykexec.verify.release import PlainSecret, seal


def seal_secrets(
    store: Store, machine_id: int, key: tuple[bytes, bytes], credential: bytes, nonce: bytes
) -> tuple[tuple[StoredSecret, ...], str | None]:
    """All its secrets, and that sealed to key and credential, None if there are none; in clear they
    are gone when this returns.
    """
    secrets = store.open_secrets(machine_id)
    with ExitStack() as stack:
        for _, value in secrets:
            stack.callback(wipe, value)
        plain = [
            PlainSecret(stored.name, stored.kind, stored.parameters, value)
            for stored, value in secrets
        ]
        release = seal(plain, key, credential, nonce)
    return tuple(stored for stored, _ in secrets), release if secrets else None


def parsed(version: PolicyVersion) -> Policy:
    """It, read; PolicyError: what an earlier program took may say too little for this one."""
    return _parsed(version.name, version.version, version.text)


@lru_cache(maxsize=256)
def _parsed(name: str, version: int, text: str) -> Policy:
    return parse_policy(text.encode(), f"{name} version {version}")
