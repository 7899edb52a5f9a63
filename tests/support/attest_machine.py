# SPDX-License-Identifier: Apache-2.0
"""A simulated machine: it attests as a real one does, and lies where a test wants it to.

    machine = Machine()
    challenge = service.challenge(machine.challenge_request(), ...)
    reply = service.attest(machine.attest_request(challenge), ...)
    secrets = machine.open_release(challenge, reply)
    machine.release()   # what the agent does first
    machine.reboot()

Everything but signatures and the ephemeral keys follows from the machine's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

from pykexec.attest import decode, protocol
from pykexec.attest.fields import base64url
from pykexec.attest.protocol import (
    AttestReply,
    AttestRequest,
    Challenge,
    ChallengeRequest,
    Evidence,
    Identity,
    Statement,
)
from tests.support import attest_ca, attest_tpm
from tests.support.attest_log import IPL, Boot, Measured, boot_events, encode_log
from tests.support.attest_tpm import Attest

PAYLOAD = {
    "path": r"\EFI\debian\grubx64.efi",
    "sha256": hashlib.sha256(b"grub").hexdigest(),
    "authenticode_sha256": hashlib.sha256(b"grub without its signature").hexdigest(),
}
_REGISTRY = jwe.JWERegistry(algorithms=["ECDH-ES", "dir", "A256GCM"])
_NR_PCRS = 24


@dataclass(frozen=True, slots=True)
class Opened:
    """A released secret, opened."""

    name: str
    kind: str
    parameters: Mapping[str, str]
    value: bytes
    use: str = ""


@cache
def _rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def _booted(
    boot: Boot, banks: tuple[str, ...]
) -> tuple[tuple[Measured, ...], bytes, dict[str, dict[int, bytes]]]:
    """Events, log and registers by bank; the same for all machines that boot the same."""
    events = boot_events(boot)
    values = {bank: _registers(events, bank) for bank in banks}
    return events, encode_log(banks, events), values


def _registers(events: tuple[Measured, ...], bank: str) -> dict[int, bytes]:
    size = hashlib.new(bank).digest_size
    values = {number: bytes(size) for number in range(_NR_PCRS)}
    for event in events:
        if event.extends:
            joined = values[event.pcr] + event.digest(bank)
            values[event.pcr] = hashlib.new(bank, joined).digest()
    return values


def other_end(data: bytes) -> bytes:
    """The same but for its last byte."""
    return data[:-1] + bytes([data[-1] ^ 1])


def _identity(attest: Attest) -> Attest:
    return attest


class Machine:
    """A machine with a TPM; kind is that of its EK, as tpm.client names it.

    Attributes may be changed at will; certificates is what the TPM's NV holds, () for none.
    """

    def __init__(
        self,
        name: str = "machine",
        *,
        kind: str = "ecc-p256",
        boot: Boot | None = None,
        banks: tuple[str, ...] = ("sha256",),
        authority: attest_ca.Authority | None = None,
        profile: attest_ca.EkProfile | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.banks = banks
        self.boot = boot or Boot()
        self.ek = _ek(name, kind)
        self.ek_public = attest_tpm.ek_public(self.ek)
        issuer = authority or attest_ca.manufacturer()
        leaf = issuer.issue_ek(self.ek.public_key(), profile)
        self.certificates: tuple[bytes, ...] = (leaf, *issuer.chain)
        self.ak = attest_ca.p256_key(f"ak of {name}")
        self.ak_public = attest_tpm.ak_public(self.ak)
        self.facts = {"vendor": "Simulated", "product": "Machine", "serial": name}
        self.reset_count, self.restart_count, self.clock_ms = 1, 0, 10_000
        self.safe, self.firmware_version = True, 0x20191023_00163636
        self.ephemeral = ec.generate_private_key(ec.SECP256R1())
        self.tries = False
        self.installed: Mapping[str, str] = {}
        self._start()

    def _start(self) -> None:
        self.events, self.event_log, values = _booted(self.boot, self.banks)
        self.pcrs = {bank: dict(registers) for bank, registers in values.items()}

    @property
    def fingerprint(self) -> str:
        """As Identity.fingerprint."""
        return self.identity.fingerprint

    @property
    def identity(self) -> Identity:
        """Who the machine is."""
        return Identity(self.ek_public, self.certificates, self.ak_public)

    def reboot(self, boot: Boot | None = None) -> None:
        """TPM reset: registers, log and counters begin anew."""
        self.boot = boot or self.boot
        self.reset_count += 1
        self.restart_count = 0
        self.clock_ms += 60_000
        self._start()

    def extend(
        self, pcr: int, type_: int, data: bytes, hashed: bytes | None = None, *, log: bool = True
    ) -> None:
        """Extend pcr by the digest of hashed (data without it), and log it with data."""
        event = Measured(pcr, type_, data, hashed)
        if log:
            self.events += (event,)
            self.event_log += event.encode(self.banks)
        for bank in self.banks:
            joined = self.pcrs[bank][pcr] + event.digest(bank)
            self.pcrs[bank][pcr] = hashlib.new(bank, joined).digest()

    def release(self) -> None:
        """What the agent measures when it was given a secret."""
        self.extend(protocol.RELEASE_PCR, IPL, protocol.RELEASE_EVENT)

    def rewrite(self, events: tuple[Measured, ...]) -> None:
        """Another log and registers that fit it: this is what was booted."""
        self.events = events
        self.event_log = encode_log(self.banks, events)
        self.pcrs = {bank: _registers(events, bank) for bank in self.banks}

    def begin_at(self, locality: int) -> None:
        """PCR 0 began at a locality of TPM2_Startup, which the log does not say."""
        for bank in self.banks:
            value = locality.to_bytes(hashlib.new(bank).digest_size)
            for event in self.events:
                if event.pcr == 0:
                    value = hashlib.new(bank, value + event.digest(bank)).digest()
            self.pcrs[bank][0] = value

    def challenge_request(self) -> ChallengeRequest:
        """The first message."""
        return ChallengeRequest(self.identity, self.banks)

    def activate(self, challenge: Challenge) -> bytes:
        """The credential; ValueError where it is for another TPM or another AK."""
        return attest_tpm.activate(
            self.ek,
            attest_tpm.name_of(self.ak_public),
            challenge.credential_blob,
            challenge.credential_secret,
        )

    def statement(
        self,
        nonce: bytes,
        payload: Mapping[str, str] | None = None,
        machine: Mapping[str, str] | None = None,
    ) -> Statement:
        """What the machine says of itself, with a new ephemeral key."""
        self.ephemeral = ec.generate_private_key(ec.SECP256R1())
        numbers = self.ephemeral.public_key().public_numbers()
        key = (numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
        return Statement(
            nonce,
            key,
            self.facts if machine is None else machine,
            PAYLOAD if payload is None else payload,
            self.tries,
            self.installed,
        )

    def attest(self, statement: bytes, bank: str, pcrs: tuple[int, ...]) -> Attest:
        """The quote's contents for a statement."""
        self.clock_ms += 1
        return Attest(
            attest_tpm.qualified_name(self.ak_public),
            protocol.qualifying_data(statement),
            self.clock_ms,
            self.reset_count,
            self.restart_count,
            self.firmware_version,
            (attest_tpm.selection(bank, pcrs),),
            attest_tpm.pcr_digest(self.pcrs[bank], pcrs),
            int(self.safe),
        )

    def evidence(
        self,
        nonce: bytes = bytes(protocol.NONCE_SIZE),
        *,
        bank: str = "sha256",
        pcrs: tuple[int, ...] = protocol.QUOTED_PCRS,
        payload: Mapping[str, str] | None = None,
        machine: Mapping[str, str] | None = None,
        statement: bytes | None = None,
        change: Callable[[Attest], Attest] = _identity,
    ) -> Evidence:
        """All that is judged; change spoils the quote before it is signed."""
        if statement is None:
            statement = self.statement(nonce, payload, machine).encode()
        quote = change(self.attest(statement, bank, pcrs)).encode()
        return Evidence(
            self.identity,
            statement,
            quote,
            attest_tpm.sign(self.ak, quote),
            bank,
            {number: self.pcrs[bank][number] for number in pcrs},
            self.event_log,
        )

    def attest_request(
        self,
        challenge: Challenge,
        *,
        payload: Mapping[str, str] | None = None,
        machine: Mapping[str, str] | None = None,
        change: Callable[[Attest], Attest] = _identity,
        spoil: Callable[[Evidence], Evidence] | None = None,
    ) -> AttestRequest:
        """The second message; change spoils the quote before, spoil the evidence after signing."""
        evidence = self.evidence(
            challenge.nonce,
            bank=challenge.bank,
            pcrs=challenge.pcrs,
            payload=payload,
            machine=machine,
            change=change,
        )
        if spoil is not None:
            evidence = spoil(evidence)
        credential = self.activate(challenge)
        proof = protocol.proof_of(credential, challenge.nonce, evidence.statement, evidence.quote)
        return AttestRequest(challenge.token, proof, evidence)

    def open_release(self, challenge: Challenge, reply: AttestReply) -> tuple[Opened, ...]:
        """The released secrets; () where there is none."""
        if reply.release is None:
            return ()
        key = protocol.release_key(self.activate(challenge), challenge.nonce)
        outer = jwe.decrypt_compact(reply.release, OctKey.import_key(key), registry=_REGISTRY)
        assert outer.plaintext is not None
        return tuple(
            Opened(secret.name, secret.kind, secret.parameters, self._open(secret.jwe), secret.use)
            for secret in decode.parse_release(outer.plaintext)
        )

    def _open(self, sealed: str) -> bytes:
        numbers = self.ephemeral.private_numbers()
        public = numbers.public_numbers
        parts = {"d": numbers.private_value, "x": public.x, "y": public.y}
        fields = {key: base64url(value.to_bytes(32, "big")) for key, value in parts.items()}
        key = ECKey.import_key({"kty": "EC", "crv": "P-256", **fields})
        plain = jwe.decrypt_compact(sealed, key, registry=_REGISTRY).plaintext
        assert plain is not None
        return plain


def _ek(name: str, kind: str) -> attest_tpm.PrivateKey:
    match kind:
        case "rsa2048":
            return _rsa_key(name)
        case "ecc-p384":
            return attest_ca.p384_key(f"ek of {name}")
        case "ecc-p256":
            return attest_ca.p256_key(f"ek of {name}")
    raise ValueError(kind)


__all__ = ["PAYLOAD", "Boot", "Machine", "Measured", "Opened"]
