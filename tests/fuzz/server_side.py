# SPDX-License-Identifier: Apache-2.0
"""What reaches the server from outside, by its whole web service; and what its clients read."""

from __future__ import annotations

import json
import socket
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl

from pykexec.attest import protocol
from pykexec.attest.fields import ProtocolError, parse_object
from pykexec.server.adminclient import AdminClient
from pykexec.server.canonical import canonical, to_ms
from pykexec.server.keys.keys import Keys
from pykexec.server.people.id_token import TOKEN_MAX, Wanted, check_claims
from pykexec.server.store import audit
from pykexec.server.store.audit_check import Walk
from pykexec.server.trail.anchors import check_trail, read_anchors
from pykexec.server.web.admin.operations import read_body, read_path, read_query
from pykexec.server.web.admin.routes import OPERATIONS
from pykexec.server.web.peer import parse_networks
from pykexec.server.web.problems import Problem
from pykexec.server.web.web import WebOptions
from tests.fuzz import samples
from tests.support.server_world import NO_LIMIT, World, build

_PROXY = "192.0.2.7"
_OPTIONS = WebOptions(
    agents=NO_LIMIT,
    api=NO_LIMIT,
    failures=NO_LIMIT,
    account=NO_LIMIT,
    proxies=parse_networks([_PROXY]),
)
_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_KEYS = Keys(bytearray(range(32)))


_WANTED = Wanted("https://login.example", "pykexec", "nonce")


def id_token(data: bytes) -> None:
    """What a provider has signed: any claims are somebody's, or refused."""
    check_claims(parse_object(data, "claims", TOKEN_MAX).rest(), _WANTED, _TIME)


def id_tokens() -> list[bytes]:
    time = int(_TIME.timestamp())
    who = {"iss": _WANTED.issuer, "aud": _WANTED.client_id, "sub": "anna", "nonce": _WANTED.nonce}
    claims = {**who, "iat": time, "exp": time + 60}
    more = {**claims, "aud": ["pykexec", "x"], "azp": "pykexec", "auth_time": time, "amr": ["pwd"]}
    return [json.dumps(each).encode() for each in (claims, {**more, "groups": ["a"], "acr": "1"})]


@cache
def _world() -> tuple[World, tempfile.TemporaryDirectory[str]]:
    """Until the process ends, and its directory with it."""
    directory = tempfile.TemporaryDirectory()
    return build(Path(directory.name), _OPTIONS, _PROXY), directory


def request(data: bytes) -> None:
    """A request: method, target and headers a line each, and behind an empty line its body. The
    server answers, and never that it failed.
    """
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    method, _, target = first.partition(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip(): value.strip() for name, _, value in pairs if name.isascii()}
    # With one slash at its beginning it is a path, whatever else it is.
    answer = _world()[0].client.request(method, "/" + target.lstrip("/"), body, headers)
    assert answer.status < 500 or answer.status == 503, answer.text


def requests() -> list[bytes]:
    """The attesters' two, one of each kind of the others, and what a proxy adds."""
    post = b"POST " + protocol.CHALLENGES_PATH.encode() + b"\n\n"
    attestation = samples.attestations()[0]
    token = _world()[0].tokens["viewer"]
    form = b"csrf=a&name=b&password=c"
    return [
        *(post + challenge for challenge in samples.challenge_requests()),
        b"POST " + protocol.ATTESTATIONS_PATH.encode() + b"\n\n" + attestation,
        b"GET /admin/v1/machines?limit=5&state=enrolled\nAuthorization: Bearer " + token.encode(),
        b"GET /admin/v1/audit?limit=2\nAuthorization: Bearer " + token.encode(),
        b"POST /login\nContent-Type: application/x-www-form-urlencoded\nCookie: a=b; c=d\n\n"
        + form,
        b"GET /metrics\nX-Forwarded-For: 2001:db8::1, ::ffff:192.0.2.9, 192.0.2.7",
        b"GET /healthz",
    ]


