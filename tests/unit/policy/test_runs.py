# SPDX-License-Identifier: Apache-2.0
"""Which image runs and what configured it, whatever who hands the log over says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykexec.errors import UsageError
from pykexec.policy.learn import LearnOptions
from tests.support import attest_log
from tests.support.attest_machine import Boot, Machine, Measured
from tests.unit.policy.taught import learnt, reference, refusals, refused


def before_the_image(machine: Machine, event: Measured) -> Machine:
    """The same boot with an event in front of the image's."""
    events = list(machine.events)
    first = next(n for n, each in enumerate(events) if each.type == attest_log.APPLICATION)
    machine.rewrite((*events[:first], event, *events[first:]))
    return machine


@pytest.mark.parametrize("type_", [attest_log.APPLICATION, attest_log.IPL, attest_log.POST_CODE])
def test_what_runs_before_the_image_is_refused_whatever_the_log_calls_it(type_: int) -> None:
    text = learnt(Machine(), LearnOptions("p"))
    evil = replace(attest_log.application(r"\EFI\evil.efi", b"evil"), type=type_)
    assert refused(before_the_image(Machine(), evil), text) == ["policy.boot.application"]


def behind_the_image(*events: Measured) -> Machine:
    """The same boot with events behind the image's, and what it logs of itself."""
    machine = Machine()
    for event in events:
        machine.extend(event.pcr, event.type, event.data, event.hashed)
    return machine


def test_what_is_loaded_behind_the_image_is_refused() -> None:
    """Ours is in PCR 4, and another program runs."""
    text = learnt(Machine(), LearnOptions("p"))
    evil = attest_log.application(r"\EFI\evil.efi", b"evil")
    assert refused(behind_the_image(evil), text) == ["policy.image", "policy.boot.application"]
    (first, _) = refusals(behind_the_image(evil), text)
    assert "evil.efi, not learnt" in first.text


def test_what_is_loaded_and_never_started_is_refused_for_who_loaded_it() -> None:
    """LoadImage has measured ours, last of all; StartImage was never called, and evil.efi runs."""
    evil = attest_log.application(r"\EFI\evil.efi", b"evil")
    (finding,) = refusals(before_the_image(Machine(), evil), learnt(Machine(), LearnOptions("p")))
    assert finding.code == "policy.boot.application"
    assert "started before the image: " in finding.text


@pytest.mark.parametrize(
    "event",
    [
        Measured(4, attest_log.ACTION, b"Returning from EFI Application from Boot Option"),
        Measured(4, attest_log.SEPARATOR, bytes(4)),
    ],
)
def test_an_image_that_has_returned_does_not_run(event: Measured) -> None:
    machine = behind_the_image(event)
    (finding,) = refusals(machine, learnt(Machine(), LearnOptions("p")))
    assert (finding.code, "behind it is event" in finding.text) == ("policy.image", True)
    with pytest.raises(UsageError, match="does not run: behind it is event"):
        learnt(machine)


def test_a_boot_without_an_application_teaches_nothing() -> None:
    machine = Machine()
    kept = (event for event in machine.events if event.type != attest_log.APPLICATION)
    machine.rewrite(tuple(kept))
    with pytest.raises(UsageError, match="the log tells of no application that was started"):
        learnt(machine)


@pytest.mark.parametrize("old", [False, True])
def test_an_override_cannot_hide(old: bool) -> None:
    """Whatever who hands the log over calls it, and writes beside its digest."""
    good = Boot(old=old)
    text = learnt(Machine(boot=good), LearnOptions("p"))
    machine = Machine(boot=replace(good, config=b"[payload]\n"))
    assert refused(machine, text) == ["policy.config"]
    *others, override = machine.events
    for type_ in (attest_log.POST_CODE, attest_log.IPL, attest_log.APPLICATION, 0x8000000A):
        for data in (override.data, b"GPT of nobody", b""):
            lie = replace(override, type=type_, data=data, hashed=override.data)
            machine.rewrite((*others, lie))
            assert refused(machine, text) == ["policy.config"], (type_, data)


def test_what_hides_behind_a_digest_may_be_allowed_by_it() -> None:
    """systemd-boot measures its loader.conf so; an operator who knows it, says so."""
    machine = Machine()
    before = Measured(5, attest_log.EVENT_TAG, b"loader.conf", hashed=b"timeout 3\n")
    machine.rewrite((before, *machine.events))
    (finding,) = refusals(machine, learnt(Machine(), LearnOptions("p")))
    assert "could" not in finding.text and "of no data in the log" in finding.text
    text = learnt(machine, LearnOptions("p"))
    assert b"# of no data in the log: event 1 (PCR 5, EV_EVENT_TAG" in text
    assert refused(machine, text) == []


def test_a_policy_of_before_judges_an_image_of_before_as_it_did() -> None:
    machine = Machine(boot=Boot(old=True))
    image = {**reference(machine, "old"), "pcr11": {"sha256": machine.pcrs["sha256"][11].hex()}}
    text = learnt(machine, LearnOptions("p", references=(image,)))
    assert b"pcr11 = " in text
    assert refused(machine, text) == []
    # Not our stub's any more: something else has extended the register.
    machine.extend(11, attest_log.IPL, b"enter-initrd")
    assert refused(machine, text) == ["policy.image"]


def test_shim_before_the_image_is_learnt_with_it() -> None:
    shim = attest_log.application(r"\EFI\BOOT\BOOTX64.EFI", b"shim")
    text = learnt(before_the_image(Machine(), shim), LearnOptions("p"))
    assert refused(before_the_image(Machine(), shim), text) == []
    assert refused(Machine(), text) == []
    other = attest_log.application(r"\EFI\BOOT\BOOTX64.EFI", b"other shim")
    assert refused(before_the_image(Machine(), other), text) == ["policy.boot.application"]
