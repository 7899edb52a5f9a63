# SPDX-License-Identifier: Apache-2.0
"""Python's names of the ABI: complete, and structs survive the way there and back."""

from __future__ import annotations

import re
from enum import IntEnum, IntFlag

import pytest

from pykexec import _build, abi, abi_devices, abi_operations
from pykexec._native import ffi
from pykexec.errors import FormatError

ENUMS: dict[str, type[IntEnum] | type[IntFlag]] = {
    "pk_limits": abi.Limit,
    "pk_component": abi.Component,
    "pk_stage": abi.Stage,
    "pk_handoff_constants": abi.HandoffConstant,
    "pk_action": abi.Action,
    "pk_mailbox_constants": abi.MailboxConstant,
    "pk_last_end_constants": abi.LastEndConstant,
    "pk_op": abi.Op,
    "pk_request_flags": abi.RequestFlag,
    "pk_info_flags": abi.InfoFlag,
    "pk_accident_kind": abi.AccidentKind,
    "pk_memory_map_kind": abi.MemoryMapKind,
    "pk_ram_action": abi_devices.RamAction,
    "pk_ram_kinds": abi_devices.RamKind,
    "pk_state_flags": abi.StateFlag,
    "pk_block_flags": abi.BlockFlag,
    "pk_tpm_banks": abi.TpmBank,
    "pk_window_constants": abi_devices.WindowConstant,
    "pk_window_use": abi_devices.WindowUse,
    "pk_net_constants": abi_devices.NetConstant,
    "pk_pxe_flags": abi_devices.PxeFlag,
    "pk_ublk_state": abi_devices.UblkState,
    "pk_nbd_end": abi_devices.NbdEnd,
    "pk_ramdisk_flags": abi_devices.RamdiskFlag,
    "pk_tpm_event_constants": abi_devices.TpmEventConstant,
    "pk_console_flags": abi_devices.ConsoleFlag,
    "pk_console_limits": abi_devices.ConsoleLimit,
    "pk_text_flags": abi_devices.TextFlag,
    "pk_carrier": abi_operations.Carrier,
    "pk_timers": abi_operations.Timers,
    "pk_lock": abi_operations.Lock,
    "efi_memory_type": abi.MemoryType,
    "pk_handoff_fault": abi.HandoffFault,
    "pk_pe_fault": abi.PeFault,
    "pk_bzimage_fault": abi.BzimageFault,
    "pk_pte_bits": abi.PteBit,
}
# Node types stay in efi/device_path.py, which knows their bodies too.
NOT_IN_ABI = {"efi_device_path_type", "efi_device_path_subtype", "pk_acpi_space"}


def test_every_enum_of_the_headers_has_a_class() -> None:
    named = set(re.findall(r"\benum (\w+)\s*\{", _build.declarations()))
    assert named == ENUMS.keys() | NOT_IN_ABI


@pytest.mark.parametrize("name", ENUMS)
def test_every_enumerator_is_a_member(name: str) -> None:
    by_value = sorted(
        (value, c_name) for c_name, value in ffi.typeof(f"enum {name}").relements.items()
    )
    members = sorted((int(member), word) for word, member in ENUMS[name].__members__.items())
    assert [value for value, _ in members] == [value for value, _ in by_value]
    suffixes = [
        c_name[-len(word) - 1 :] for (_, c_name), (_, word) in zip(by_value, members, strict=True)
    ]
    assert suffixes == [f"_{word}" for _, word in members]


def test_a_struct_survives_the_way_there_and_back() -> None:
    data = abi.pack(
        "struct pk_info",
        flags=abi.InfoFlag.TPM | abi.InfoFlag.SHELL,
        tsc_khz=1 << 40,
        outcome={"nr_runs": 3, "action": abi.Action.RESET},
        vendor=[*b"EDK II"],
    )
    info = abi.unpack("struct pk_info", b"before" + data, 6)
    assert len(data) == abi.sizeof("struct pk_info")
    assert (info.flags, info.tsc_khz, info.uefi_revision) == (10, 1 << 40, 0)
    assert (info.outcome.nr_runs, info.outcome.action) == (3, abi.Action.RESET)
    assert (abi.text(info.vendor), abi.text(info.image_path)) == ("EDK II", "")


def test_arrays_of_bytes_are_bytes_and_arrays_of_structs_are_tuples() -> None:
    entry = {"component": abi.Component.RESUME, "stage": abi.Stage.HANDOFF}
    handoff = abi.unpack("struct pk_handoff", abi.pack("struct pk_handoff", trace=[entry]))
    assert handoff.cpu.gdtr == bytes(16)
    assert len(handoff.trace) == abi.Limit.TRACE_MAX
    assert handoff.trace[0].stage == abi.Stage.HANDOFF


def test_structs_compare_by_value_and_cannot_change() -> None:
    one, other = (abi.unpack("struct pk_range", bytes([n]) + bytes(15)) for n in (1, 2))
    assert one == abi.unpack("struct pk_range", b"\x01" + bytes(15))
    assert one != other
    assert repr(one) == "<struct pk_range start=1, size=0>"
    with pytest.raises(AttributeError, match="immutable"):
        one.start = 2
    with pytest.raises(AttributeError, match="no member end"):
        _ = one.end


@pytest.mark.parametrize(("size", "offset"), [(0, 0), (15, 0), (16, 1), (16, -1), (16, 17)])
def test_a_struct_that_is_cut_off_is_refused(size: int, offset: int) -> None:
    with pytest.raises(FormatError, match="struct pk_range at offset"):
        abi.unpack("struct pk_range", bytes(size), offset)


def test_pack_refuses_what_does_not_fit() -> None:
    with pytest.raises(KeyError):
        abi.pack("struct pk_range", end=1)
    with pytest.raises(OverflowError):
        abi.pack("struct pk_range", start=1 << 64)


def test_text_ends_at_the_terminator_or_the_end() -> None:
    assert [abi.text(units) for units in ((), (0, 65), (65, 0xFC), (0xD800, 0))] == [
        "",
        "",
        "A\u00fc",
        "\ufffd",
    ]
