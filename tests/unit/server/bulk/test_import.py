# SPDX-License-Identifier: Apache-2.0
"""An import does all of its lines or none, says what each did, and a dry run tells it before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.attest.fields import base64url
from pykexec.server.bulk.lines import LINES_MAX
from pykexec.server.bulk.text import Row, read
from pykexec.server.keys.envelope import wipe
from pykexec.server.store.records import EkHash
from pykexec.server.web.admin import bulk
from tests.support.attest_machine import Machine
from tests.support.server_world import ACTOR, ANY_IMAGE, World, world
from tests.support.web_client import Answer

V1 = "/admin/v1"
HASH = "ab" * 32
VALUE = b"the key of the volume"


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def send(server: World, lines: list[Row], dry_run: bool = False, role: str = "admin") -> Answer:
    numbered = [{"line": number, **line} for number, line in enumerate(lines, 1)]
    body = {"lines": numbered, "dry_run": dry_run}
    return server.client.send_json("POST", f"{V1}/import", body, server.tokens[role])


def bring(server: World, lines: list[Row], dry_run: bool = False) -> list[tuple[str, Row]]:
    """What the server said, but for progress."""
    answer = send(server, lines, dry_run)
    assert answer.status == 200, answer.text
    said = [next(iter(json.loads(line).items())) for line in answer.text.splitlines()]
    return [(word, row) for word, row in said if word != "progress"]


def ek(name: str) -> str:
    return base64url(Machine(name).ek_public)


def fingerprint(name: str) -> str:
    return Machine(name).fingerprint


FILE: list[Row] = [
    {"kind": "secret", "machine": "web-1", "name": "root", "type": "luks-key",
     "value": base64url(VALUE), "parameters": {"file": "k"}},
    {"kind": "machine", "ek_public": ek("a"), "name": "web-1", "policy": "new",
     "tags": {"site": "north"}},
    {"kind": "ek-hash", "sha256": HASH, "name": "web-2", "tags": {"site": "south"}},
    {"kind": "policy", "name": "new", "text": ANY_IMAGE, "comment": "of the import"},
]  # fmt: skip


def nothing_is_there(server: World) -> bool:
    store = server.store
    return (
        store.machine_counts() == {}
        and store.ek_hashes().total == 0
        and [policy.name for policy in store.policies()] == ["any"]
    )


def test_a_file_of_all_kinds_is_brought_in_in_any_order(server: World) -> None:
    *changes, end = bring(server, FILE)
    assert end == ("done", {"lines": 4, "changes": 4, "written": True})
    assert [(row["line"], row["action"]) for _, row in changes] == [
        (1, "secret.put"), (2, "machine.add"), (3, "ek-hash.add"), (4, "policy.put"),
    ]  # fmt: skip
    machine = server.store.machine(fingerprint("a"))
    assert machine is not None
    assert (machine.name, machine.state, machine.policy) == ("web-1", "enrolled", "new")
    ((_, value),) = server.store.open_secrets(machine.id)
    assert value == VALUE
    wipe(value)
    assert server.store.ek_hashes().items == (EkHash(HASH, "web-2", {"site": "south"}, None),)
    assert server.store.verify_audit().faults == ()
    (last,) = server.store.audit_entries(limit=1)
    assert (last.actor, last.action) == ("token:admin", "import")
    assert last.detail == {"lines": 4, "changes": 4}


def test_a_dry_run_says_the_same_and_leaves_nothing(server: World) -> None:
    before = server.store.verify_audit()
    *changes, end = bring(server, FILE, dry_run=True)
    assert end == ("done", {"lines": 4, "changes": 4, "written": False})
    assert nothing_is_there(server)
    assert server.store.verify_audit() == before
    *made, _ = bring(server, FILE)
    assert made == changes


def test_what_is_so_already_is_no_change(server: World) -> None:
    bring(server, FILE)
    again = [line for line in FILE if line["kind"] != "secret"]
    assert bring(server, again) == [("done", {"lines": 3, "changes": 0, "written": True})]


def test_a_machine_is_changed_as_far_as_the_line_says(server: World) -> None:
    bring(server, FILE)
    (change, _) = bring(
        server,
        [{"kind": "machine", "fingerprint": fingerprint("a"), "policy": None,
          "tags": {"site": None, "rack": "7"}}],
    )  # fmt: skip
    assert change[1]["detail"] == {"policy": None, "tags": {"rack": "7"}}
    machine = server.store.machine(fingerprint("a"))
    assert machine is not None
    assert (machine.name, machine.policy, machine.tags) == ("web-1", None, {"rack": "7"})


FAULTS: list[tuple[Row, str]] = [
    ({"kind": "machine", "fingerprint": "0" * 64}, "no machine 0+, and no EK"),
    ({"kind": "machine", "ek_public": ek("b"), "policy": "absent"}, "no policy 'absent'"),
    ({"kind": "ek-hash", "sha256": "cd" * 32, "policy": "absent"}, "no policy 'absent'"),
    ({"kind": "policy", "name": "p", "text": "version = 2\n"}, "version"),
    ({"kind": "secret", "machine": "nobody", "name": "n", "type": "luks-key", "value": "AAAA"},
     "no machines are named 'nobody'"),
    ({"kind": "secret", "machine": "0" * 64, "name": "n", "type": "luks-key", "value": "AAAA"},
     "there is no machine 0+"),
    ({"kind": "secret", "machine": "web-1", "name": "n", "type": "luks-key", "value": "AAAA",
      "parameters": {"colour": "red"}}, "no parameter 'colour'"),
    ({**FILE[0], "machine": fingerprint("a")}, "says again what line 1 says"),
    (FILE[2], "says again what line 3 says"),
    ({"kind": "machine", "fingerprint": fingerprint("a")}, "says again what line 2 says"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FAULTS)))
@pytest.mark.parametrize("dry_run", [False, True])
def test_one_line_that_cannot_be_leaves_nothing_done(
    server: World, number: int, dry_run: bool
) -> None:
    line, why = FAULTS[number]
    before = server.store.verify_audit()
    fault, end = bring(server, [*FILE, line], dry_run)
    assert fault[0] == "fault" and fault[1]["line"] == 5
    assert re.search(why, str(fault[1]["why"]))
    assert end == ("done", {"lines": 5, "changes": 0, "written": False})
    assert nothing_is_there(server)
    assert server.store.verify_audit() == before


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"kind": "group"}, "line 1.kind: must be one of policy, ek-hash, machine, secret"),
        ({"kind": "machine"}, "line 1: which machine?"),
        ({"kind": "machine", "fingerprint": "x"}, "line 1.fingerprint: 1 characters"),
        ({"kind": "machine", "fingerprint": HASH, "ek_public": ek("a")}, "is not that of ek_pub"),
        ({"kind": "machine", "ek_public": base64url(Machine("a").ak_public)}, "line 1.ek_public"),
        ({"kind": "machine", "fingerprint": HASH, "state": "enrolled"}, "line 1.state: unknown"),
        ({"kind": "secret", "machine": "m", "name": "n", "type": "luks-key"}, "line 1.value: miss"),
    ],
)
def test_a_line_of_a_wrong_shape_is_named(server: World, line: Row, fault: str) -> None:
    answer = send(server, [line])
    assert answer.status in (400, 422) and fault in answer.text
    assert nothing_is_there(server)


def test_one_bad_line_of_ten_thousand_is_named_and_nothing_is_done(server: World) -> None:
    rows = [f"ek-hash,{number:064x},web-{number},any" for number in range(LINES_MAX)]
    rows[7320] = rows[7320].replace("ek-hash,0", "ek-hash,X")
    lines = list(read("\n".join(["kind,sha256,name,policy", *rows]), "csv"))
    body = {"lines": lines}
    answer = server.client.send_json("POST", f"{V1}/import", body, server.tokens["admin"])
    assert answer.status == 400 and "line 7322.sha256: does not match" in answer.text
    assert nothing_is_there(server)


def test_more_lines_than_one_transaction_bears_are_refused(server: World) -> None:
    answer = send(server, [{"kind": "x"}] * (LINES_MAX + 1))
    assert answer.status == 400 and "10001 entries; 10000 are taken" in answer.text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_is_no_administrator_brings_in_nothing(server: World, role: str) -> None:
    assert send(server, FILE, role=role).status == 403
    assert nothing_is_there(server)


def test_a_retired_machine_stays_as_it_is(server: World) -> None:
    bring(server, FILE)
    machine = server.store.machine(fingerprint("a"))
    assert machine is not None
    server.store.retire(machine.id, ACTOR)
    (fault, _) = bring(
        server, [{"kind": "machine", "fingerprint": fingerprint("a"), "name": "again"}]
    )
    assert "is retired" in str(fault[1]["why"])


@pytest.mark.parametrize("kind", ["machine", "ek-hash", "policy", "secret"])
def test_what_is_exported_can_be_imported_but_for_secrets(server: World, kind: str) -> None:
    bring(server, FILE)
    answer = server.client.request("GET", f"{V1}/export/{kind}", token=server.tokens["viewer"])
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert rows and all(row["kind"] == kind for row in rows)
    assert base64url(VALUE) not in answer.text and "value" not in rows[0]
    (entry,) = server.store.audit_entries(limit=1)
    assert (entry.action, entry.subject) == ("export", kind)
    if kind == "secret":
        assert "line 1.version: unknown key" in send(server, rows).text
    else:
        assert bring(server, rows)[-1][1]["changes"] == 0


def test_values_are_wiped_whatever_becomes_of_them(
    server: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiped: list[bytes] = []

    def note(value: bytearray) -> None:
        wiped.append(bytes(value))
        wipe(value)

    monkeypatch.setattr(bulk, "wipe", note)
    bring(server, FILE)
    bring(server, [FILE[0], {"kind": "machine", "fingerprint": "0" * 64}])
    send(server, [FILE[0], {"kind": "machine"}])
    assert wiped == [VALUE] * 3
