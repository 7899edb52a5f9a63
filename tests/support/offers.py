# SPDX-License-Identifier: Apache-2.0
"""What a simulated machine shows when it has no network, and how it opens what is typed then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from pykexec.attest import protocol
from pykexec.attest.break_glass import Offer, parse_offer, split_signature, statement_for
from pykexec.tpm.constants import Attribute
from pykexec.verify.keys import point_of
from tests.support import attest_tpm
from tests.support.attest_machine import PAYLOAD, Machine
from tests.support.attest_tpm import Attest


def real_ak(machine: Machine) -> Machine:
    """The machine with an AK by our own template: an offer says no more of it than its point."""
    machine.ak_public = attest_tpm.ak_public(machine.ak, attest_tpm.AK_ATTRIBUTES | Attribute.NO_DA)
    return machine


def _same(attest: Attest) -> Attest:
    return attest


def offer(
    machine: Machine,
    *,
    payload: Mapping[str, str] = PAYLOAD,
    change: Callable[[Attest], Attest] = _same,
) -> Offer:
    """With a new ephemeral key; change spoils the quote before it is signed."""
    machine.ephemeral = ec.generate_private_key(ec.SECP256R1())
    key = point_of(machine.ephemeral.public_key())
    statement = statement_for(key, machine.facts, payload)
    quote = change(machine.attest(statement, "sha256", protocol.QUOTED_PCRS)).encode()
    signature = split_signature(attest_tpm.sign(machine.ak, quote))
    shown = Offer(point_of(machine.ak.public_key()), key, quote, signature)
    assert parse_offer(shown.encode()) == shown
    return shown
