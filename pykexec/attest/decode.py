# SPDX-License-Identifier: Apache-2.0
"""Messages of the attestation protocol, from bytes that nobody vouches for."""

from __future__ import annotations

from pykexec.attest.approval import PollRequest
from pykexec.attest.fields import Fields, ProtocolError, parse_object
from pykexec.attest.protocol import (
    ADDRESS_MAX,
    BANKS,
    CERTIFICATE_MAX,
    CERTIFICATES_MAX,
    CODE_MAX,
    EVENT_LOG_MAX,
    FINDINGS_MAX,
    INSTALLED,
    MESSAGE_MAX,
    NAME_MAX,
    NONCE_SIZE,
    PUBLIC_MAX,
    QR_MAX,
    REPLY_MAX,
    SECRET_KINDS,
    STATEMENT_MAX,
    TOKEN_MAX,
    USES,
    VERSION,
    WAIT_MAX_S,
    AttestReply,
    AttestRequest,
    Challenge,
    ChallengeRequest,
    Evidence,
    Identity,
    Pending,
    ReleasedSecret,
    Statement,
)
from pykexec.attest.verdict import Finding, Verdict

_NR_PCRS = 24
_PAYLOAD = ("path", "sha256", "authenticode_sha256", "sections")
_PCRS = {str(number): number for number in range(_NR_PCRS)}


def parse_challenge_request(data: bytes) -> ChallengeRequest:
    """Decode the first message; ProtocolError names the field."""
    fields = _message(data, "challenge request", MESSAGE_MAX)
    request = ChallengeRequest(_identity(fields), fields.texts("banks", 8, 16))
    fields.end()
    return request


def parse_challenge(data: bytes) -> Challenge:
    """Decode the server's answer to it."""
    fields = _message(data, "challenge", REPLY_MAX)
    challenge = Challenge(
        token=fields.text("token", TOKEN_MAX),
        nonce=_sized(fields, "nonce", NONCE_SIZE),
        credential_blob=fields.data("credential_blob", PUBLIC_MAX),
        credential_secret=fields.data("credential_secret", PUBLIC_MAX),
        bank=_bank(fields),
        pcrs=_pcrs(fields),
        expires_s=fields.number("expires_s", 86400),
    )
    fields.end()
    return challenge


def parse_attest_request(data: bytes) -> AttestRequest:
    """Decode the second message, or a file of evidence."""
    fields = _message(data, "attestation", MESSAGE_MAX)
    request = AttestRequest(
        token=fields.text("token", TOKEN_MAX),
        proof=_sized(fields, "proof", 32),
        evidence=_evidence(fields.fields("evidence")),
    )
    fields.end()
    return request


def parse_attest_reply(data: bytes) -> AttestReply:
    """Decode the server's answer to it."""
    fields = _message(data, "reply", REPLY_MAX)
    accepted = fields.flag("accepted")
    findings = []
    for item in fields.objects("findings", FINDINGS_MAX):
        findings.append(
            Finding(item.text("code", 64), item.text("text", 4096), item.flag("refuses"))
        )
        item.end()
    release = fields.text("release", REPLY_MAX) if fields.has("release") else None
    pending = _pending(fields.fields("pending")) if fields.has("pending") else None
    fields.end()
    reply = AttestReply(Verdict(tuple(findings)), release, pending)
    unfit = release if not accepted else pending
    if accepted != reply.verdict.accepted or unfit:
        raise ProtocolError("reply: its parts contradict each other")
    return reply


def parse_poll_request(data: bytes) -> PollRequest:
    """Decode the message of who waits for a person."""
    fields = _message(data, "poll", 2 * TOKEN_MAX)
    request = PollRequest(fields.text("ticket", TOKEN_MAX), _sized(fields, "proof", 32))
    fields.end()
    return request


def _pending(fields: Fields) -> Pending:
    pending = Pending(
        address=fields.text("address", ADDRESS_MAX),
        code=fields.text("code", CODE_MAX),
        ticket=fields.text("ticket", TOKEN_MAX),
        expires_s=fields.number("expires_s", WAIT_MAX_S),
        interval_s=fields.number("interval_s", WAIT_MAX_S),
        machine=fields.text("machine", NAME_MAX),
        qr=fields.texts("qr", QR_MAX, QR_MAX),
    )
    if any(len(row) != len(pending.qr) or row.strip("01") for row in pending.qr):
        raise fields.fault("qr", "is no square of 0 and 1")
    fields.end()
    return pending


