# SPDX-License-Identifier: Apache-2.0
"""What a server knows of its machines, and what `policy predict --machines` says of them by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from pykexec.cli import main
from pykexec.errors import UsageError
from pykexec.policy.recovery import Known
from pykexec.server.fleet import read_fleet
from tests.support.attest_log import Boot
from tests.support.attest_machine import Machine
from tests.support.running_server import serving
from tests.support.server_world import ACTOR, ANY_IMAGE, MASTER, World, world

OLD, NEW = Boot(firmware="1"), Boot(firmware="2")


class InProcess:
    """The admin API without a network, as an operator."""

    def __init__(self, server: World) -> None:
        self._server = server
        self.asked: list[str] = []

    def get(self, *path: str, **query: object) -> dict[str, object]:
        words = {key: str(value).lower() for key, value in query.items() if value is not None}
        target = "/".join(("/admin/v1", *path)) + (f"?{urlencode(words)}" if words else "")
        self.asked.append(target)
        answer = self._server.client.request("GET", target, token=self._server.tokens["operator"])
        assert answer.status == 200, answer.text
        return answer.json


def enrol(server: World, machine: Machine, name: str, boots: int = 1, **tags: str) -> str:
    """Its fingerprint; it has attested so often."""
    for _ in range(max(1, boots)):
        if boots:
            assert server.attest(machine)[1].verdict.accepted
            machine.reboot()
        else:
            server.challenge(machine)
    known = server.known(machine)
    server.store.set_name(known.id, name, ACTOR)
    server.store.set_tags(known.id, {k.replace("_", "-"): v for k, v in tags.items()}, ACTOR)
    return known.fingerprint


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        settings = replace(found.store.settings(), keep_evidence="always")
        found.store.set_settings(settings, ACTOR)
        yield found


def fleet(server: World, **options: object) -> dict[str, Known]:
    found = read_fleet(InProcess(server), options.pop("reports", {}), **options)  # type: ignore[arg-type]
    return {each.machine: each for each in found}


def test_a_machine_is_known_by_its_last_accepted_boot_and_its_tag(server: World) -> None:
    enrol(server, Machine("a", boot=OLD), "web-1", bitlocker_pcrs="0, 2, 4, 11")
    found = fleet(server)["web-1"]
    assert not isinstance(found.evidence, str)
    assert found.evidence.pcrs == Machine("a", boot=OLD).evidence().pcrs
    assert found.pcrs == frozenset((0, 2, 4, 11))


def test_evidence_that_was_not_kept_is_not_replaced_by_an_older_one(server: World) -> None:
    machine = Machine("a", boot=OLD)
    enrol(server, machine, "web-1")
    server.store.set_settings(replace(server.store.settings(), keep_evidence="refused"), ACTOR)
    assert server.attest(machine)[1].verdict.accepted
    found = fleet(server)["web-1"].evidence
    assert isinstance(found, str)
    assert found.startswith("its last boot is not known: of that of 20")
    assert "no evidence was kept (keep_evidence=always keeps it)" in found


def test_a_machine_that_never_was_accepted_is_unknown(server: World) -> None:
    server.store.put_policy("none", ANY_IMAGE + "[firmware]\nversions = ['x']\n", ACTOR)
    machine = Machine("a", boot=OLD)
    server.store.set_settings(replace(server.store.settings(), default_policy="none"), ACTOR)
    assert not server.attest(machine)[1].verdict.accepted
    server.store.set_name(server.known(machine).id, "web-1", ACTOR)
    found = fleet(server)["web-1"]
    assert found.evidence == "its last boot is not known: none was accepted"
    assert found.pcrs == "its protectors are not known: no tag bitlocker-pcrs, no report"


def test_reports_count_before_tags_by_name_and_by_fingerprint(server: World) -> None:
    enrol(server, Machine("a"), "web-1", bitlocker_pcrs="7,11")
    fingerprint = enrol(server, Machine("b"), "web-2")
    reports = {"web-1": frozenset((4,)), fingerprint: frozenset((2,))}
    found = fleet(server, reports=reports)
    assert (found["web-1"].pcrs, found["web-2"].pcrs) == (frozenset((4,)), frozenset((2,)))


def test_a_report_of_no_machine_or_of_several_is_refused(server: World) -> None:
    enrol(server, Machine("a"), "web")
    with pytest.raises(UsageError, match=r"^web-2: no machines of these are called so$"):
        fleet(server, reports={"web-2": frozenset()})
    enrol(server, Machine("b"), "web")
    with pytest.raises(UsageError, match=r"^web: 2 machines of these are called so$"):
        fleet(server, reports={"web": frozenset()})


def test_only_who_is_enrolled_is_asked_about_and_with_a_policy_its_machines(server: World) -> None:
    server.store.put_policy("other", ANY_IMAGE, ACTOR)
    enrol(server, Machine("a"), "web-1")
    gone, other = Machine("b"), Machine("c")
    enrol(server, gone, "web-2")
    server.store.retire(server.known(gone).id, ACTOR, "sold")
    enrol(server, other, "web-3")
    server.store.set_policy(server.known(other).id, "other", ACTOR)
    assert set(fleet(server)) == {"web-1", "web-3"}
    assert set(fleet(server, policy="other")) == {"web-3"}


def test_who_asks_and_who_is_unknown_is_printed_and_nobody_else(
    server: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asks = enrol(server, Machine("a", boot=OLD), "first", bitlocker_pcrs="0,2,4,11")
    enrol(server, Machine("b", boot=NEW), "has-it-already", bitlocker_pcrs="0,2,4,11")
    enrol(server, Machine("c", boot=OLD), "by-secure-boot", bitlocker_pcrs="7,11")
    enrol(server, Machine("d", boot=OLD), "linux", bitlocker_pcrs="none")
    unknown = enrol(server, Machine("e", boot=OLD), "second")
    (tmp_path / "master").touch(0o600)
    (tmp_path / "master").write_text(MASTER.hex())
    (tmp_path / "token").write_text(server.tokens["operator"])
    store = f"sqlite:///{server.database}"
    with serving(tmp_path, store, f"file:{tmp_path}/master", "--rate", "0") as running:
        words = ["policy", "predict", "--machines", "--firmware-version", "2"]
        words += ["--url", running.address, "--token-file", str(tmp_path / "token")]
        words += ["--ca", str(running.tls.authority)]
        assert main(words) == 0
        table = capsys.readouterr().out.splitlines()
        assert main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
    (why, _) = told["unknown"][0]["why"]
    assert [line.split() for line in table] == [
        ["MACHINE", "FINGERPRINT", "OUTLOOK", "PCR", "WHY"],
        ["first", asks[:16], "asks", "0", "PCR", "0:", "firmware", "2"],
        ["second", unknown[:16], "unknown", "-", *why.split()],
        ["PCR", "0:", "firmware", "2"],
        "ask for the recovery password: 1; unknown: 1; not affected: 3".split(),
    ]
    assert told["changes"] == ["firmware 2"]
    assert [(each["machine"], each["pcrs"]) for each in told["asks"]] == [("first", [0])]
    assert told["asks"][0]["fingerprint"] == asks
    assert [each["machine"] for each in told["unknown"]] == ["second"]
    assert told["unaffected"] == 3


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--machines"], "--machines: what changes?"),
        (["e.json", "--machines", "--firmware-version", "2"], "makes no policy of evidence"),
        (["--machines", "--firmware-version", "2"], "which server?"),
        (["--machines", "--firmware-version", "2", "--report", "x"], "x: not MACHINE=FILE"),
        (["e.json", "--name", "n", "--json"], "--json: goes with --machines alone"),
        (["--name", "n"], "predict: EVIDENCE and --name, or --machines"),
    ],
)
def test_what_does_not_go_together_is_named(
    words: list[str],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PYKEXEC_SERVER", raising=False)
    assert main(["policy", "predict", *words]) == 2
    assert fault in capsys.readouterr().err