def admin_request(data: bytes) -> None:
    """The body, the query and the path of an operation, which the first byte chooses."""
    operation, rest = OPERATIONS[(data[0] if data else 0) % len(OPERATIONS)], data[1:]
    with suppress(ProtocolError, Problem):
        read_body(operation, rest, "application/json")
    text = rest.decode("ascii", "replace")
    with suppress(ProtocolError, Problem):
        read_path(operation, dict.fromkeys(operation.path_shapes, text))
    with suppress(ValueError):
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=32)
        with suppress(ProtocolError):
            read_query(operation, pairs)


def admin_requests() -> list[bytes]:
    """Bodies that one operation or another takes."""
    bodies: list[object] = [
        {},
        {"name": "n", "text": "version = 1\nname = 'n'\nallow_any_image = true\n"},
        {"name": "n", "role": "auditor", "password": "a password of some length"},
        {"name": "k", "kind": "luks-key", "parameters": {"file": "k"}, "value": "AAAA"},
    ]
    return [
        bytes([number]) + json.dumps(body).encode()
        for number in range(len(OPERATIONS))
        for body in bodies
    ]


def admin_answer(data: bytes) -> None:
    """What a server sends to `pykexec server`, up to its end."""
    ours, theirs = socket.socketpair()
    connection = HTTPConnection("server")
    connection.sock = ours
    client = AdminClient("https://server", "token")
    with ours, theirs, mock.patch.object(AdminClient, "_connect", lambda _: connection):
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(data) + 4096)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        if data[-1:] == b"}":
            client.get("machines")
        else:
            for line in client.lines("audit", "export"):
                assert "\n" not in line


def admin_answers() -> list[bytes]:
    """An object and lines."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    found, lines = b'{"machines":[]}', b'{"seq":1}\n{"seq":2}\n'
    return [head % len(found) + found, head % len(lines) + lines]


def audit_entry(data: bytes) -> None:
    """An entry of the audit trail in a database that others write to: whoever makes its hash right
    can have anything in it. Subject, action and detail, an empty line between them.
    """
    words = data.decode("utf-8", "replace").split("\n\n")
    subject, action, detail = [*words, "", "", ""][:3]
    value: Any = {}
    with suppress(ValueError, RecursionError):
        found = json.loads(detail)
        detail, value = canonical(found), found
    covered = (1, to_ms(_TIME), "a", action, subject, value, audit.START)
    row: Any = SimpleNamespace(
        seq=1,
        time=_TIME,
        actor="a",
        action=action,
        subject=subject,
        detail=detail,
        previous=audit.START,
        hash=audit.hash_of(*covered) if isinstance(value, dict) else "",
    )
    walk = Walk()
    walk.take(row)
    assert walk.count == 1


def audit_entries() -> list[bytes]:
    """One for each kind that tells of a table."""
    return [
        b'machine:ab\n\nattestation.released\n\n{"boot":[1,2]}',
        b'machine:ab\n\nmachine.state\n\n{"state":"enrolled"}',
        b'policy:p\n\npolicy.put\n\n{"sha256":"ab","version":1}',
        b"token:t\n\ntoken.create\n\n{}",
        b"token:t\n\ntoken.revoke\n\n{}",
    ]


def anchors(data: bytes) -> None:
    """Signed heads, from wherever they were kept."""
    for anchor in read_anchors(data, audit.HEADS.public_key(_KEYS)):
        assert anchor.seq >= 0


def anchor_files() -> list[bytes]:
    """Of one line and of two."""
    said = {"version": 1, "seq": 7, "hash": "ab" * 32, "time_ms": to_ms(_TIME)}
    line = canonical(audit.HEADS.sign(_KEYS, said)).encode() + b"\n"
    return [line, line + line]


def trail(data: bytes) -> None:
    """An exported trail, from wherever it was kept."""
    found = check_trail(data.splitlines(), ())
    assert all(fault.isprintable() for fault in found.faults)


def trails() -> list[bytes]:
    """One entry that is good, and one that was changed."""
    covered = (1, to_ms(_TIME), "a", "operator.login", "s", {"x": [1, None]}, audit.START)
    names = ("seq", "time_ms", "actor", "action", "subject", "detail", "previous")
    entry = dict(zip(names, covered, strict=True)) | {"hash": audit.hash_of(*covered)}
    return [canonical(found).encode() for found in (entry, {**entry, "actor": "b"})]
