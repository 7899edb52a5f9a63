# SPDX-License-Identifier: Apache-2.0
"""pykexec eventlog: what the firmware has measured, and whether it explains the TPM's PCRs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.tpm.eventlog import Event, EventLog

HELP = "show the firmware's event log, and compare what it explains with the TPM's PCRs"
EXAMPLES = """\
pykexec eventlog
pykexec eventlog --output /tmp/event-log.bin
"""

# A digest's first digits tell events apart; --json has them all.
_DIGITS = 16
Registers = dict[str, dict[int, bytes]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--output", metavar="FILE", help="write the log itself to FILE instead")


def main(args: argparse.Namespace) -> int:
    """Print the log; 1 if a register has another value than the log says."""
    from pykexec.errors import TpmError
    from pykexec.firmware.info import read_tpm_info
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.tpm.eventlog import parse_event_log, replay, replayable_banks
    from pykexec.tpm.transport import read_event_log

    with Mailbox() as mailbox:
        if not read_tpm_info(mailbox).present:
            raise TpmError("the firmware has no TPM 2.0")
        raw = read_event_log(mailbox)
        if args.output:
            with open(args.output, "wb") as file:
                file.write(raw.data)
            return 0
        log = parse_event_log(raw.data)
        replayed = {bank: replay(log, bank) for bank in replayable_banks(log)}
        found = _read(mailbox, replayed)
    if args.json:
        _print_json(log, raw.truncated, replayed, found)
    else:
        _print(log, raw.truncated, replayed, found)
    return 1 if any(_differing(replayed, found)) else 0


def _read(mailbox: Mailbox, replayed: Registers) -> Registers:
    """The TPM's own values of what was replayed; banks that are not active are empty."""
    import os

    from pykexec.tpm.pcr import read_pcrs
    from pykexec.tpm.transport import RESOURCE_MANAGER, device, firmware

    transmit = device() if os.path.exists(RESOURCE_MANAGER) else firmware(mailbox)
    return {bank: read_pcrs(transmit, bank, values) for bank, values in replayed.items()}


def _differing(replayed: Registers, found: Registers) -> list[tuple[str, int]]:
    return [
        (bank, pcr)
        for bank, values in replayed.items()
        for pcr, value in values.items()
        if found[bank].get(pcr, value) != value
    ]


def _print_json(log: EventLog, truncated: bool, replayed: Registers, found: Registers) -> None:
    from pykexec.cli.output import print_json
    from pykexec.tpm.event_text import describe, type_name

    print_json(
        {
            "banks": log.banks,
            "truncated": truncated,
            "events": [
                {
                    "pcr": event.pcr,
                    "type": type_name(event.type),
                    "digests": event.digests,
                    "description": describe(event),
                    "data": event.data,
                }
                for event in log.events
            ],
            "replayed": replayed,
            "tpm": found,
        }
    )


def _print(log: EventLog, truncated: bool, replayed: Registers, found: Registers) -> None:
    from pykexec.cli.output import print_table
    from pykexec.tpm.event_text import describe, type_name
    from pykexec.tpm.eventlog import unlogged_start

    if log.events:
        shown = next(iter(replayed), log.banks[0])
        rows = [
            (_pcr(event), type_name(event.type), _digest(event, shown), describe(event))
            for event in log.events
        ]
        print_table([("PCR", "type", shown, "what"), *rows])
    if truncated:
        print("the firmware had no room for more: events are missing")
    for bank, values in replayed.items():
        for pcr, value in sorted(values.items()):
            print(f"PCR {pcr} {bank} {value.hex()} {_verdict(value, found[bank].get(pcr))}")
        start = unlogged_start(log, bank, found[bank].get(0, values.get(0, b"")))
        if start is not None:
            print(f"PCR 0 {bank} fits if it began at locality {start}, which is not logged")


def _pcr(event: Event) -> str:
    from pykexec.tpm.eventlog import NO_PCR

    return "-" if event.pcr == NO_PCR else str(event.pcr)


def _digest(event: Event, bank: str) -> str:
    return event.digests.get(bank, b"").hex()[:_DIGITS] if event.extends else ""


def _verdict(value: bytes, found: bytes | None) -> str:
    if found is None:
        return "not in the TPM"
    return "as in the TPM" if found == value else f"differs: the TPM has {found.hex()}"
