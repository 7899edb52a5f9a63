# SPDX-License-Identifier: Apache-2.0
"""The attestation protocol, version 1: messages between attester and server, to the byte.

    attester                                     server
    POST /v1/challenges    ChallengeRequest  ->
                                             <-  Challenge: nonce, credential (MakeCredential), PCRs
    POST /v1/attestations  AttestRequest     ->
                                             <-  AttestReply: verdict and, if accepted, release

Where a person has to approve, the reply has pending instead: attest.approval goes on from there.

The statement is JSON that the attester writes and nobody rewrites: it holds the nonce, an ephemeral
key, and what the attester says of its boot. Its digest is the quote's qualifying data, so that the
quote signs it. The credential is what only the TPM with that EK opens, and only for that AK; the
proof shows that it was opened, the release is encrypted with it, and inside of that to the
ephemeral key. All binary fields are base64url without padding; JSON objects have no other keys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from pykexec.attest.fields import base64url
from pykexec.attest.verdict import Verdict

VERSION = 1
CHALLENGES_PATH = "/v1/challenges"
ATTESTATIONS_PATH = "/v1/attestations"
APPROVALS_PATH = "/v1/approvals"
KEYS_PATH = "/v1/keys"

MESSAGE_MAX = 8 << 20  # bytes: an event log in base64url and all the rest
REPLY_MAX = 4 << 20
EVENT_LOG_MAX = 4 << 20
STATEMENT_MAX = 64 << 10
NONCE_SIZE = 32
CREDENTIAL_SIZE = 32
TOKEN_MAX = 8192  # characters
ADDRESS_MAX = 512
CODE_MAX = 32
NAME_MAX = 256
QR_MAX = 177  # modules a side: version 40
WAIT_MAX_S = 3600
CERTIFICATES_MAX = 8
CERTIFICATE_MAX = 8192
PUBLIC_MAX = 1024
FINDINGS_MAX = 256

QUOTED_PCRS = tuple(range(16))
"""What is asked for: all that cannot be reset before the next boot (TCG PC Client Platform TPM
Profile 1.05, 4.6)."""
BANKS = ("sha256", "sha384")
"""Banks that may be quoted."""
RELEASE_PCR = 15
"""Extended as soon as a secret was released: from then on nothing in this boot is given another."""
CONFIG_PCR = 5
"""Extended with a configuration that is not part of the image: the boot manager's (TCG PC Client
Platform Firmware Profile 1.05, 3.3.4.6)."""
OLD_CONFIG_PCR = 12
"""Where images of before extended that."""
RELEASE_EVENT = b"pykexec-release"
"""The event's data; what is extended is their digest."""
SHELL_EVENT = b"pykexec-shell"
"""Extends RELEASE_PCR before a person gets a shell: what is done there is not the agent any more.
"""

UKI_SECTIONS = (".linux", ".initrd", ".cmdline")
"""What a payload that reads nothing else has in itself (UAPI.5, Unified Kernel Image)."""

INSTALLED = ("slot", "trial", "failed", "failed_sha256", "reason")
"""What a statement may say of `pykexec install`: the slot that was booted, "yes" while it is on
trial; version and file of an update that was given up, and why."""

