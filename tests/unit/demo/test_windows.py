# SPDX-License-Identifier: Apache-2.0
"""The parts of the demo for Windows: its disk is one that Windows would start from, its stages are
what agent and stand-in say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from pykexec.config.agent import parse_config
from pykexec.demo import windows_machine, windows_stages
from pykexec.demo.attest_image import ESP_LABEL, attested_config
from pykexec.demo.attest_server import policy_for
from pykexec.disk import bek
from pykexec.policy import parse_policy
from pykexec.vm.stages import Stage
from pykexec.windows.check import check
from pykexec.windows.disks import open_disk
from pykexec.windows.findings import Report, lines
from pykexec.windows.keys import startup_key
from pykexec.windows.machine import Machine
from tests.support.windows_disk import PCA_2011, authority, certificates
from tests.unit.image.inputs import pe_bytes
from tests.unit.image.test_reference import IMAGE

DIGEST = "ab" * 32
SOURCES = Path(__file__).resolve().parents[3] / "csrc/payload/bootmgr"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "disk.img"
    manager = authority(PCA_2011).sign(pe_bytes())
    return windows_machine.windows_disk(path, b"our image", manager).path


def look(disk: Path, key: bytes) -> Report:
    """What the agent would say of it, with this .BEK file."""
    of = Machine(True, certificates(authority(PCA_2011).der), (), ())
    identifier = str(bek.read(memoryview(key), "key").identifier).upper()
    found = startup_key(memoryview(bytearray(key)), f"secret bitlocker ({identifier}.BEK)")
    with open_disk(str(disk)) as opened:
        return check([opened], of, [found])


def said(report: Report) -> list[str]:
    return [f"windows: {line}" for line in lines(report.findings)]


def patterns(stages: Sequence[Stage], head: str) -> list[str]:
    return [stage.pattern for stage in stages if stage.pattern.startswith(head)]


def comes(pattern: str, console: Sequence[str]) -> bool:
    return any(re.search(pattern, line) for line in console)


def test_with_the_key_windows_would_start_and_the_stages_say_so(disk: Path) -> None:
    report = look(disk, windows_machine.startup_key())
    assert report.faults == ()
    wanted = patterns(windows_stages.unlocked("6.1"), "^windows: ")
    assert len(wanted) == 2
    assert [pattern for pattern in wanted if not comes(pattern, said(report))] == []
    # The other way round the stages of a mismatch do not come.
    (allowed, fault) = patterns(windows_stages.mismatch("6.1"), "^windows: ")
    assert comes(allowed, said(report)) and not comes(fault, said(report))


def test_with_another_volumes_key_it_would_not(disk: Path) -> None:
    report = look(disk, windows_machine.other_startup_key())
    assert len(report.faults) == 1
    for pattern in patterns(windows_stages.mismatch("6.1"), "^windows: "):
        assert comes(pattern, said(report)), pattern
    _, opened = patterns(windows_stages.unlocked("6.1"), "^windows: ")
    assert not comes(opened, said(report))


def test_every_step_that_is_waited_for_is_one_of_the_stand_ins() -> None:
    numbers = re.findall(r"\{ (\d+), wbm_\w+", (SOURCES / "main.c").read_text())
    steps = [f"{int(number):02}" for number in numbers]
    waited = [
        found[1]
        for stage in windows_stages.unlocked("6.1")
        if (found := re.match(r"\^?(?:PK:wbm|WBM):(\d\d):", stage.pattern))
    ]
    assert waited[-1] == "12"
    order = [steps.index(step) for step in waited]
    assert order == sorted(order)


def test_the_agent_takes_its_configuration() -> None:
    text = attested_config(
        "https://10.77.0.1:8443",
        "-----BEGIN CERTIFICATE-----\n",
        windows_machine.MANAGER_PATH,
        payload=windows_machine.PAYLOAD,
    )
    config = parse_config(text.encode(), "agent.toml")
    assert config.payload and config.attest and config.windows
    assert (config.payload.path, config.payload.volume) == (windows_machine.MANAGER_PATH, ESP_LABEL)
    assert config.payload.options.startswith("BCDOBJECT={9dea862c-")
    assert config.windows.on_mismatch == "fail"
    # What persists is found by Windows' hibernation where it should not be.
    assert not config.attest.persist


def test_its_policy_demands_this_boot_manager() -> None:
    policy = parse_policy(policy_for(IMAGE, DIGEST, self_contained=False).encode(), "demo")
    assert policy.secure_boot.required and policy.payload.required
    assert policy.payload.authenticode_sha256 == (DIGEST,)
    assert not policy.payload.self_contained
