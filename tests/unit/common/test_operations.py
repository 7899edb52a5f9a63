# SPDX-License-Identifier: Apache-2.0
"""The table of operations, line by line: who may bring what, how short; what the lock closes."""

from __future__ import annotations

import pytest

from pykexec._native import ffi, lib
from pykexec.abi import Op, pack, sizeof
from pykexec.abi_operations import OPERATIONS, Carrier, Lock, Operation, Timers

SUCCESS, INVALID_PARAMETER, UNSUPPORTED, ACCESS_DENIED = 0, 2, 3, 15
ERROR = 1 << 63
UNKNOWN = sorted({*range(1, 256), 0, 0xFFFF} - {*Op})
# By the table, and once more: whoever opens another door for images says so here too.
CLOSED = {Op.PAYLOAD_DATA: Lock.CLOSED, Op.IMAGE_START: Lock.CLOSED, Op.PAYLOAD_STAGE: Lock.KEXEC}

WAYS = [(line, carrier) for line in OPERATIONS for carrier in Carrier]
BROUGHT = [(line, carrier) for line, carrier in WAYS if carrier in line.carriers]


def named(value: Operation | Carrier) -> str:
    """For a test's name."""
    return value.op.name if isinstance(value, Operation) else str(value.name)


def admit(line: Operation, carrier: Carrier, body: bytes, locked: bool = False) -> int:
    """The status, without the bit that says error."""
    found = lib.pk_operation_find(line.op, carrier)
    status = lib.pk_operation_admit(found, carrier, locked, ffi.from_buffer(body), len(body))
    return int(status) & ~ERROR


def test_every_number_is_in_the_table_and_none_twice_for_a_carrier() -> None:
    assert {line.op for line in OPERATIONS} == set(Op)
    for carrier in Carrier:
        numbers = [line.op for line in OPERATIONS if carrier in line.carriers]
        assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(("line", "carrier"), WAYS, ids=named)
def test_a_line_is_found_by_its_carriers_alone(line: Operation, carrier: Carrier) -> None:
    found = lib.pk_operation_find(line.op, carrier)
    carried = {carrier for each in OPERATIONS if each.op == line.op for carrier in each.carriers}
    if carrier in line.carriers:
        assert (found.number, found.carriers, found.smallest) == (
            line.op,
            line.carriers,
            line.smallest,
        )
    elif carrier not in carried:
        assert found == ffi.NULL
        assert admit(line, carrier, bytes(4096)) == UNSUPPORTED
    else:
        assert found.carriers != line.carriers


@pytest.mark.parametrize("carrier", list(Carrier), ids=named)
def test_a_number_without_a_line_is_unsupported(carrier: Carrier) -> None:
    for number in UNKNOWN:
        found = lib.pk_operation_find(number, carrier)
        assert found == ffi.NULL
        for locked in (False, True):
            status = lib.pk_operation_admit(found, carrier, locked, ffi.NULL, 0)
            assert int(status) & ~ERROR == UNSUPPORTED


@pytest.mark.parametrize(("line", "carrier"), BROUGHT, ids=named)
def test_a_body_has_at_least_what_the_handler_relies_on(line: Operation, carrier: Carrier) -> None:
    assert admit(line, carrier, bytes(line.smallest)) == SUCCESS
    assert admit(line, carrier, bytes(line.smallest + 1)) == SUCCESS
    for size in range(line.smallest):
        assert admit(line, carrier, bytes(size)) == INVALID_PARAMETER


@pytest.mark.parametrize(("line", "carrier"), BROUGHT, ids=named)
def test_the_lock_closes_images_to_all_but_the_kernel(line: Operation, carrier: Carrier) -> None:
    closed = line.op in CLOSED and carrier is not Carrier.NATIVE
    of_its_own = b"\xff" * max(line.smallest, 1)
    assert admit(line, carrier, of_its_own, locked=True) == (ACCESS_DENIED if closed else SUCCESS)
    assert admit(line, carrier, of_its_own, locked=False) == SUCCESS
    assert line.lock == CLOSED.get(line.op, Lock.OPEN)


def test_the_lock_lets_kexec_be_staged_and_comes_before_the_size() -> None:
    lines = {line.op: line for line in OPERATIONS if line.op in CLOSED}
    kexec = pack("struct pk_payload_request", token=1)
    leave = pack("struct pk_payload_request", token=1, payload_size=1)
    stage = lines[Op.PAYLOAD_STAGE]
    assert admit(stage, Carrier.MAILBOX, kexec, locked=True) == SUCCESS
    assert admit(stage, Carrier.MAILBOX, leave, locked=True) == ACCESS_DENIED
    assert admit(stage, Carrier.NATIVE, leave, locked=True) == SUCCESS
    assert admit(stage, Carrier.MAILBOX, leave[:-1], locked=True) == INVALID_PARAMETER
    assert admit(lines[Op.PAYLOAD_DATA], Carrier.MAILBOX, b"", locked=True) == ACCESS_DENIED


def test_descriptors_are_whole_and_come_by_all_three_ways() -> None:
    ways = Carrier.NATIVE | Carrier.WINDOW | Carrier.TRANSFER
    for line in OPERATIONS:
        by_descriptor = lib.pk_operation_takes_descriptors(
            lib.pk_operation_find(line.op, line.carriers & -line.carriers)
        )
        assert by_descriptor == bool(line.carriers & (Carrier.WINDOW | Carrier.TRANSFER))
        if by_descriptor:
            assert (line.carriers, line.smallest) == (ways, sizeof("struct pk_descriptor"))


def test_only_what_is_written_comes_back_in_no_answer() -> None:
    (line,) = (line for line in OPERATIONS if line.only_read)
    assert line.op is Op.BLOCK_WRITE and Carrier.TRANSFER in line.carriers


def test_what_depends_on_a_handle_names_one() -> None:
    named = {sizeof("struct pk_handle_request"), sizeof("struct pk_descriptor")}
    assert {line.smallest for line in OPERATIONS if line.timers is Timers.HANDLE} == named


def test_who_ends_linux_or_brings_a_descriptor_is_no_kernel() -> None:
    """Its answer would be read by a Linux that is gone; TRANSFER is what a native call is."""
    by = {line.op: line.carriers for line in OPERATIONS}
    assert (by[Op.LEAVE], by[Op.TRANSFER]) == (Carrier.MAILBOX, Carrier.MAILBOX)
    assert by[Op.IMAGE_LOCK] is Carrier.NATIVE