_PROOF_INFO = b"pykexec proof 1"
_RELEASE_INFO = b"pykexec release 1"
_STATEMENT_PREFIX = b"pykexec statement 1\0"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who attests: TPMT_PUBLIC of EK and AK, the EK's certificate (DER) first, then its issuers."""

    ek_public: bytes
    ek_certificates: tuple[bytes, ...]
    ak_public: bytes

    def to_json(self) -> dict[str, object]:
        """As a message has it."""
        return {
            "ek_public": base64url(self.ek_public),
            "ek_certificates": [base64url(der) for der in self.ek_certificates],
            "ak_public": base64url(self.ak_public),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the EK's TPMT_PUBLIC in hex: the machine's name."""
        return hashlib.sha256(self.ek_public).hexdigest()

    @property
    def digest(self) -> bytes:
        """What a challenge is bound to: both public areas and all certificates."""
        return digest_of(self.ek_public, self.ak_public, *self.ek_certificates)


@dataclass(frozen=True, slots=True)
class ChallengeRequest:
    """First message: who will attest, in which banks its TPM can quote."""

    identity: Identity
    banks: tuple[str, ...]

    def encode(self) -> bytes:
        """The body of POST CHALLENGES_PATH."""
        return _json(
            {"version": VERSION, "identity": self.identity.to_json(), "banks": list(self.banks)}
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """The answer: token comes back unchanged; credential_blob and credential_secret are the
    contents of TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.
    """

    token: str
    nonce: bytes
    credential_blob: bytes
    credential_secret: bytes
    bank: str
    pcrs: tuple[int, ...]
    expires_s: int

    def encode(self) -> bytes:
        """The answer's body."""
        return _json(
            {
                "version": VERSION,
                "token": self.token,
                "nonce": base64url(self.nonce),
                "credential_blob": base64url(self.credential_blob),
                "credential_secret": base64url(self.credential_secret),
                "bank": self.bank,
                "pcrs": list(self.pcrs),
                "expires_s": self.expires_s,
            }
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the verifier judges.

    statement is JSON (see Statement), quote a TPMS_ATTEST, signature a TPMT_SIGNATURE by the AK,
    pcrs the values by number of the bank, event_log the firmware's as it is; log_full: the firmware
    says that it had no room for all.
    """

    identity: Identity
    statement: bytes
    quote: bytes
    signature: bytes
    bank: str
    pcrs: Mapping[int, bytes]
    event_log: bytes
    log_full: bool = False

    def to_json(self) -> dict[str, object]:
        """As a message has it; of a log that is whole nothing is said, as ever."""
        return {
            "identity": self.identity.to_json(),
            "statement": base64url(self.statement),
            "quote": base64url(self.quote),
            "signature": base64url(self.signature),
            "bank": self.bank,
            "pcrs": {str(number): base64url(value) for number, value in self.pcrs.items()},
            "event_log": base64url(self.event_log),
            **({"event_log_full": True} if self.log_full else {}),
        }


@dataclass(frozen=True, slots=True)
class AttestRequest:
    """Second message; proof is proof_of() by the opened credential. A file of evidence is one."""

    token: str
    proof: bytes
    evidence: Evidence

    def encode(self) -> bytes:
        """The body of POST ATTESTATIONS_PATH."""
        return _json(
            {
                "version": VERSION,
                "token": self.token,
                "proof": base64url(self.proof),
                "evidence": self.evidence.to_json(),
            }
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 over all of it: the same request has the same."""
        evidence = self.evidence
        pcrs = b"".join(b"%d=%b" % pair for pair in sorted(evidence.pcrs.items()))
        return digest_of(
            self.token.encode(),
            self.proof,
            evidence.identity.digest,
            evidence.statement,
            evidence.quote,
            evidence.signature,
            evidence.bank.encode(),
            pcrs,
            evidence.event_log,
            *([b"full"] if evidence.log_full else []),
        )


@dataclass(frozen=True, slots=True)
class Pending:
    """A person has to approve first: at address, by typing code, within expires_s seconds.

    machine is what the server calls it, "" nothing. qr is the address as a QR code, rows of "0" and
    "1" (dark), without a margin; () if there is none. The attester asks again by ticket
    (attest.approval) every interval_s seconds.
    """

    address: str
    code: str
    ticket: str
    expires_s: int
    interval_s: int
    machine: str = ""
    qr: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As a reply has it."""
        return {
            "address": self.address,
            "code": self.code,
            "ticket": self.ticket,
            "expires_s": self.expires_s,
            "interval_s": self.interval_s,
            "machine": self.machine,
            "qr": list(self.qr),
        }


@dataclass(frozen=True, slots=True)
class AttestReply:
    """The verdict, and the release (JWE, compact) if it is accepted and there is a secret.

    With pending nothing speaks against the boot but that a person has to approve it.
    """

    verdict: Verdict
    release: str | None = None
    pending: Pending | None = None

    def encode(self) -> bytes:
        """The answer's body."""
        findings = [
            {"code": finding.code, "text": finding.text, "refuses": finding.refuses}
            for finding in self.verdict.findings
        ]
        body: dict[str, object] = {
            "version": VERSION,
            "accepted": self.verdict.accepted,
            "findings": findings,
        }
        if self.release is not None:
            body["release"] = self.release
        if self.pending is not None:
            body["pending"] = self.pending.to_json()
        return _json(body)


@dataclass(frozen=True, slots=True)
class Statement:
    """What the attester says, signed by way of the quote.

    key is its ephemeral public key: P-256, X and Y of 32 bytes each. machine is of SMBIOS: any of
    vendor, product, serial, uuid. payload is what it will start: any of path, sha256 (of the file)
    and authenticode_sha256, in hex, and sections, which of UKI_SECTIONS it has, with a space
    between them. Both may be empty; their values are text. tries: it tells of each key whether it
    opens its volume (attest.key_report), and so may be given some to try. installed, any of
    INSTALLED, is of where the image came from and of the last update that was given up.
    """

    nonce: bytes
    key: tuple[bytes, bytes]
    machine: Mapping[str, str]
    payload: Mapping[str, str]
    tries: bool = False
    installed: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The bytes that count from now on."""
        x, y = self.key
        return _json(
            {
                "version": VERSION,
                "nonce": base64url(self.nonce),
                "key": {"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)},
                "machine": dict(self.machine),
                "payload": dict(self.payload),
                **({"tries": True} if self.tries else {}),
                **({"installed": dict(self.installed)} if self.installed else {}),
            }
        )


@dataclass(frozen=True, slots=True)
class ReleasedSecret:
    """One secret of a release: its name, its kind (see SECRET_KINDS), parameters of that kind, and
    a JWE (ECDH-ES to the ephemeral key, A256GCM) whose plaintext is the bare secret. use is one of
    USES; what is not "" goes to who tries keys alone.
    """

    name: str
    kind: str
    parameters: Mapping[str, str]
    jwe: str
    use: str = ""


SECRET_KINDS = {
    "bitlocker-external-key": ("volume", "identifier"),
    "bitlocker-recovery-password": ("volume",),
    "luks-key": ("volume", "file"),
    "luks-passphrase": ("volume", "file"),
    "file": ("file",),
}
"""Kinds of secrets and the parameters that each may have."""
USES = ("", "try", "report")
"""To be delivered; only to be tried; what it takes to report what was found (attest.key_report)."""


def qualifying_data(statement: bytes) -> bytes:
    """What the quote must have as extraData (TPMS_ATTEST, Part 2, 10.12.12): SHA-256."""
    return hashlib.sha256(_STATEMENT_PREFIX + statement).digest()


def proof_of(credential: bytes | memoryview, nonce: bytes, statement: bytes, quote: bytes) -> bytes:
    """HMAC-SHA-256 by a key derived from the credential: its TPM has opened it, for this quote."""
    digests = hashlib.sha256(statement).digest() + hashlib.sha256(quote).digest()
    return hmac.digest(derive_key(credential, nonce, _PROOF_INFO), digests, "sha256")


def release_key(credential: bytes | memoryview, nonce: bytes) -> bytes:
    """The key of the release's outer JWE ("dir", A256GCM)."""
    return derive_key(credential, nonce, _RELEASE_INFO)


def derive_key(secret: bytes | memoryview, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869), 32 bytes."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def encode_release(secrets: tuple[ReleasedSecret, ...]) -> bytes:
    """The plaintext of the release's outer JWE."""
    return _json(
        {
            "version": VERSION,
            "secrets": [
                {
                    "name": secret.name,
                    "kind": secret.kind,
                    "parameters": dict(secret.parameters),
                    "jwe": secret.jwe,
                    **({"use": secret.use} if secret.use else {}),
                }
                for secret in secrets
            ],
        }
    )


def digest_of(*parts: bytes) -> bytes:
    """SHA-256 over parts none of which can run into the next."""
    sized = [half for part in parts for half in (_SIZE.pack(len(part)), part)]
    return hashlib.sha256(b"".join(sized)).digest()


def _json(value: dict[str, object]) -> bytes:
    return _ENCODER.encode(value).encode()


_SIZE = struct.Struct(">I")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
