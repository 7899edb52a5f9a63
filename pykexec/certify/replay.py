# SPDX-License-Identifier: Apache-2.0
"""A report's machine without the machine: what it told is fed to the very code that ran there.

Memory map, device paths, ACPI tables and event log go through the stub's C, as part of _native, and
through our Python; variables through Python. Whatever does not come out as it should is a fault of
ours, or a machine that we must learn.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.abi import Limit, MemoryType
from pykexec.certify.blob import unpack_blob
from pykexec.certify.look import DATABASES, is_load_option
from pykexec.certify.plan import Facts
from pykexec.certify.report import Report
from pykexec.certify.trust import unexplained
from pykexec.errors import FormatError, PykexecError

if TYPE_CHECKING:
    from pykexec._native import CData

_DESCRIPTOR = struct.Struct("<IIQQQQQ")
_ARENA_SIZE = int(Limit.ARENA_DEFAULT)
_STUB_PAGES = 512
_EV_LAST_HEAD = 32


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was fed to the code: what, and what is wrong with it, "" if nothing is."""

    what: str
    fault: str
    words: str = ""


def replay(report: Report) -> list[Check]:
    """Feed all that the report has; a check for each kind of it."""
    parts: tuple[tuple[str, str, Callable[[Facts], str]], ...] = (
        ("memory", "memory map", _memory),
        ("acpi", "ACPI tables", _acpi),
        ("handles", "device paths", _paths),
        ("variables", "variables", _variables),
    )
    checks = [
        _check(what, run, result.facts)
        for step, what, run in parts
        if (result := report.result(step)) is not None and result.facts
    ]
    log = report.result("event-log")
    if log and "log" in log.facts:
        tpm = report.result("tpm")
        registers = tpm.facts.get("pcrs") if tpm else None
        facts = {**log.facts, "pcrs": registers}
        checks.append(_check("event log", _event_log, facts))
    return checks


