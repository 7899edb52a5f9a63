# SPDX-License-Identifier: Apache-2.0
"""What ends is told before: by API, command, page and figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.server.expiry import Ending, Expiry
from pykexec.server.store.rollouts import Rollouts
from pykexec.verify.certificates import load
from tests.support import attest_ca
from tests.support.admin_commands import run
from tests.support.attest_machine import Machine
from tests.support.server_world import ACTOR, ANY_IMAGE, UNLIMITED, World, world

OUTDATED = ANY_IMAGE + '[[outdated]]\nname = "CVE-1"\nversions = ["*"]\nuntil = "{}"\n'


@pytest.fixture(name="files")
def files_fixture(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate, and what is none."""
    good, bad = tmp_path / "ca.pem", tmp_path / "bad.pem"
    good.write_bytes(load(attest_ca.root_der()).public_bytes(Encoding.PEM))
    bad.write_text("nothing")
    return good, bad


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path, files: tuple[Path, Path]) -> Iterator[World]:
    with world(tmp_path, replace(UNLIMITED, certificates=files)) as found:
        yield found


def of_kind(server: World, kind: str) -> list[Ending]:
    now = datetime.now(UTC)
    found = Expiry(server.store, server.web.options.certificates).endings(now)
    return [one for one in found if one.kind == kind]


def day(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


def test_each_kind_is_found(server: World, files: tuple[Path, Path]) -> None:
    machine = Machine()
    server.attest(machine)
    now = datetime.now(UTC)
    server.store.create_token("cron", "viewer", ACTOR, now + timedelta(days=9))
    server.store.create_token("gone", "viewer", ACTOR, now + timedelta(days=9))
    server.store.revoke_token("gone", ACTOR)
    server.store.put_policy("any", OUTDATED.format(day(5)), ACTOR)
    machine.reboot()
    assert server.attest(machine)[1].verdict.accepted
    root_ends = load(attest_ca.root_der()).not_valid_after_utc
    (root,) = of_kind(server, "ek-root")
    assert root.ends == root_ends
    (ek,) = of_kind(server, "ek-certificate")
    assert (ek.name, ek.ends) == (
        machine.fingerprint, load(machine.certificates[0]).not_valid_after_utc,
    )  # fmt: skip
    assert [(one.name, one.days(now)) for one in of_kind(server, "token")] == [("cron", 8)]
    (policy,) = of_kind(server, "policy")
    assert policy.name == "any version 2"
    assert policy.text == "CVE-1 is refused; 1 machines have what is outdated"
    assert f"{policy.ends - timedelta(seconds=1):%Y-%m-%d}" == day(5)
    broken, good = of_kind(server, "certificate")
    assert (good.name, good.ends) == (str(files[0]), root_ends)
    assert broken.name == str(files[1]) and "cannot be read" in broken.text


def test_a_draft_does_not_count_and_a_pinned_version_does(server: World) -> None:
    rollouts = Rollouts(server.store.database, server.store.keys)
    rollouts.put_draft("any", OUTDATED.format(day(5)), ACTOR, "")
    assert of_kind(server, "policy") == []
    rollouts.pin("any", "tag:a=b", 2, ACTOR, "")
    assert len(of_kind(server, "policy")) == 1


def test_the_command_ends_with_1_if_something_ends_soon(
    server: World, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files[1].write_bytes(files[0].read_bytes())
    server.store.put_policy("any", OUTDATED.format(day(20)), ACTOR)
    assert run(server, "expiry", "--days", "10", role="viewer") == 0
    assert capsys.readouterr().out == ""
    assert run(server, "expiry", "--days", "30", role="viewer") == 1
    assert "CVE-1 is refused" in capsys.readouterr().out
    files[1].unlink()
    assert run(server, "expiry", "--days", "0", role="viewer") == 1
    assert "cannot be read" in capsys.readouterr().out


def test_the_page_and_the_figures_tell(server: World) -> None:
    server.store.put_policy("any", OUTDATED.format(day(5)), ACTOR)
    server.sign_in("viewer")
    shown = server.client.get("/expiry").text
    assert "CVE-1 is refused" in shown and "cannot be read" in shown
    figures = server.client.request("GET", "/metrics", token=server.tokens["viewer"]).text
    for kind in ("certificate", "ek-root", "policy"):
        assert f'pykexec_expiry_timestamp_seconds{{kind="{kind}"}} ' in figures
    assert "pykexec_outdated_machines 0\n" in figures
