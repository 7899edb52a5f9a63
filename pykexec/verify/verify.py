# SPDX-License-Identifier: Apache-2.0
"""From the bytes of evidence to a verdict and to claims that a policy can judge.

What verify() shows: a key with the properties of an AK has signed, for this statement and so for
this nonce, that the registers had these values; the log explains them; the EK is one that the
verifier trusts. That EK and AK are in one TPM is shown by nothing in the evidence: it follows from
the proof of the attestation request (see pykexec.attest.protocol.proof_of), which only who had the
credential opened by that TPM can make. Who calls verify() on his own must know that.

Hostile evidence gives findings, never an exception. Nothing is read or written but what is passed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from pykexec.attest.decode import parse_statement
from pykexec.attest.fields import ProtocolError
from pykexec.attest.protocol import (
    QUOTED_PCRS,
    RELEASE_PCR,
    Evidence,
    Statement,
    qualifying_data,
)
from pykexec.attest.verdict import Verdict
from pykexec.log import printable
from pykexec.tpm.wire import WireError
from pykexec.verify.chain import ek_roots
from pykexec.verify.ek import VerifiedEk, judge_ek
from pykexec.verify.keys import Ak, check_ak
from pykexec.verify.log import check_firmware_pcrs
from pykexec.verify.quote import (
    Quote,
    check_pcrs,
    check_quote,
    check_signature,
    parse_quote,
)
from pykexec.verify.report import Report
from pykexec.verify.told import told_by


@dataclass(frozen=True, slots=True)
class Counters:
    """The TPM's at an attestation (TPMS_CLOCK_INFO, Part 2, 10.11.1); to be kept by machine."""

    clock_ms: int
    reset_count: int
    restart_count: int

    @property
    def boot(self) -> tuple[int, int]:
        """Which boot it is: later ones are greater, unless the TPM was cleared."""
        return self.reset_count, self.restart_count

    @property
    def age(self) -> tuple[int, int, int]:
        """The same to the millisecond."""
        return *self.boot, self.clock_ms


@dataclass(frozen=True, slots=True)
class Expected:
    """What the evidence must be for.

    nonce None: evidence from a file, which nobody asked for just now. ek_roots (DER) vouch for EKs;
    enrolled: this very EK is known, and needs no certificate. now is aware; last are the counters
    of the machine's attestation before this one.
    """

    now: datetime
    nonce: bytes | None = None
    bank: str = "sha256"
    pcrs: tuple[int, ...] = QUOTED_PCRS
    ek_roots: tuple[bytes, ...] = ()
    enrolled: bool = False
    last: Counters | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """The verdict, claims (JSON-able; of refused evidence for people alone), and what else there
    is: the statement, the counters of a quote that is genuine, the EK as far as it is proven.
    """

    verdict: Verdict
    claims: dict[str, object]
    statement: Statement | None = None
    counters: Counters | None = None
    ek: VerifiedEk | None = None


def verify(evidence: Evidence, expected: Expected) -> Verified:
    """Check everything that can be checked of evidence by itself; see above for what cannot."""
    signed, report = Report(), Report()
    statement = _check_statement(evidence.statement, expected.nonce, signed)
    ak, faults = check_ak(evidence.identity.ak_public)
    signed.extend(faults)
    report.extend(signed.verdict.findings)
    roots = ek_roots(expected.ek_roots)
    ek, ek_claims = judge_ek(evidence.identity, roots, expected.now, expected.enrolled, report)
    quote = _check_quote(evidence, ak, expected, signed, report)
    check_firmware_pcrs(expected.bank, evidence.pcrs, report)
    # Only what was asked for is looked at, or a log of anything would be proven by anything.
    wanted = {n: value for n, value in evidence.pcrs.items() if n in expected.pcrs}
    told = told_by(evidence.event_log, expected.bank, wanted)
    report.extend(told.findings)
    if evidence.log_full:
        # Nobody vouches for that, and it excuses nothing: registers need their events all the same.
        report.note("log.full", "the firmware's log was full, says the machine: it lacks events")
    counters = None if quote is None else check_counters(quote, expected.last, report)
    report.extend(told.notes)
    claims: dict[str, object] = {
        "ek": ek_claims,
        "bank": expected.bank,
        "pcrs": {str(number): value.hex() for number, value in sorted(wanted.items())},
        **told.claims,
        "released": _is_released(wanted, expected.bank),
    }
    if ak is not None:
        claims["ak"] = {"name": ak.name.hex()}
    if quote is not None:
        claims["tpm"] = tpm_claims(quote)
    if statement is not None:
        claims["machine"], claims["payload"] = dict(statement.machine), dict(statement.payload)
        if statement.installed:
            claims["installed"] = dict(statement.installed)
        if failed := statement.installed.get("failed"):
            why = printable(f"{failed}: {statement.installed.get('reason', '')}")
            report.note("update.failed", f"the machine says that it gave an update up: {why}")
    # Of a quote that this TPM did not sign for this nonce the counters are anybody's.
    genuine = counters if signed.verdict.accepted else None
    return Verified(report.verdict, claims, statement, genuine, ek)


