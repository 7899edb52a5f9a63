# SPDX-License-Identifier: Apache-2.0
"""What the console shows while a person has to approve: a QR code, and the code to type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pykexec.guest.screen import clear_matrix, say, show_matrix
from pykexec.log import printable
from pykexec.steps import attempt

if TYPE_CHECKING:
    from pykexec.attest.protocol import Pending
    from pykexec.firmware.mailbox import Mailbox


@contextmanager
def shown(pending: Pending, stated: str, mailbox: Mailbox) -> Iterator[None]:
    """All that a person needs, as long as it is waited for; stated is what the machine says of
    itself. Where nothing can be drawn the lines are enough.
    """
    rows = [[module == "1" for module in row] for row in pending.qr]
    if rows:
        attempt("QR code", partial(show_matrix, rows, mailbox), False)
    say(*pending_lines(pending, stated))
    try:
        yield
    finally:
        if rows:
            attempt("QR code", partial(clear_matrix, rows, mailbox), None)


def pending_lines(pending: Pending, stated: str) -> Iterator[str]:
    """What is said beside the QR code."""
    yield f"machine:  {printable(pending.machine) or printable(stated)}"
    yield f"open      {printable(pending.address.rpartition('/')[0])}, or scan"
    yield f"and type  {printable(pending.code)}   within {pending.expires_s // 60 or 1} min"
