# SPDX-License-Identifier: Apache-2.0
"""Drivers that were added to the firmware's own are behind the separator of PCR 2."""

from __future__ import annotations

from tests.support.attest_expected import claims_of
from tests.support.attest_log import IPL, SEPARATOR, driver
from tests.support.attest_machine import Machine
from tests.unit.verify.test_claims import relabelled


def test_what_was_added_to_the_firmwares_drivers_is_told_whatever_the_log_calls_it() -> None:
    machine = Machine()
    assert claims_of(machine.evidence())["boot"]["drivers"] == []
    added = driver(r"\EFI\drivers\ext4.efi", b"ext4")
    machine.rewrite((*machine.events, added, relabelled(added, IPL)))
    first, second = claims_of(machine.evidence())["boot"]["drivers"]
    assert first["path"].endswith(r"\EFI\drivers\ext4.efi")
    assert first["authenticode"] == {"sha256": added.digest("sha256").hex()}
    assert first["unproven"] == ["path"]
    assert (second["authenticode"], second["type"]) == (first["authenticode"], "EV_IPL")


def test_without_a_separator_nobody_knows_whose_a_driver_is() -> None:
    machine = Machine()
    kept = (each for each in machine.events if (each.pcr, each.type) != (2, SEPARATOR))
    machine.rewrite((*kept, driver(r"\EFI\drivers\ext4.efi", b"ext4")))
    assert claims_of(machine.evidence())["boot"]["drivers"] == []
