# SPDX-License-Identifier: Apache-2.0
"""Signed heads that were kept elsewhere find a trail that was cut off, rewritten or set back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.server.canonical import canonical, now
from pykexec.server.keys import destruction
from pykexec.server.store import audit
from pykexec.server.store.store import Store
from pykexec.server.store.view import Reading
from pykexec.server.trail.anchors import Anchor, check_trail, faults_in, read_anchors
from tests.support.admin_commands import run
from tests.support.server_world import ACTOR, World, world
from tests.support.trails import Change, rewrite


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def head(store: Store) -> dict[str, str]:
    return store.database.read(lambda found: audit.signed_head(Reading(found, store.keys), now()))


def anchored(store: Store) -> bytes:
    """A head now, behind one entry of its own."""
    store.audit(ACTOR, "operator.login", ACTOR)
    return canonical(head(store)).encode() + b"\n"


def key(store: Store) -> str:
    return audit.HEADS.public_key(store.keys)


def test_a_chain_that_goes_on_has_all_of_them(store: Store) -> None:
    kept = canonical(head(store)).encode() + b"\n" + anchored(store) + anchored(store)
    store.audit(ACTOR, "operator.login", ACTOR)
    anchors = read_anchors(kept, key(store))
    assert [anchor.seq for anchor in anchors] == [0, 1, 2]
    assert faults_in(store, anchors) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda rows: rows.pop(), "entry 3, at which the chain ended on .* is missing"),
        (lambda rows: rows[1].update(actor="operator:eve"), "entry 2, .* is another one"),
        (
            lambda rows: rows.insert(0, {**rows[0], "actor": "operator:eve"}),
            "entry 1, .* is another one",
        ),
    ],
)
def test_a_chain_that_was_rewritten_with_the_stores_own_key_is_found(
    store: Store, change: Change, fault: str
) -> None:
    anchors = read_anchors(b"".join(anchored(store) for _ in range(3)), key(store))
    rewrite(store, change)
    assert store.verify_audit().faults == ()  # The chain itself tells nothing.
    assert re.search(fault, faults_in(store, anchors)[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signature": "A" * 86}, "its signature is wrong"),
        ({"key": "A" * 43}, "another key than the one that was noted"),
        ({"statement": '{"hash":"x","seq":1,"time_ms":1,"version":1}'}, "its signature is wrong"),
        ({"more": "x"}, "more"),
    ],
)
def test_a_head_that_the_server_has_not_signed_is_none(
    store: Store, change: dict[str, str], words: str
) -> None:
    forged = canonical({**head(store), **change}).encode()
    with pytest.raises(FormatError, match=f"line 2: .*{words}"):
        read_anchors(anchored(store) + forged, key(store))


def test_a_certificate_of_destruction_is_no_head(store: Store) -> None:
    """Another purpose, another key, another prefix."""
    other = destruction.certify(store.keys, {"version": 1, "seq": 1, "hash": "x", "time_ms": 1})
    with pytest.raises(FormatError, match="another key"):
        read_anchors(other.encode(), key(store))
    assert destruction.public_key(store.keys) != key(store)


@pytest.mark.parametrize("data", [b"", b"\n", b"nonsense", b"[]", b"{" * 10_000])
def test_what_is_no_file_of_heads_is_said(store: Store, data: bytes) -> None:
    with pytest.raises(FormatError):
        read_anchors(data, key(store))


def exported(store: Store) -> list[bytes]:
    return [line.encode() for line in store.export_audit()]


def test_an_exported_trail_is_checked_without_a_server(store: Store) -> None:
    anchors = read_anchors(anchored(store) + anchored(store), key(store))
    lines = exported(store)
    found = check_trail(lines, anchors)
    assert (found.entries, found.faults) == (2, ())
    assert found.hash == json.loads(lines[-1])["hash"]
    assert "is missing" in check_trail(lines[:1], anchors).faults[0]
    assert "does not follow entry 0" in check_trail(lines[1:], anchors).faults[0]
    assert (
        "entry 1 was changed"
        in check_trail(
            [lines[0].replace(b"operator.login", b"operator.other"), lines[1]], anchors
        ).faults
    )
    stranger = [Anchor(1, "f" * 64, now())]
    assert "is another one" in check_trail(lines, stranger).faults[0]


@pytest.mark.parametrize(
    "line", [b"", b"x", b"[]", b"{}", b'{"seq":1}', b"[" * 100_000, b"\xff", b'{"seq":true}']
)
def test_what_is_no_trail_is_said(line: bytes) -> None:
    with pytest.raises(FormatError, match="line 1: no entry of an audit trail"):
        check_trail([line], ())


def test_the_commands_agree(
    server: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anchors, trail = tmp_path / "anchors", tmp_path / "trail"
    for _ in range(2):
        assert run(server, "audit", "anchor", "--append", str(anchors), role="viewer") == 0
        server.store.audit(ACTOR, "operator.login", ACTOR)
    trail.write_bytes(b"\n".join(exported(server.store)) + b"\n")
    noted = ("--anchor", str(anchors), "--key", key(server.store))
    assert run(server, "audit", "verify", "--anchor", str(anchors), role="viewer") == 0
    assert run(server, "audit", "verify", *noted, role="viewer") == 0
    assert run(server, "audit", "check", str(trail), *noted) == 0
    assert capsys.readouterr().out.count("the chain is whole") == 3
    with pytest.raises(FormatError, match="another key"):
        run(server, "audit", "verify", "--anchor", str(anchors), "--key", "A" * 43)
    rewrite(server.store, lambda rows: rows[0].update(actor="operator:eve"))
    assert run(server, "audit", "verify", *noted, role="viewer") == 3
    trail.write_bytes(b"\n".join(exported(server.store)) + b"\n")
    assert run(server, "audit", "check", str(trail), *noted) == 3
    assert capsys.readouterr().out.count("is another one") == 4


@pytest.mark.parametrize("detail", ["NaN", "1e999", "[" * 900 + "]" * 900, '"\\ud800"'])
def test_what_no_server_writes_was_changed(store: Store, detail: str) -> None:
    store.audit(ACTOR, "operator.login", ACTOR)
    (line,) = exported(store)
    line = line.replace(b'"detail":{}', b'"detail":{"x":' + detail.encode() + b"}")
    assert check_trail([line], ()).faults == ("entry 1 was changed",)