def parse_statement(data: bytes) -> Statement:
    """Decode a statement."""
    fields = _message(data, "statement", STATEMENT_MAX)
    key = fields.fields("key")
    if (key.text("kty"), key.text("crv")) != ("EC", "P-256"):
        raise key.fault("crv", "only P-256 is known")
    statement = Statement(
        nonce=_sized(fields, "nonce", NONCE_SIZE),
        key=(_sized(key, "x", 32), _sized(key, "y", 32)),
        machine=_texts(fields, "machine", ("vendor", "product", "serial", "uuid")),
        payload=_texts(fields, "payload", _PAYLOAD),
        tries=fields.has("tries") and fields.flag("tries"),
        installed=_texts(fields, "installed", INSTALLED) if fields.has("installed") else {},
    )
    key.end()
    fields.end()
    return statement


def parse_release(data: bytes) -> tuple[ReleasedSecret, ...]:
    """Decode it."""
    fields = _message(data, "release", REPLY_MAX)
    secrets = []
    for item in fields.objects("secrets", 64):
        kind = item.text("kind", 64)
        if kind not in SECRET_KINDS:
            raise item.fault("kind", f"{kind!r} is not one of {', '.join(SECRET_KINDS)}")
        name = item.text("name", 256)
        parameters = _texts(item, "parameters", SECRET_KINDS[kind])
        use = item.text("use", 16) if item.has("use") else ""
        if use not in USES:
            raise item.fault("use", f"{use!r} is not known")
        secrets.append(ReleasedSecret(name, kind, parameters, item.text("jwe", 1 << 20), use))
        item.end()
    fields.end()
    return tuple(secrets)


def _message(data: bytes, what: str, size_max: int) -> Fields:
    fields = parse_object(data, what, size_max)
    if (version := fields.number("version")) != VERSION:
        raise fields.fault("version", f"{version} is not known, {VERSION} is")
    return fields


def _sized(fields: Fields, key: str, size: int) -> bytes:
    data = fields.data(key, size)
    if len(data) != size:
        raise fields.fault(key, f"{len(data)} bytes, not {size}")
    return data


def _identity(parent: Fields) -> Identity:
    fields = parent.fields("identity")
    identity = Identity(
        ek_public=fields.data("ek_public", PUBLIC_MAX),
        ek_certificates=fields.datas("ek_certificates", CERTIFICATES_MAX, CERTIFICATE_MAX),
        ak_public=fields.data("ak_public", PUBLIC_MAX),
    )
    fields.end()
    return identity


def _evidence(fields: Fields) -> Evidence:
    evidence = Evidence(
        identity=_identity(fields),
        statement=fields.data("statement", STATEMENT_MAX),
        quote=fields.data("quote", PUBLIC_MAX),
        signature=fields.data("signature", PUBLIC_MAX),
        bank=_bank(fields),
        pcrs=_values(fields),
        event_log=fields.data("event_log", EVENT_LOG_MAX),
        log_full=fields.has("event_log_full") and fields.flag("event_log_full"),
    )
    fields.end()
    return evidence


def _bank(fields: Fields) -> str:
    bank = fields.text("bank", 16)
    if bank not in BANKS:
        raise fields.fault("bank", f"{bank!r} is not one of {', '.join(BANKS)}")
    return bank


def _pcrs(fields: Fields) -> tuple[int, ...]:
    numbers = []
    for number in fields.values("pcrs", _NR_PCRS):
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _NR_PCRS:
            raise fields.fault("pcrs", "must be a list of numbers from 0 to 23")
        numbers.append(number)
    if sorted(set(numbers)) != numbers or not numbers:
        raise fields.fault("pcrs", "must be rising, and at least one")
    return tuple(numbers)


def _values(parent: Fields) -> dict[int, bytes]:
    fields = parent.fields("pcrs")
    values = {}
    for key in fields.keys():
        # int() takes more than plain numbers, and refuses those of more than 4300 digits.
        if key not in _PCRS:
            raise fields.fault(key[:64], "is no PCR")
        values[_PCRS[key]] = fields.data(key, 64)
    return values


def _texts(parent: Fields, key: str, known: tuple[str, ...]) -> dict[str, str]:
    fields = parent.fields(key)
    found = {name: fields.text(name) for name in known if fields.has(name)}
    fields.end()
    return found
