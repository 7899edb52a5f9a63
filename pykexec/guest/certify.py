# SPDX-License-Identifier: Apache-2.0
"""An image that certifies: the agent's part, from the first word on the screen to the report."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from pykexec.certify.settings import parse_settings
from pykexec.config.agent import CERTIFY_PATH
from pykexec.steps import attempt

if TYPE_CHECKING:
    from pykexec.certify.engine import Engine
    from pykexec.certify.keep import Keeper
    from pykexec.firmware.info import FirmwareInfo
    from pykexec.firmware.mailbox import Mailbox

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
WHERE = (
    "photograph the lines above",
    "look at it with any browser, or `pykexec certify show`",
)


def certify(mailbox: Mailbox, info: FirmwareInfo) -> None:
    """Go on with the report where the last start of this machine left off, and finish it."""
    from pykexec.certify.report import from_journal
    from pykexec.certify.show import verdict
    from pykexec.log import marker

    say = partial(say_everywhere, mailbox)
    engine = make_engine(mailbox, info, say)
    if engine.go_on():
        # Should the machine never get to the end: a journal is nothing to send, it has the salt.
        _save(engine)
    engine.run()
    report = from_journal(engine.keeper.journal.records)
    for line in summary_lines(engine):
        say(line)
    say(verdict(report))
    place = _save(engine)
    say(f"report: {place or 'not kept'}; {WHERE[bool(place)]}")
    say(marker("certify", "report", 0 if place else 1))


def _save(engine: Engine) -> str:
    """Write what is known so far; where it is, "" if it could not be written."""
    from pykexec.certify.page import encode_page
    from pykexec.certify.report import encode_report, from_journal

    report = from_journal(engine.keeper.journal.records)
    return engine.keeper.save(encode_report(report), encode_page(report))


def summary_lines(engine: Engine) -> list[str]:
    """A line for each step that did not go well."""
    from pykexec.certify.plan import ABSENT, OK, OUTCOMES

    return [
        f"{name}: {OUTCOMES[result.outcome]}: {result.reason}"
        for name, result in engine.bench.results.items()
        if result.outcome not in (OK, ABSENT)
    ]


def make_engine(mailbox: Mailbox, info: FirmwareInfo, say: partial[None]) -> Engine:
    """Settings, disguise and the journal to go on with."""
    from pykexec.certify.disguise import Disguise, new_salt
    from pykexec.certify.engine import Engine
    from pykexec.certify.history import Life, machine_name, salt_of, start_record
    from pykexec.certify.identity import learn_identity
    from pykexec.certify.plan import Bench
    from pykexec.certify.runs import RUNS
    from pykexec.certify.trips import trip, trip_facts

    with open(CERTIFY_PATH, "rb") as file:
        settings = parse_settings(file.read())
    # Once to know the machine, and again to know what to hide: by then the salt is known.
    machine = machine_name(learn_identity(Disguise(b"", is_open=True), mailbox))
    keeper = _keeper(mailbox, info, machine, say)
    if not salt_of(keeper.journal.records):
        about = _about(settings.identifiers)
        keeper.append(start_record(machine, new_salt(), about))
    disguise = Disguise(salt_of(keeper.journal.records), settings.identifiers)
    learn_identity(disguise, mailbox)
    with open(_BOOT_ID, encoding="ascii") as boot_id:
        life = Life(boot_id.read().strip(), info.outcome)
    bench = Bench(mailbox, info, settings, disguise, say)
    return Engine(bench, keeper, life, trip, trip_facts, RUNS)


def _about(identifiers: bool) -> dict[str, object]:
    from pykexec.about import version

    return {
        "pykexec": version(),
        "linux": os.uname().release,
        "identifiers": "as they are" if identifiers else "hashed",
    }


def _keeper(mailbox: Mailbox, info: FirmwareInfo, machine: str, say: partial[None]) -> Keeper:
    """On the stick; where there is none that takes it, in memory: then it is shown, not kept."""
    from pykexec.certify.journal import Journal, MemoryArea
    from pykexec.certify.keep import Keeper, find_keeper, open_stick
    from pykexec.certify.settings import JOURNAL_SIZE
    from pykexec.errors import PykexecError
    from pykexec.log import describe

    try:
        return find_keeper(open_stick(mailbox, info), machine, say)
    except (PykexecError, OSError) as error:
        say(f"nothing is kept: {describe(error)}")
        return Keeper(Journal(MemoryArea(4 * JOURNAL_SIZE)), say)


def say_everywhere(mailbox: Mailbox, line: str) -> None:
    """On Linux' consoles and on the firmware's: on one of them somebody looks."""
    from pykexec.guest.console import mirror, sits_at_firmware
    from pykexec.log import drain_console

    print(line, flush=True)
    attempt("console", partial(mirror, f"{line}\n"), None)
    drain_console()  # It may be the same serial line.
    if not (line.startswith("PK:") or sits_at_firmware()):
        attempt("console", partial(_on_firmware, mailbox, line), None)


def _on_firmware(mailbox: Mailbox, line: str) -> None:
    from pykexec.firmware.console import Text, show

    said = "".join(char if char.isprintable() and char <= "\uffff" else "?" for char in line)
    show(mailbox, [Text(f"{said}\r\n")])
