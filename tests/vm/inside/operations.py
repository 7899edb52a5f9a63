# SPDX-License-Identifier: Apache-2.0
"""Asks for every operation by every way that its line of the table forbids; prints the statuses."""

import json

from pykexec._native import ffi, lib
from pykexec.abi import Op, pack, sizeof, unpack
from pykexec.bridge.window import Port, open_port
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import status_name

# The image has no module for it: nothing but tests asks for the table at run time.
OPERATIONS = [lib.pk_operations[index] for index in range(lib.pk_nr_operations)]
UNKNOWN = sorted({*range(128), 0xFFFF} - {*Op})
DATA_SIZE = 4096


def numbers_not_by(carrier: int) -> list[int]:
    """Operations that this carrier does not bring, and numbers that are none."""
    brought = {line.number for line in OPERATIONS if line.carriers & carrier}
    return [*sorted({*Op} - brought), *UNKNOWN]


def name(number: int) -> str:
    """For the host: the operation's, or the number."""
    return Op(number).name if number in {*Op} else str(number)


def by_mailbox(mailbox: Mailbox, number: int, body: bytes) -> str:
    (reply,) = mailbox.call([Request(number, name(number), body)])
    assert not reply.body
    return status_name(reply.status)


def by_transfer(mailbox: Mailbox, number: int) -> str:
    body = pack("struct pk_descriptor", op=number, size=DATA_SIZE) + bytes(DATA_SIZE)
    answer = mailbox.ask(Request(Op.TRANSFER, name(number), body))
    descriptor = unpack("struct pk_descriptor", answer)
    assert not descriptor.result
    return status_name(descriptor.status)


def by_window(port: Port, number: int) -> str:
    descriptor = ffi.new("struct pk_descriptor[1]", [{"op": number, "size": DATA_SIZE}])
    assert lib.pk_port_transfer(port.pointer, descriptor, 1) == 0
    assert not descriptor[0].result
    return status_name(descriptor[0].status)


with Mailbox() as mailbox, open_port(DATA_SIZE) as port:
    too_short = {
        f"{name(line.number)} {size}": by_mailbox(mailbox, line.number, bytes(size))
        for line in OPERATIONS
        if line.carriers & lib.PK_CARRIER_MAILBOX
        for size in {0, line.smallest // 2, line.smallest - 1}
        if 0 <= size < line.smallest
    }
    forbidden = {
        "mailbox": {
            name(each): by_mailbox(mailbox, each, bytes(sizeof("struct pk_descriptor")))
            for each in numbers_not_by(lib.PK_CARRIER_MAILBOX)
        },
        "transfer": {
            name(each): by_transfer(mailbox, each)
            for each in numbers_not_by(lib.PK_CARRIER_TRANSFER)
        },
        "window": {
            name(each): by_window(port, each) for each in numbers_not_by(lib.PK_CARRIER_WINDOW)
        },
    }
    print(json.dumps({"is_window": port.is_window, "too_short": too_short, "forbidden": forbidden}))
