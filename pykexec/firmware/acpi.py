# SPDX-License-Identifier: Apache-2.0
"""The firmware's ACPI tables. Linux runs by others, which the stub makes for it."""

from __future__ import annotations

import errno

from pykexec.abi import Op
from pykexec.errors import FirmwareError
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import pack, struct_size, unpack

_WHAT = "ACPI tables"


def read_acpi_tables(mailbox: Mailbox) -> list[bytes]:
    """All that the XSDT names, whole; FirmwareError (ENOENT) where there is none."""
    tables: list[bytes] = []
    while True:
        number, table = _table(mailbox, len(tables))
        if len(tables) >= number:
            return tables
        tables.append(table)


def _table(mailbox: Mailbox, index: int) -> tuple[int, bytes]:
    """How many tables there are, and the bytes of this one."""
    data = b""
    while True:
        body = pack("pk_acpi_request", index=index, offset=len(data))
        answer = mailbox.ask(Request(Op.ACPI_TABLE, _WHAT, body))
        reply = unpack("pk_acpi_reply", answer, 0, _WHAT)
        chunk = answer[struct_size("pk_acpi_reply") :]
        data += chunk
        if len(data) == reply.size:
            return reply.nr_tables, data
        if not chunk or len(data) > reply.size:
            fault = f"table {index} ended at {len(data)} of {reply.size} bytes"
            raise FirmwareError(errno.EIO, fault, _WHAT)
