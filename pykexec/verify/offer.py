# SPDX-License-Identifier: Apache-2.0
"""Judging what a machine without a network offers, by what was accepted of it last.

There is no log and no challenge. The registers have to be those that were accepted, to the bit, so
that the log of then explains them; the statement has to be what was accepted, its key and nonce
aside; the AK is one that an opened credential has shown to be in the TPM with the machine's EK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pykexec.attest.break_glass import Offer, join_signature, statement_for
from pykexec.attest.protocol import QUOTED_PCRS, qualifying_data
from pykexec.attest.verdict import Verdict
from pykexec.tpm.constants import Curve
from pykexec.tpm.public import EccKey
from pykexec.tpm.templates import AK_TEMPLATE
from pykexec.tpm.wire import WireError
from pykexec.verify.keys import check_ak
from pykexec.verify.quote import check_pcrs, check_quote, check_signature, parse_quote
from pykexec.verify.report import Report
from pykexec.verify.verify import Counters, check_counters, tpm_claims

_KEPT = ("machine", "payload")


@dataclass(frozen=True, slots=True)
class JudgedOffer:
    """claims are those of then, with what this quote says of the TPM; statement is what it should
    be over. signed: the machine's TPM has signed the quote; counters are None unless it has for
    this statement.
    """

    verdict: Verdict
    statement: bytes
    claims: dict[str, object]
    signed: bool
    counters: Counters | None


def ak_area(offer: Offer) -> bytes:
    """TPMT_PUBLIC of the offer's AK: what our template makes has no other."""
    return replace(AK_TEMPLATE, key=EccKey(Curve.P256, *offer.ak)).encode()


def judge_offer(offer: Offer, accepted: Mapping[str, object], last: Counters | None) -> JudgedOffer:
    """accepted are the claims of the machine's last accepted attestation, last its counters."""
    signer, about, report = Report(), Report(), Report()
    machine, payload = (_texts(accepted, key) for key in _KEPT)
    statement = statement_for(offer.key, machine, payload)
    ak, faults = check_ak(ak_area(offer))
    signer.extend(faults)
    if ak is not None:
        check_signature(ak, offer.quote, join_signature(offer.signature), signer)
    try:
        quote = parse_quote(offer.quote)
    except WireError as error:
        signer.refuse("quote.format", str(error))
        quote = None
    report.extend(signer.verdict.findings)
    if quote is None:
        return JudgedOffer(report.verdict, statement, {}, False, None)
    check_quote(quote, ak, qualifying_data(statement), about)
    report.extend(about.verdict.findings)
    registers = {int(n): bytes.fromhex(value) for n, value in _texts(accepted, "pcrs").items()}
    check_pcrs(quote, str(accepted.get("bank")), QUOTED_PCRS, registers, report)
    counters = check_counters(quote, last, report)
    claims = {**accepted, "tpm": tpm_claims(quote)}
    signed = signer.verdict.accepted
    genuine = counters if signed and about.verdict.accepted else None
    return JudgedOffer(report.verdict, statement, claims, signed, genuine)


def _texts(claims: Mapping[str, object], key: str) -> dict[str, str]:
    found = claims.get(key)
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
