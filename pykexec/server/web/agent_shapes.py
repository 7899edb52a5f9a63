# SPDX-License-Identifier: Apache-2.0
"""The attestation protocol's messages as shapes, for the API's document; decode.py reads them."""

from __future__ import annotations

from pykexec.attest import key_report, protocol
from pykexec.server.web.record_shapes import BASE64URL, FINDINGS
from pykexec.server.web.shapes import Flag, Integer, ListOf, MapOf, Record, Text

VERSION = Integer(protocol.VERSION, protocol.VERSION)
BANK = Text(16, choices=protocol.BANKS)


def data(size_max: int, size_min: int = 0) -> Text:
    """Bytes in base64url without padding."""
    return Text(-(-size_max * 4 // 3), BASE64URL, size_min=-(-size_min * 4 // 3))


IDENTITY = Record(
    {
        "ek_public": data(protocol.PUBLIC_MAX),
        "ek_certificates": ListOf(data(protocol.CERTIFICATE_MAX), protocol.CERTIFICATES_MAX),
        "ak_public": data(protocol.PUBLIC_MAX),
    }
)
CHALLENGE_REQUEST = Record({"version": VERSION, "identity": IDENTITY, "banks": ListOf(Text(16), 8)})
CHALLENGE = Record(
    {
        "version": VERSION,
        "token": Text(protocol.TOKEN_MAX),
        "nonce": data(protocol.NONCE_SIZE, protocol.NONCE_SIZE),
        "credential_blob": data(protocol.PUBLIC_MAX),
        "credential_secret": data(protocol.PUBLIC_MAX),
        "bank": BANK,
        "pcrs": ListOf(Integer(0, 23), 24),
        "expires_s": Integer(0, 86400),
    }
)
ATTEST_REQUEST = Record(
    {
        "version": VERSION,
        "token": Text(protocol.TOKEN_MAX),
        "proof": data(32, 32),
        "evidence": Record(
            {
                "identity": IDENTITY,
                "statement": data(protocol.STATEMENT_MAX),
                "quote": data(protocol.PUBLIC_MAX),
                "signature": data(protocol.PUBLIC_MAX),
                "bank": BANK,
                "pcrs": MapOf(Text(2, pattern="[0-9]|1[0-9]|2[0-3]"), data(64), 24),
                "event_log": data(protocol.EVENT_LOG_MAX),
            },
            {"event_log_full": Flag()},
        ),
    }
)
KEY_REPORT = Record(
    {
        "version": VERSION,
        "ticket": Text(protocol.TOKEN_MAX),
        "said": data(key_report.REPORT_MAX),
        "proof": data(32, 32),
    }
)
PENDING = Record(
    {
        "address": Text(protocol.ADDRESS_MAX),
        "code": Text(protocol.CODE_MAX),
        "ticket": Text(protocol.TOKEN_MAX),
        "expires_s": Integer(0, protocol.WAIT_MAX_S),
        "interval_s": Integer(0, protocol.WAIT_MAX_S),
        "machine": Text(protocol.NAME_MAX),
        "qr": ListOf(Text(protocol.QR_MAX, pattern="[01]*"), protocol.QR_MAX),
    }
)
ATTEST_REPLY = Record(
    {"version": VERSION, "accepted": Flag(), "findings": FINDINGS},
    {"release": Text(protocol.REPLY_MAX), "pending": PENDING},
)
POLL_REQUEST = Record(
    {"version": VERSION, "ticket": Text(protocol.TOKEN_MAX), "proof": data(32, 32)}
)
