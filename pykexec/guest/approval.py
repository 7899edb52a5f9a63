# SPDX-License-Identifier: Apache-2.0
"""What the console shows while a person has to approve: a QR code, and the code to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pykexec.log import printable

if TYPE_CHECKING:
    from pykexec.attest.protocol import Pending

MARGIN = 4
"""Light modules around the symbol (ISO/IEC 18004, 6.3.8)."""
_COLUMNS = 80
# Of two modules, one above the other, which are light: consoles write light on dark.
_BLOCKS = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584"}
_BOTH = "\u2588"


def pending_lines(pending: Pending, stated: str) -> Iterator[str]:
    """All that a person needs; stated is what the machine says of itself."""
    if pending.qr and len(pending.qr) + 2 * MARGIN <= _COLUMNS:
        yield from half_blocks(pending.qr)
    yield f"machine:  {printable(pending.machine) or printable(stated)}"
    yield f"open      {printable(pending.address.rpartition('/')[0])}, or scan"
    yield f"and type  {printable(pending.code)}   within {pending.expires_s // 60 or 1} min"


def half_blocks(rows: Sequence[str]) -> Iterator[str]:
    """A QR code, "1" dark, as lines of half blocks; light is what the console draws."""
    size = len(rows) + 2 * MARGIN
    side, edge = "0" * MARGIN, ["0" * size] * MARGIN
    framed = [*edge, *(f"{side}{row}{side}" for row in rows), *edge]
    if size % 2:
        framed.append("1" * size)  # Below it the console is dark.
    for upper, lower in zip(framed[::2], framed[1::2], strict=True):
        pairs = zip(upper, lower, strict=True)
        yield "".join(_BLOCKS.get((a == "0", b == "0"), _BOTH) for a, b in pairs)
