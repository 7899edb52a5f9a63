# SPDX-License-Identifier: Apache-2.0
"""What steps make of what they are told: timers, times, echoes, registers, partition tables."""

from __future__ import annotations

import ipaddress
import json
import struct
from pathlib import Path
from typing import cast

import pytest

from pykexec import abi
from pykexec.abi_devices import RamKind
from pykexec.certify.disguise import Disguise
from pykexec.certify.exercise import timer_drivers
from pykexec.certify.look import acpi, is_load_option, nvram_room, read_cpu
from pykexec.certify.network import echo_request, gateways, is_echo_reply
from pykexec.certify.plan import Bench, StepError
from pykexec.certify.settings import Settings
from pykexec.certify.trips import times
from pykexec.certify.trust import gpt_guids, unexplained
from pykexec.errors import FirmwareError
from pykexec.firmware.acpi import read_acpi_tables
from pykexec.firmware.handoff import TraceEntry
from pykexec.firmware.info import FirmwareInfo
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.ram import decode_ram
from pykexec.firmware.snapshot import StateItem
from pykexec.net.lease import Lease, Route
from pykexec.tpm.eventlog import parse_event_log

LOGS = Path(__file__).parents[2] / "data" / "eventlogs"
MASKED = 1 << 16


def item(name: str, before: int) -> StateItem:
    return StateItem(name, before, 0, 0, 0, False, False, False, False)


@pytest.mark.parametrize(
    ("state", "drivers"),
    [
        ({}, []),
        ({"lapic.lvt_timer": 0x20020}, ["local APIC, periodic"]),
        ({"lapic.lvt_timer": 0x40020}, ["local APIC, TSC deadline"]),
        ({"lapic.lvt_timer": 0x20 | MASKED}, []),
        ({"ioapic.rte 2": 0x68, "ioapic.rte 0": MASKED}, ["I/O APIC input 2 (8254 or HPET)"]),
        ({"pic.imr1": 0xFE}, ["8259 input 0 (8254 or HPET)"]),
        ({"pic.imr1": 0xFF, "ioapic.rte 2": MASKED}, []),
    ],
)
def test_who_may_drive_the_timer_is_whoever_was_let_interrupt(
    state: dict[str, int], drivers: list[str]
) -> None:
    assert timer_drivers([item(name, value) for name, value in state.items()]) == drivers


def entry(stage: str, tsc: int, component: str = "stub") -> TraceEntry:
    return TraceEntry(1, component, stage, tsc, 0)


def test_times_are_those_of_the_newest_round_trip() -> None:
    trace = [
        *(entry("linux", 1), entry("resume", 1000), entry("started", 2000)),
        *(entry("returned", 5000), entry("resume", 11_000), entry("load", 12_000)),
        *(entry("started", 13_000), entry("started", 14_000, "payload")),
        *(entry("returned", 18_000), entry("linux", 19_000), entry("exit_bs", 20_500)),
    ]
    assert times(trace, 1000) == {
        "to_application_ms": 2.0,
        "application_ms": 5.0,
        "to_linux_ms": 1.0,
        "linux_start_ms": 1.5,
    }
    assert times(trace[-2:], 1000) == {"linux_start_ms": 1.5}
    assert times(trace, 0) == times([], 1000) == {}


def test_an_echo_is_known_by_its_sender() -> None:
    request = echo_request(0x1234)
    assert sum(struct.unpack(f">{len(request) // 2}H", request)) % 0xFFFF == 0
    header = bytes([0x46, *bytes(23)])  # with an option
    reply = header + b"\0" + request[1:]
    assert is_echo_reply(reply, 0x1234)
    assert not is_echo_reply(reply, 0x1235)
    assert not is_echo_reply(header + request, 0x1234)  # our own, of another host's loop
    for size in range(len(header) + 8):
        assert not is_echo_reply(reply[:size], 0x1234)


def test_routers_are_asked_once_each() -> None:
    everywhere = ipaddress.ip_network("0.0.0.0/0")
    router = ipaddress.ip_address("10.0.2.2")
    routes = (Route(everywhere, router), Route(ipaddress.ip_network("10.1.0.0/16"), router))
    other = (Route(ipaddress.ip_network("::/0"), ipaddress.ip_address("fe80::1")),)
    leases = (Lease("DHCP", (), routes=routes), Lease("router", (), routes=other))
    assert gateways(leases) == ["10.0.2.2"]


