# SPDX-License-Identifier: Apache-2.0
"""No server answers: the console shows what two persons carry to it, and takes what they bring.

What is typed is spent for before it is opened, as everything that is released. The ephemeral key is
made here and goes with this process, so what was answered to another boot opens nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from pykexec.attest.answer import Typed, open_answer
from pykexec.attest.break_glass import PATH, Offer, split_signature, statement_for
from pykexec.attest.opened import Release
from pykexec.attest.protocol import BANKS, QUOTED_PCRS, qualifying_data
from pykexec.attest.verdict import Finding, Verdict
from pykexec.errors import DeniedError, FormatError, TpmError
from pykexec.guest.qr import qr_code
from pykexec.guest.screen import ask, clear_matrix, say, show_matrix
from pykexec.steps import attempt
from pykexec.tpm.public import EccKey, parse_public

if TYPE_CHECKING:
    from pykexec.attest.client import Facts
    from pykexec.crypto import EcdhKey
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.tpm.client import Tpm

WRONG_MAX = 12
"""Lines with something wrong in them, until nobody is waited for any more."""
_GIVEN = Finding("break-glass", "given by hand: replace it when the network is back", False)
_WIDTH = 76


def break_glass(
    tpm: Tpm,
    facts: Facts,
    address: str,
    bank: str,
    mailbox: Mailbox,
    spend: Callable[[], None],
    patience_s: float,
) -> Release:
    """Show the offer, wait for its answer, spend the boot, open the secret. DeniedError where
    nobody types one in time, or a wrong one too often.
    """
    from pykexec.crypto import ecdh_generate

    key = ecdh_generate("P-256")
    offer, statement = make_offer(tpm, facts, bank, key)
    text = f"{address.upper()}{PATH}{offer.encode()}"
    modules = qr_code(text)
    attempt("QR code", partial(show_matrix, modules, mailbox, True), False)
    say(*offer_lines(text, offer.code, facts))
    try:
        typed = partial(ask, patience_s=patience_s)
        return open_typed(typed, spend, key, statement)
    finally:
        attempt("QR code", partial(clear_matrix, modules, mailbox), None)


def make_offer(tpm: Tpm, facts: Facts, bank: str, key: EcdhKey) -> tuple[Offer, bytes]:
    """What is shown, and the statement that it quotes; TpmError when the TPM does not play its
    part. bank "" is the one that a server would choose.
    """
    active = tpm.active_banks()
    bank = bank or next((name for name in BANKS if name in active), "")
    ak = tpm.ak()
    point = parse_public(ak.public).key
    if not bank or not isinstance(point, EccKey):
        raise TpmError("the TPM has no PCR bank, or no AK, that could be quoted")
    ephemeral = (key.x, key.y)
    statement = statement_for(ephemeral, facts.machine, facts.payload)
    quote, signature = tpm.quote(ak, qualifying_data(statement), bank, QUOTED_PCRS)
    return Offer((point.x, point.y), ephemeral, quote, split_signature(signature)), statement


def offer_lines(text: str, code: str, facts: Facts) -> Iterator[str]:
    """What is said beside the QR code; its text is for who copies it from a terminal."""
    stated = facts.machine
    name = " ".join(stated[key] for key in ("product", "serial") if key in stated)
    yield f"machine:  {name}"
    yield "no server answers. Two persons can help: each scans the code, or copies this text,"
    yield from textwrap.wrap(text, _WIDTH)
    yield f"and types {code} there. Then type the answer here."


def open_typed(
    typed: Callable[[str], str], spend: Callable[[], None], key: EcdhKey, statement: bytes
) -> Release:
    """Ask until there is an answer that opens; the boot is spent before the first is tried."""
    wrong, spent = 0, False
    while wrong < WRONG_MAX:
        data, faults = _read(typed, WRONG_MAX - wrong)
        wrong += faults
        if data is None:
            break
        if not spent:
            spend()
            spent = True
        try:
            secret = open_answer(data, key, statement)
        except FormatError:
            say("this is the answer for another machine, or another boot of this one")
            wrong += 1
            continue
        return Release(Verdict((_GIVEN,)), (secret,))
    raise DeniedError("break-glass: too many wrong answers")


def _read(typed: Callable[[str], str], wrong_max: int) -> tuple[bytes | None, int]:
    """An answer whose groups are all right, None if there is none; and how many lines were not."""
    found, wrong = Typed(), 0
    while wrong < wrong_max:
        of = f" of {found.count}" if found.count else ""
        try:
            fault = found.take(typed(f"group {found.number}{of}: "))
        except (EOFError, OSError) as error:
            raise DeniedError(f"break-glass: {error}") from None
        if fault:
            say(fault)
            wrong += 1
        elif found.is_whole:
            try:
                return found.data(), wrong
            except FormatError as error:
                say(str(error))
                found, wrong = Typed(), wrong + 1
    return None, wrong
