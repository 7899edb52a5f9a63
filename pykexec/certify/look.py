# SPDX-License-Identifier: Apache-2.0
"""Steps that only look: the firmware itself, its memory, tables, devices, variables."""

from __future__ import annotations

import os

from pykexec.certify.blob import pack_blob
from pykexec.certify.identity import NAMES, SERIALS, learn_path, read_dmi
from pykexec.certify.plan import Bench, Facts, StepError
from pykexec.efi.guid import named_guids
from pykexec.errors import FormatError

_CPUINFO = "/proc/cpuinfo"
_CPU_FIELDS = ("vendor_id", "cpu family", "model", "stepping", "model name", "microcode", "flags")
_BOOT_VARIABLE_MAX = 16384
"""Bytes: what is larger is no boot entry."""
_HARDWARE = (
    "APIC", "BGRT", "DMAR", "FACP", "HPET", "IVRS", "MCFG", "NFIT", "SPCR", "SRAT", "SLIT", "TPM2",
    "UEFI", "WAET", "WDAT", "WDRT",
)  # fmt: skip
_PRIVATE = ("MSDM", "SLIC")
"""Of whose digest one could tell a licence's key."""
_OEM = ((10, 16), (16, 24))
_TABLE_MAX = 65536
_OPTIONS = ("Boot", "Driver", "SysPrep")
DATABASES = ("PK", "KEK", "db", "dbx", "MokListRT", "dbDefault", "dbxDefault")
_SMALL = (
    "BootOrder", "BootCurrent", "BootNext", "Timeout", "SecureBoot", "SetupMode", "AuditMode",
    "DeployedMode", "VendorKeys", "OsIndicationsSupported", "OsIndications", "PlatformLang",
    "ConIn", "ConOut", "ErrOut", "ConInDev", "ConOutDev", "ErrOutDev", "BootOptionSupport",
    "SignatureSupport",
)  # fmt: skip


def firmware(bench: Bench) -> Facts:
    """Who made the firmware, the mainboard and the processor."""
    from pykexec.about import version

    info = bench.info
    return {
        "vendor": info.vendor,
        "revision": info.revision,
        "uefi": info.uefi_revision,
        "secure_boot": info.secure_boot,
        "tpm": info.tpm,
        "measured": info.measured,
        "log_full": info.log_full,
        "tsc_khz": info.tsc_khz,
        "handles": info.nr_handles,
        "smbios": read_dmi((*NAMES, *SERIALS)),
        "processor": read_cpu(),
        "processors_seen": os.cpu_count() or 0,
        "linux": os.uname().release,
        "pykexec": version(),
        "configuration_tables": _tables(),
    }


def read_cpu(path: str = _CPUINFO) -> dict[str, str]:
    """Fields of the first processor in proc_cpuinfo(5)."""
    found: dict[str, str] = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            name, colon, value = line.partition(":")
            if not colon:
                break
            if name.strip() in _CPU_FIELDS:
                found[name.strip().replace(" ", "_")] = value.strip()
    return found


def _tables(path: str = "/sys/firmware/efi/systab") -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return sorted(line.partition("=")[0] for line in file if "=" in line)
    except OSError:
        return []