def test_the_first_processor_speaks_for_all(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("vendor_id\t: A\nmodel name\t: One\nbogomips\t: 1\n\nvendor_id\t: B\n")
    assert read_cpu(str(file)) == {"vendor_id": "A", "model_name": "One"}


def test_every_number_of_a_load_option_is_one() -> None:
    assert all(
        map(is_load_option, ("Boot0000", "Boot2001", "BootFFFF", "Driver0001", "SysPrep00AB"))
    )
    assert not any(
        map(is_load_option, ("BootOrder", "Boot001", "Boot00ab", "Next0001", "0001", ""))
    )


def test_room_for_variables_is_told_where_linux_knows_it(tmp_path: Path) -> None:
    assert nvram_room("/proc") == {"known": False}  # As efivarfs before Linux 6.6.
    found = nvram_room(str(tmp_path))
    assert found["known"] and isinstance(found["bytes"], int) and isinstance(found["left"], int)
    assert 0 < found["left"] <= found["bytes"]


@pytest.mark.parametrize("name", ["google-cos-85", "google-workstation", "ovmf-2022.11"])
def test_a_log_explains_the_registers_of_its_boot_and_no_others(name: str) -> None:
    log = parse_event_log((LOGS / f"{name}.bin").read_bytes())
    registers = json.loads((LOGS / f"{name}.pcrs.json").read_text())
    assert unexplained(log, registers) == unexplained(log, None) == []
    bank = next(iter(registers))
    registers[bank]["4"] = "ab" * (len(registers[bank]["4"]) // 2)
    assert unexplained(log, registers) == [f"PCR 4 {bank}"]


def test_all_guids_of_a_partition_table_are_found() -> None:
    disk, one, two = (bytes([number]) * 16 for number in (1, 2, 3))
    head = bytes(56) + disk + bytes(20) + struct.pack("<Q", 2)
    entries = b"".join(bytes(16) + guid + bytes(96) for guid in (one, two))
    assert list(gpt_guids(head + entries)) == [disk, one, two]
    assert list(gpt_guids(head + entries[:-1])) == [disk, one]


def test_what_differs_is_told_by_range_and_kind() -> None:
    reply = abi.pack("struct pk_ram_reply", watched=8192, nr_pieces=2, nr_changed=1, kinds=3)
    ranges = struct.pack("<QQII", 0x1000, 0x1000, 6, 0)
    found = decode_ram(reply + ranges)
    assert found.kinds == RamKind.RUNTIME | RamKind.ACPI and found.watched == 8192
    ((place, name),) = found.changed
    assert (str(place), name) == ("[0x1000, 0x2000)", "runtime services data")
    for wrong in (reply, reply + ranges[:-1], reply + ranges + ranges, reply[:-1]):
        with pytest.raises(FirmwareError, match="bad answer: offset "):
            decode_ram(wrong)


class Tables(Mailbox):
    """A firmware with these tables, of which an answer has at most size bytes."""

    def __init__(self, tables: list[bytes], size: int) -> None:
        self._tables, self._size = tables, size

    def ask(self, request: Request) -> bytes:
        asked = abi.unpack("struct pk_acpi_request", request.body)
        table = self._tables[asked.index] if asked.index < len(self._tables) else b""
        head = abi.pack("struct pk_acpi_reply", nr_tables=len(self._tables), size=len(table))
        return head + table[asked.offset :][: self._size]


def test_a_table_that_comes_in_pieces_is_whole() -> None:
    tables = [b"APIC" + bytes(1000), b"HPET" + bytes(50)]
    assert read_acpi_tables(Tables(tables, 100)) == tables
    assert read_acpi_tables(Tables([], 100)) == []
    with pytest.raises(FirmwareError, match="table 0 ended at 0 of 1004 bytes"):
        read_acpi_tables(Tables(tables, 0))


def with_tables(first: int, last: int) -> Bench:
    """A machine whose PCI segment 7 has these buses, and a table behind that one."""
    mcfg = b"MCFG" + (60).to_bytes(4, "little") + bytes(36)
    mcfg += struct.pack("<QHBB4x", 0x80000000, 7, first, last)
    hpet = b"HPET" + (56).to_bytes(4, "little") + bytes(48)
    tables = [table[:9] + bytes([-sum(table) & 0xFF]) + table[10:] for table in (mcfg, hpet)]
    info = cast(FirmwareInfo, None)
    return Bench(Tables(tables, 100), info, Settings(round_trips=0), Disguise(b"salt"), print)


def test_pci_segments_are_told() -> None:
    assert acpi(with_tables(0, 255))["pci"] == ["segment 7, buses 00-ff"]


def test_a_table_that_makes_no_sense_loses_no_other() -> None:
    with pytest.raises(StepError, match="contents: MCFG: offset 44: buses 09-08 at") as error:
        acpi(with_tables(9, 8))
    assert (error.value.facts["pci"], error.value.facts["count"]) == ([], 2)