def _check(what: str, run: Callable[[Facts], str], facts: Facts) -> Check:
    try:
        return Check(what, "", run(facts))
    except (PykexecError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        words = str(error) if isinstance(error, PykexecError) else repr(error)
        return Check(what, words)


def _rows(facts: Facts, key: str) -> list[object]:
    value = facts.get(key)
    if not isinstance(value, list):
        raise FormatError(f"{key}: not a list")
    return value


def descriptors(rows: list[object]) -> bytes:
    """A map's rows as the firmware's GetMemoryMap() would have them, 48 bytes each."""
    data = b""
    for row in rows:
        numbers = row if isinstance(row, list) and len(row) == 4 else [None]
        if not all(type(n) is int and 0 <= n < 1 << 64 for n in numbers):
            raise FormatError(f"memory map: {row!r} is no descriptor")
        kind, start, pages, attribute = numbers
        data += _DESCRIPTOR.pack(kind, 0, start, 0, pages, attribute, 0)
    return data


def _memory(facts: Facts) -> str:
    """What Linux would be shown: its arena as free memory, and no other."""
    rows = _rows(facts, "map")
    data = descriptors(rows)
    arena = _place(rows)
    if arena is None:
        raise FormatError(f"no free piece of {_ARENA_SIZE >> 20} MiB for the arena")
    view, kept = _view(arena)
    size = ffi.new("u64 *")
    step = _DESCRIPTOR.size
    out = ffi.new("u8[]", len(data) + 64 * step)
    status = lib.pk_memory_map_reduce(
        ffi.from_buffer(data), len(data), step, view, out, len(out), size
    )
    del kept
    if status:
        raise FormatError(f"memory map: pk_memory_map_reduce: status {int(status):#x}")
    shown = [_DESCRIPTOR.unpack_from(bytes(out[0 : size[0]]), at) for at in range(0, size[0], step)]
    for kind, _, start, _, pages, _, _ in shown:
        end = start + pages * Limit.PAGE_SIZE
        if kind == MemoryType.CONVENTIONAL_MEMORY and not (
            arena <= start and end <= arena + _ARENA_SIZE
        ):
            raise FormatError(f"memory map: [{start:#x}, {end:#x}) of the firmware would be free")
    return f"{len(rows)} descriptors, of which Linux is shown {len(shown)}"


def _place(rows: list[object]) -> int | None:
    """Where an arena and the stub fit, aligned as the stub does."""
    wanted = _ARENA_SIZE + _STUB_PAGES * Limit.PAGE_SIZE
    free = sorted(
        (row[2] * Limit.PAGE_SIZE, row[1])
        for row in rows
        if isinstance(row, list) and row[0] == MemoryType.CONVENTIONAL_MEMORY
    )
    if not free or free[-1][0] < wanted:
        return None
    return int(free[-1][1])


def _view(arena: int) -> tuple[CData, CData]:
    """struct pk_map_view of an arena of one free region with the stub behind it, and what it
    points to.
    """
    regions = ffi.new("struct pk_arena *")
    lib.pk_arena_init(regions)
    if not lib.pk_arena_add(regions, arena, _ARENA_SIZE // Limit.PAGE_SIZE):
        raise FormatError(f"memory map: the arena does not take {arena:#x}")
    view = ffi.new("struct pk_map_view *")
    view.arena = regions
    view.stub.start = arena + _ARENA_SIZE
    view.stub.size = _STUB_PAGES * Limit.PAGE_SIZE
    return view, regions


def _acpi(facts: Facts) -> str:
    """Headers, lengths and checksums as the stub checks them."""
    from pykexec.certify.mcfg import pci_segments

    tables = _rows(facts, "tables")
    segments: list[str] = []
    for row in tables:
        if not isinstance(row, Mapping):
            raise FormatError("tables: an entry is no object")
        if "data" not in row:
            continue
        data = unpack_blob(row["data"], str(row.get("signature")))
        if not lib.pk_acpi_table_is_sound(ffi.from_buffer(data), len(data)):
            raise FormatError(f"{row.get('signature')}: length or checksum is wrong")
        if row.get("signature") == "NFIT":
            lib.pk_nfit_has(ffi.from_buffer(data), len(data), 0, 0)
        elif row.get("signature") == "MCFG":
            segments += pci_segments(data)
    return ", PCI ".join([f"{len(tables)} tables", *segments])


def _paths(facts: Facts) -> str:
    """Each path by C and by Python, there and back."""
    from pykexec.efi.device_path import parse

    number = 0
    for row in _rows(facts, "handles"):
        text = row.get("path_hex") if isinstance(row, Mapping) else None
        if text is None:
            continue
        try:
            data = bytes.fromhex(str(text))
        except ValueError:
            raise FormatError(f"device path {text!r}: not in hex") from None
        if lib.pk_device_path_size(ffi.from_buffer(data), len(data)) != len(data):
            raise FormatError(f"device path {text}: C finds another end")
        path = parse(data)
        if bytes(path) != data:
            raise FormatError(f"device path {text}: does not come back as it was")
        if not str(path):
            raise FormatError(f"device path {text}: has no words")
        number += 1
    return f"{number} paths"


def _variables(facts: Facts) -> str:
    """Boot entries and signature databases."""
    rows = [row for row in _rows(facts, "variables") if isinstance(row, Mapping)]
    read = 0
    for row in rows:
        if "data" not in row:
            continue
        name = str(row.get("name"))
        _variable(name, unpack_blob(row["data"], name))
        read += 1
    return f"{len(rows)} variables, {read} read"


def _variable(name: str, data: bytes) -> None:
    from pykexec.efi.signature_list import parse_signature_lists
    from pykexec.efi.variables import parse_load_option

    try:
        if name in DATABASES:
            parse_signature_lists(data, name)
        elif is_load_option(name):
            str(parse_load_option(data).path)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None


def _event_log(facts: Facts) -> str:
    """Parsed by both, replayed, compared with the registers where the report has them."""
    from pykexec.tpm.event_text import describe
    from pykexec.tpm.eventlog import parse_event_log

    data = unpack_blob(facts["log"], "event log")
    log = parse_event_log(data)
    for event in log.events:
        describe(event)
    if log.events:
        last, agile = log.events[-1].offset, not _is_sha1_only(data)
        size = ffi.new("u64 *")
        if not lib.pk_event_log_size(ffi.from_buffer(data), len(data), last, agile, size):
            raise FormatError("event log: C does not find its end")
        if size[0] != len(data):
            raise FormatError(f"event log: C finds {size[0]} of {len(data)} bytes")
    if not facts.get("truncated") and (wrong := unexplained(log, facts.get("pcrs"))):
        raise FormatError(f"event log: does not explain {', '.join(wrong)}")
    return f"{len(log.events)} events, banks {', '.join(log.banks) or 'none'}"


def _is_sha1_only(data: bytes) -> bool:
    return data[_EV_LAST_HEAD:][:15] != b"Spec ID Event03"


def check_lines(checks: list[Check]) -> Iterator[str]:
    """What `certify replay` prints."""
    for check in checks:
        yield f"{check.what}: {check.fault or check.words or 'sound'}"