def memory(bench: Bench) -> Facts:
    """The whole map, rows of type, start, pages, attribute; and what it comes to."""
    from pykexec.abi import Limit
    from pykexec.firmware.handoff import read_handoff
    from pykexec.firmware.info import read_memory_map
    from pykexec.memory import format_size

    found = read_memory_map(bench.mailbox)
    handoff = read_handoff(bench.mailbox)
    rows = [
        [row.type, row.range.start, row.range.size // Limit.PAGE_SIZE, row.attribute]
        for row in found
    ]
    sizes = found.size_by_type()
    free = [row.range.size for row in found if row.type_name == "conventional memory"]
    return {
        "descriptors": len(rows),
        "sizes": {name: format_size(size) for name, size in sizes.items()},
        "largest_free": format_size(max(free, default=0)),
        "arena": str(handoff.arena),
        "window": str(handoff.window),
        "stub": str(handoff.stub),
        "arena_peak": format_size(bench.info.arena_peak),
        "map": rows,
    }


def acpi(bench: Bench) -> Facts:
    """Every table: who made it; and those whole that say what hardware there is."""
    from pykexec._native import ffi, lib
    from pykexec.certify.disguise import digest
    from pykexec.certify.mcfg import pci_segments
    from pykexec.firmware.acpi import read_acpi_tables

    rows: list[Facts] = []
    segments: list[str] = []
    wrong: list[str] = []
    for table in read_acpi_tables(bench.mailbox):
        signature = table[:4].decode("latin-1")
        row: Facts = {
            "signature": signature,
            "bytes": len(table),
            "revision": table[8] if len(table) > 8 else 0,
            "oem": [table[start:end].decode("latin-1").strip("\0 ") for start, end in _OEM],
            "sound": bool(lib.pk_acpi_table_is_sound(ffi.from_buffer(table), len(table))),
            "sha256": digest(table),
        }
        if signature in _HARDWARE and len(table) <= _TABLE_MAX:
            row["data"] = pack_blob(table, bench.disguise)
        elif signature in _PRIVATE:
            del row["sha256"]
        rows.append(row)
        if not row["sound"]:
            wrong.append(signature)
        elif signature == "MCFG":
            try:
                segments += pci_segments(table)
            except FormatError as error:
                wrong.append(str(error))
    facts: Facts = {"count": len(rows), "pci": segments, "tables": rows}
    if wrong:
        raise StepError(f"wrong length, sum or contents: {', '.join(wrong)}", facts)
    return facts


def handles(bench: Bench) -> Facts:
    """Every handle: its protocols, and its path in text and in bytes."""
    from pykexec.firmware.handles import list_handles

    rows = []
    for handle in list_handles(bench.mailbox):
        row: Facts = {"handle": handle.number, "protocols": list(handle.protocols)}
        if handle.path:
            hidden = bench.disguise.hide_bytes(bytes(handle.path))
            row |= {"kind": handle.kind, "path": str(handle.path), "path_hex": hidden.hex()}
        rows.append(row)
    return {"count": len(rows), "handles": rows}


def variables(bench: Bench) -> Facts:
    """Names and sizes of all variables; what is in those that the specification names; the room
    that is left, where this kernel can tell.
    """
    from pykexec.efi.efivarfs import EFIVARFS
    from pykexec.efi.variables import boot_options, list_variables, read_variable

    for option in boot_options().values():
        learn_path(bench.disguise, option.path)
    rows: list[Facts] = []
    faults = []
    for name in list_variables():
        if name.vendor == named_guids()["pykexec_mailbox"]:
            continue  # Ours: what is read there is the last answer.
        try:
            variable = read_variable(name)
        except OSError as error:
            faults.append(f"{name}: {error.strerror}")
            continue
        row: Facts = {
            "name": name.name,
            "vendor": str(name.vendor),
            "attributes": variable.attributes,
            "size": len(variable.data),
        }
        is_global = name.vendor == named_guids()["global_variable"]
        if _is_told(name.name, is_global) and len(variable.data) <= _BOOT_VARIABLE_MAX:
            row["data"] = pack_blob(variable.data, bench.disguise)
        rows.append(row)
    facts: Facts = {"count": len(rows), "room": nvram_room(EFIVARFS), "variables": rows}
    if faults:
        raise StepError(f"{len(faults)} cannot be read: {faults[0]}", facts)
    return facts


def _is_told(name: str, is_global: bool) -> bool:
    """Is it known what is in it, and that it is nobody's secret?"""
    return name in DATABASES or (is_global and (is_load_option(name) or name in _SMALL))


def is_load_option(name: str) -> bool:
    """Is it one of Boot####, Driver####, SysPrep#### (UEFI 2.10, 3.3)?"""
    prefix, digits = name[:-4], name[-4:]
    return prefix in _OPTIONS and len(digits) == 4 and set(digits) <= set("0123456789ABCDEF")


def nvram_room(root: str) -> Facts:
    """Bytes for variables, in all and left: QueryVariableInfo() by statfs(2), since Linux 6.6."""
    found = os.statvfs(root)
    if not found.f_blocks:
        return {"known": False}
    size, left = found.f_blocks * found.f_frsize, found.f_bfree * found.f_frsize
    return {"known": True, "bytes": size, "left": left}
