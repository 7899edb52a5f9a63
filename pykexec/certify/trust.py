# SPDX-License-Identifier: Apache-2.0
"""Steps of the TPM: what it is, whether it quotes, and what the firmware has measured into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pykexec.certify.blob import pack_blob
from pykexec.certify.plan import AbsentError, Bench, Facts, StepError
from pykexec.errors import FormatError, TpmError

if TYPE_CHECKING:
    from pykexec.tpm.eventlog import EventLog

_PCRS, _QUOTED = range(24), range(8)
_GPT_EVENT = 0x80000006
"""EV_EFI_GPT_EVENT: a whole partition table (PC Client Platform Firmware Profile 1.06, 10.4.1)."""
_GPT_DISK_GUID, _GPT_ENTRIES, _GPT_ENTRY_GUID = 56, 100, 16
_GUID_SIZE, _GPT_ENTRY_MIN = 16, 128


def tpm(bench: Bench) -> Facts:
    """Banks, endorsement key and its certificate; a quote by an attestation key."""
    import os

    from pykexec.bridge.supervisor import ensure
    from pykexec.firmware.info import read_tpm_info
    from pykexec.tpm.client import open_tpm

    info = read_tpm_info(bench.mailbox)
    if not info.present:
        raise AbsentError("the firmware has no TPM 2.0")
    faults = [row["fault"] for row in ensure("tpm") if row["kind"] == "tpm" and row["fault"]]
    if faults:
        raise TpmError(str(faults[0]))
    facts: Facts = {"manufacturer": info.manufacturer}
    with open_tpm() as opened:
        banks = opened.active_banks()
        facts["banks"] = list(banks)
        if not banks:
            raise StepError("no bank is active", facts)
        facts["pcrs"] = {
            bank: {str(pcr): value.hex() for pcr, value in opened.read_pcrs(bank, _PCRS).items()}
            for bank in banks
        }
        ek = opened.best_ek()
        facts["ek"] = {
            "kind": ek.kind,
            "certificates": len(ek.certificates),
            "certificate": bench.disguise.word(ek.certificates[0]) if ek.certificates else "none",
        }
        attested, signature = opened.quote(opened.ak(), os.urandom(16), banks[-1], _QUOTED)
        facts["quote"] = {"attested_bytes": len(attested), "signature_bytes": len(signature)}
        facts["commands"] = opened.usage.commands
        facts["seconds"] = round(opened.usage.seconds, 3)
    return facts


def event_log(bench: Bench) -> Facts:
    """The log, whole, and whether it explains the registers."""
    from pykexec.firmware.info import read_tpm_info
    from pykexec.tpm.eventlog import parse_event_log
    from pykexec.tpm.transport import read_event_log

    if not read_tpm_info(bench.mailbox).present:
        raise AbsentError("the firmware has no TPM 2.0")
    raw = read_event_log(bench.mailbox)
    try:
        log = parse_event_log(raw.data)
    except FormatError as error:
        fault: Facts = {"bytes": len(raw.data), "log": pack_blob(raw.data, bench.disguise)}
        raise StepError(str(error), fault) from None
    for event in log.events:
        if event.type == _GPT_EVENT:
            for guid in gpt_guids(event.data):
                bench.disguise.learn_bytes(guid)
    facts: Facts = {
        "bytes": len(raw.data),
        "truncated": raw.truncated,
        "banks": list(log.banks),
        "events": len(log.events),
        "log": pack_blob(raw.data, bench.disguise),
    }
    registers = bench.facts("tpm").get("pcrs")
    if raw.truncated:
        raise StepError("the firmware had no room for all events: it cannot be attested", facts)
    wrong = unexplained(log, registers)
    if wrong:
        raise StepError(f"does not explain {', '.join(wrong)}", facts)
    return facts


def unexplained(log: EventLog, registers: object) -> list[str]:
    """Registers whose value the log does not lead to, as far as both are known."""
    from pykexec.tpm.eventlog import replay, replayable_banks, unlogged_start

    known = registers if isinstance(registers, dict) else {}
    found = []
    for bank in replayable_banks(log):
        for pcr, value in replay(log, bank).items():
            text = known.get(bank, {}).get(str(pcr), value.hex())
            if text == value.hex():
                continue
            if pcr == 0 and unlogged_start(log, bank, bytes.fromhex(text)) is not None:
                continue
            found.append(f"PCR {pcr} {bank}")
    return found


def gpt_guids(data: bytes) -> Iterator[bytes]:
    """GUIDs of the disk and its partitions in UEFI_GPT_DATA; none where it is cut off."""
    yield data[_GPT_DISK_GUID : _GPT_DISK_GUID + _GUID_SIZE]
    for start in range(_GPT_ENTRIES, len(data) - _GPT_ENTRY_MIN + 1, _GPT_ENTRY_MIN):
        yield data[start + _GPT_ENTRY_GUID : start + _GPT_ENTRY_GUID + _GUID_SIZE]