def _check_statement(data: bytes, nonce: bytes | None, report: Report) -> Statement | None:
    try:
        statement = parse_statement(data)
    except ProtocolError as error:
        report.refuse("statement.format", str(error))
        return None
    if nonce is not None and statement.nonce != nonce:
        report.refuse("quote.nonce", "the statement is for another nonce: old, or of another")
    return statement


def _check_quote(
    evidence: Evidence, ak: Ak | None, expected: Expected, signed: Report, report: Report
) -> Quote | None:
    """The quote; signed is told, too, what is wrong with who has signed, and for what."""
    own = Report()
    if evidence.bank != expected.bank:
        text = f"values are of the bank {evidence.bank}, asked for was {expected.bank}"
        report.refuse("pcr.bank", text)
    if ak is not None:
        check_signature(ak, evidence.quote, evidence.signature, own)
    try:
        quote: Quote | None = parse_quote(evidence.quote)
    except WireError as error:
        own.refuse("quote.format", str(error))
        quote = None
    if quote is not None:
        check_quote(quote, ak, qualifying_data(evidence.statement), own)
    signed.extend(own.verdict.findings)
    report.extend(own.verdict.findings)
    if quote is not None:
        check_pcrs(quote, expected.bank, expected.pcrs, evidence.pcrs, report)
    return quote


def check_counters(quote: Quote, last: Counters | None, report: Report) -> Counters:
    """Those of the quote; neither starts nor time are undone since last: TPM2_Clear does so, and an
    operator has to know of it.
    """
    now = Counters(quote.clock_ms, quote.reset_count, quote.restart_count)
    if last is not None:
        if now.reset_count < last.reset_count:
            text = f"the TPM was reset {now.reset_count} times, {last.reset_count} at the last"
            report.refuse("counters.reset", f"{text} attestation: cleared, or an old quote")
        elif now.reset_count == last.reset_count:
            # Both begin anew with a reset (Part 1, 36.3).
            if now.restart_count < last.restart_count:
                text = f"resumed {now.restart_count} times in this boot, {last.restart_count} at"
                report.refuse("counters.restart", f"the TPM was {text} the last attestation")
            if now.clock_ms < last.clock_ms:
                text = f"the TPM's clock is {now.clock_ms} ms, {last.clock_ms} ms at the last"
                report.refuse("counters.clock", f"{text} attestation of this boot")
    if not quote.safe:
        report.note("clock.safe", "the TPM lost power unprepared: its clock may have gone back")
    return now


def _is_released(pcrs: dict[int, bytes], bank: str) -> bool:
    """Taken to be so unless the register shows that it is not."""
    return pcrs.get(RELEASE_PCR) != bytes(hashlib.new(bank).digest_size)


def tpm_claims(quote: Quote) -> dict[str, object]:
    """What a quote says of its TPM."""
    return {
        "firmware_version": quote.firmware_version,
        "clock_ms": quote.clock_ms,
        "reset_count": quote.reset_count,
        "restart_count": quote.restart_count,
        "safe": quote.safe,
    }
