# SPDX-License-Identifier: Apache-2.0
"""Machines, secrets and attestations to fill a store with, and hands that go past the program."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from pykexec.server.store.records import (
    AttestationRecord,
    Counters,
    Machine,
    StoredSecret,
)
from pykexec.server.store.store import Store
from pykexec.verify.chain import ek_roots
from pykexec.verify.ek import VerifiedEk, judge_ek
from pykexec.verify.report import Report
from tests.support.attest_ca import root_der
from tests.support.attest_machine import Machine as SimulatedMachine

MASTER = bytes(range(32))
OPERATOR = "operator:anna"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BOOT = Counters(clock_ms=60_000, reset_count=7, restart_count=0)


def verified(machine: SimulatedMachine) -> VerifiedEk:
    """What the verifier says of a machine's EK, where the test authority is trusted."""
    found, _ = judge_ek(machine.identity, ek_roots((root_der(),)), NOW, False, Report())
    assert found is not None
    return found


@cache
def candidate(number: int = 1, trusted: bool = False) -> VerifiedEk:
    """A machine that asks to be known, with a certificate if it is to be trusted."""
    machine = SimulatedMachine(f"store {number}")
    if not trusted:
        machine.certificates = ()
    return verified(machine)


def enrolled(store: Store, number: int = 1) -> Machine:
    """A machine by an operator's word."""
    return store.add_machine(candidate(number).ek, OPERATOR)


def with_secret(store: Store, machine: Machine, value: bytes = b"secret") -> StoredSecret:
    """A passphrase for it."""
    parameters = {"volume": "root"}
    return store.put_secret(machine.id, "disk", "luks-passphrase", parameters, value, OPERATOR)


def record(
    machine: Machine, nonce: bytes | None, *released: StoredSecret, boot: Counters | None = BOOT
) -> AttestationRecord:
    """A good attestation of it."""
    return AttestationRecord(
        time=NOW,
        fingerprint=machine.fingerprint,
        machine_id=machine.id,
        accepted=True,
        findings=(),
        policy=None,
        peer="192.0.2.1",
        nonce=nonce,
        nonce_expires=NOW + timedelta(minutes=5),
        counters=boot,
        ak_name="000b" + "aa" * 32,
        released=released,
    )


def next_boot(counters: Counters) -> Counters:
    """After a reset."""
    return replace(counters, reset_count=counters.reset_count + 1)


def tamper(store: Store, statement: str, **values: object) -> None:
    """Change the database as its owner could, without the program."""
    with store.database.changing() as connection:
        connection.execute(text(statement), values)


def nonce_used(store: Store, nonce: bytes) -> bool:
    """Whether it is in the table."""
    with store.database.reading() as connection:
        query = text("SELECT 1 FROM nonces WHERE digest = :digest")
        values = {"digest": hashlib.sha256(nonce).digest()}
        return connection.execute(query, values).one_or_none() is not None


def drop_guard(store: Store, table: str, name: str) -> None:
    """Take away a trigger."""
    if store.database.kind == "sqlite":
        tamper(store, f"DROP TRIGGER {table}_{name}")
    else:
        tamper(store, f"ALTER TABLE {table} DISABLE TRIGGER {table}_{name}")


def certificate(authority: bool) -> bytes:
    """Of an authority or of somebody else, signed by itself; DER."""
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test EK root")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW)
    return (
        builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


ROOT = certificate(True)
