# SPDX-License-Identifier: Apache-2.0
"""Machines that begin at another locality and do not log it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykexec.policy.predict import Changes, predict
from pykexec.tpm.eventlog import parse_event_log
from tests.support import attest_log
from tests.support.attest_machine import Boot, Machine


@pytest.mark.parametrize("locality", [3, 4])
def test_an_update_is_foreseen_where_the_start_is_not_logged(locality: int) -> None:
    before, after = Machine(), Machine(boot=Boot(firmware="2"))
    version = "2\0".encode("utf-16-le")
    same = [
        e if e.type != attest_log.CRTM_VERSION else replace(e, data=version) for e in before.events
    ]
    after.rewrite(tuple(same))
    for machine in (before, after):
        machine.begin_at(locality)
    log = parse_event_log(before.evidence().event_log)
    found = predict(log, "sha256", before.evidence().pcrs, Changes(version="2"))
    assert found.pcrs == {0: after.pcrs["sha256"][0].hex()}
