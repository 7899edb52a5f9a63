# SPDX-License-Identifier: Apache-2.0
"""The stub's table of operations, csrc/include/pykexec/operations.def."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from pykexec._native import lib
from pykexec.abi import Op


class Carrier(IntFlag):
    """enum pk_carrier: by which way something is asked."""

    MAILBOX = lib.PK_CARRIER_MAILBOX
    NATIVE = lib.PK_CARRIER_NATIVE
    WINDOW = lib.PK_CARRIER_WINDOW
    TRANSFER = lib.PK_CARRIER_TRANSFER


class Timers(IntEnum):
    """enum pk_timers: must the firmware's timers run meanwhile?"""

    NEVER = lib.PK_TIMERS_NEVER
    ALWAYS = lib.PK_TIMERS_ALWAYS
    HANDLE = lib.PK_TIMERS_HANDLE


class Lock(IntEnum):
    """enum pk_lock: what IMAGE_LOCK leaves of an operation for all but Linux' kernel."""

    OPEN = lib.PK_LOCK_OPEN
    CLOSED = lib.PK_LOCK_CLOSED
    KEXEC = lib.PK_LOCK_KEXEC


@dataclass(frozen=True, slots=True)
class Operation:
    """A line of the table; smallest is the bytes of a body that its handler may rely on. The data
    of a descriptor that are only_read are in no answer.
    """

    op: Op
    carriers: Carrier
    timers: Timers
    lock: Lock
    smallest: int
    only_read: bool


OPERATIONS: Final = tuple(
    Operation(
        Op(line.number),
        Carrier(line.carriers),
        Timers(line.timers),
        Lock(line.lock),
        line.smallest,
        bool(line.only_read),
    )
    for line in (lib.pk_operations[index] for index in range(lib.pk_nr_operations))
)
