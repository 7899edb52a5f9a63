# SPDX-License-Identifier: Apache-2.0
"""The alert rules go off when they should, and ask for figures that the server gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.server.web.metrics import COUNTERS, GAUGES, HISTOGRAMS
from pykexec.vm import packages
from tests.support.attest_machine import Machine
from tests.support.server_world import World, world

ROOT = Path(__file__).parents[4]
RULES = ROOT / "packaging/prometheus/pykexec.rules.yml"
CASES = ROOT / "tests/data/alerts/pykexec.test.yml"
ALERTS = re.findall(r"alert: (\w+)", RULES.read_text())


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def promtool(*words: str | Path) -> str:
    program = packages.fetch(packages.PROMETHEUS) / "usr/bin/promtool"
    return run([program, *words]).decode()


def test_prometheus_takes_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES)


def test_each_alert_goes_off_and_none_on_a_quiet_day() -> None:
    promtool("test", "rules", CASES)
    text = CASES.read_text()
    for alert in ALERTS:
        assert f"alertname: {alert}, exp_alerts: []" in text
        assert f'{{alertname="{alert}"}}' in text


@pytest.mark.parametrize("alert", ALERTS)
def test_the_cases_miss_an_alert_that_is_gone(alert: str, tmp_path: Path) -> None:
    rules, cases = tmp_path / "rules.yml", tmp_path / "cases.yml"
    rules.write_text(RULES.read_text().replace(f"alert: {alert}\n", "alert: Other\n"))
    cases.write_text(re.sub(r"- \.\./.*\.rules\.yml", f"- {rules}", CASES.read_text()))
    with pytest.raises(ToolError, match=alert):
        promtool("test", "rules", cases)


def test_the_rules_ask_for_what_there_is(server: World) -> None:
    names = {name.removesuffix("_bucket") for name in re.findall(r"pykexec_\w+", RULES.read_text())}
    assert names <= {*COUNTERS, *HISTOGRAMS, *GAUGES}
    stranger = Machine("stranger")
    stranger.certificates = ()
    server.attest(stranger)
    server.client.log_in("admin", "wrong")
    text = server.client.request("GET", "/metrics", token=server.tokens["viewer"]).text
    for given in (
        'pykexec_attestations_total{result="refused"}',
        'pykexec_logins_total{result="refused"}',
        'pykexec_request_seconds_count{route="challenges"}',
        'pykexec_request_seconds_count{route="attestations"}',
        'pykexec_machines{state="pending"}',
        "pykexec_ready ",
    ):
        assert given in text
