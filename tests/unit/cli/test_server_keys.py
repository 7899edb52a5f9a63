# SPDX-License-Identifier: Apache-2.0
"""`pykexec server` on keys, mainboards and certificates, over the web service in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from pykexec.cli import main
from pykexec.errors import UsageError
from pykexec.server.store.machine_keys import MachineKeys, Verdict
from pykexec.server.store.records import Machine, Settings
from tests.support import attest_machine
from tests.support.server_world import ACTOR, World, world


@dataclass
class Admin:
    """As AdminClient, by the token of that role."""

    server: World
    role: str

    def get(self, *path: str, **query: object) -> dict[str, object]:
        """Ask."""
        words = {key: value for key, value in query.items() if value is not None}
        return self._ask("GET", path, None, f"?{urlencode(words)}" if words else "")

    def send(self, method: str, *path: str, body: object = None) -> dict[str, object]:
        """Change."""
        return self._ask(method, path, body, "")

    def _ask(
        self, method: str, path: tuple[str, ...], body: object, query: str
    ) -> dict[str, object]:
        target = "/admin/v1/" + "/".join(quote(part, safe="") for part in path) + query
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        token = self.server.tokens[self.role]
        answer = self.server.client.request(method, target, data, headers, token)
        if answer.status >= 400:
            raise UsageError(str(answer.json["detail"]))
        return answer.json if answer.body else {}


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(tmp_path) as found:
        as_role(monkeypatch, found, "operator")
        yield found


def as_role(monkeypatch: pytest.MonkeyPatch, server: World, role: str) -> None:
    """Whoever asks has that token."""
    monkeypatch.setattr("pykexec.cli.server.connect", lambda _: Admin(server, role))


def machine(server: World, name: str) -> Machine:
    """One that has attested, and is called so."""
    simulated = attest_machine.Machine(name)
    server.attest(simulated)
    return server.store.set_name(server.known(simulated).id, name, ACTOR)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What an action prints."""
    assert main(["server", *words]) == 0
    return capsys.readouterr().out


def test_keys_are_planned_listed_shown_and_rotated(
    server: World, capsys: pytest.CaptureFixture[str]
) -> None:
    found = machine(server, "web-1")
    plan = ("--kind", "luks-passphrase", "--parameter", "volume=root", "--rotate-days", "90")
    assert "may hand it in" in said(capsys, "key", "plan", "web-1", "disk", *plan)
    keys = MachineKeys(server.store)
    keys.escrow(found.id, "disk", b"one")
    keys.judge(found.id, [Verdict("disk", 1, True, "key slot 0 opens")])
    reveal = ("--person", "Ada", "--reason", "call 17")
    assert said(capsys, "key", "reveal", "web-1", "disk", *reveal) == "one\n"
    listed = said(capsys, "key", "list", "web-1")
    for words in ("1  current", "opens the volume  key slot 0 opens", "for Ada: call 17"):
        assert words in listed
    assert "to be replaced: revealed to token:operator" in listed
    assert "makes another" in said(capsys, "key", "rotate", "web-1", "disk", "--reason", "x")
    assert "nothing more" in said(capsys, "key", "unplan", "web-1", "disk")


def test_a_mainboard_is_swapped_by_two_tokens(
    server: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = machine(server, "web-1"), machine(server, "spare")
    server.store.put_secret(old.id, "disk", "luks-key", {}, b"key", ACTOR)
    assert "--agree" in said(capsys, "rebind", "web-1", "spare", "--reason", "board broke")
    assert main(["server", "rebind", "web-1", "spare", "--agree"]) != 0
    assert "it takes somebody else" in capsys.readouterr().err
    as_role(monkeypatch, server, "admin")
    assert "has the keys now" in said(capsys, "rebind", "web-1", "spare", "--agree")
    ((_, value),) = server.store.open_secrets(new.id)
    assert bytes(value) == b"key"


def test_a_certificate_is_printed_and_checked_without_a_server(
    server: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    server.store.set_settings(Settings(destroy_days=0), ACTOR)
    found = machine(server, "web-1")
    server.store.put_secret(found.id, "disk", "luks-key", {}, b"key", ACTOR)
    server.store.revoke_secret(found.id, "disk", ACTOR)
    first, certificate = said(capsys, "destroyed", "web-1").splitlines()
    key = first.removeprefix("signed by ")
    file = tmp_path / "gone.json"
    file.write_text(certificate)
    told = json.loads(said(capsys, "check-certificate", str(file), "--key", key))
    assert (told["machine"], told["name"]) == (found.fingerprint, "disk")
    file.write_text(certificate.replace("luks-key", "file"))
    assert main(["server", "check-certificate", str(file), "--key", key]) == 3
    assert "its signature is wrong" in capsys.readouterr().err
