# SPDX-License-Identifier: Apache-2.0
"""What a step is, what comes of one, and the order of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pykexec.certify.disguise import Disguise
from pykexec.certify.settings import Settings
from pykexec.errors import PykexecError
from pykexec.firmware.info import FirmwareInfo
from pykexec.firmware.mailbox import Mailbox

Facts = dict[str, object]

OK, FAILED, ABSENT, HUNG, CRASHED = "ok", "failed", "absent", "hung", "crashed"
OUTCOMES = {
    OK: "works",
    FAILED: "does not work",
    ABSENT: "the machine has none",
    HUNG: "the machine did not come back from it",
    CRASHED: "Linux or the agent ended in it",
}
"""What can come of a step, in words."""


class AbsentError(PykexecError):
    """The machine does not have what the step looks at: that is no fault."""


class StepError(PykexecError):
    """The step found a fault; facts are what it found out all the same."""

    def __init__(self, reason: str, facts: Facts) -> None:
        super().__init__(reason)
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a step; reason is "" where all is well."""

    outcome: str
    reason: str = ""
    seconds: float = 0.0
    facts: Facts = field(default_factory=dict)


@dataclass(slots=True)
class Bench:
    """What steps work with; results are those of the steps so far."""

    mailbox: Mailbox
    info: FirmwareInfo
    settings: Settings
    disguise: Disguise
    say: Callable[[str], None]
    results: dict[str, Result] = field(default_factory=dict)

    def facts(self, step: str) -> Facts:
        """What a step before has found out, nothing if it was not well."""
        result = self.results.get(step)
        return result.facts if result else {}


@dataclass(frozen=True, slots=True)
class Step:
    """A step by the name that reports know it by. meaning says what follows where it fails."""

    name: str
    title: str
    meaning: str


Run = Callable[[Bench], Facts]
"""Finds out; AbsentError, StepError or any other for what is amiss."""

TRIPS = "round-trips"
"""The one in which Linux ends, again and again: the engine leads it."""

PLAN = (
    Step("firmware", "firmware, processor, mainboard", "nothing can be said of this machine"),
    Step("memory", "memory map", "Linux cannot be given memory of its own for certain"),
    Step("acpi", "ACPI tables", "what hardware there is stays unknown"),
    Step("handles", "devices and their paths", "devices cannot be named"),
    Step("variables", "UEFI variables and room for more", "boot entries cannot be read or written"),
    Step(
        "timers",
        "the firmware's timer under Linux",
        "the firmware's time stands still while Linux runs: drivers that wait would hang",
    ),
    Step(
        "gate",
        "many calls through the gate, and the window",
        "calls from Linux into the firmware are not reliable, or slow",
    ),
    Step("console", "screen, keyboard, serial lines", "messages and the menu may not be seen"),
    Step("disks", "every disk, read", "payloads on that disk cannot be started"),
    Step(
        "scratch",
        "a file on the stick, written and read back",
        "what Linux writes may not be what is read",
    ),
    Step(
        "ramdisk",
        "a RAM disk, made, read and removed",
        "keys and installers cannot be put on disks in memory",
    ),
    Step("nics", "network: DHCP and ping", "nothing can be fetched or attested"),
    Step("tpm", "TPM: banks, EK, quote", "the machine cannot be attested"),
    Step(
        "event-log", "what the firmware has measured", "the machine boots, and cannot be attested"
    ),
    Step(
        "reserved-ram", "the firmware's reserved memory, before", "reserved memory is not watched"
    ),
    Step(TRIPS, "Linux to an application and back", "payloads may not start, or not come back"),
    Step(
        "registers",
        "the processor's and chipset's state, before and after",
        "what is started after Linux finds another machine than without it",
    ),
    Step(
        "firmware-ram",
        "the firmware's memory, before and after",
        "something wrote where only the firmware should",
    ),
)
