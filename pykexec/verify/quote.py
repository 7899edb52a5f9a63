# SPDX-License-Identifier: Apache-2.0
"""Quotes: TPMS_ATTEST with TPMS_QUOTE_INFO, and their signature (Part 2, 10.12; Part 3, 18.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from pykexec.tpm.banks import NR_PCRS, HashAlgorithm, bank_name
from pykexec.tpm.constants import GENERATED_VALUE, Algorithm, Tag
from pykexec.tpm.wire import Reader, WireError
from pykexec.verify.keys import Ak
from pykexec.verify.report import Report

_SELECTIONS_MAX = 16
_SELECT_SIZE_MAX = 8
_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Quote:
    """What a TPM attests; selections are (bank, PCRs), in order."""

    magic: int
    type: int
    qualified_signer: bytes
    extra_data: bytes
    clock_ms: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    selections: tuple[tuple[str, tuple[int, ...]], ...]
    digest: bytes


def parse_quote(data: bytes) -> Quote:
    """Decode a TPMS_ATTEST whose contents are a TPMS_QUOTE_INFO; WireError for anything else."""
    reader = Reader(data, "quote")
    magic, type_ = reader.u32(), reader.u16()
    signer, extra = reader.sized(), reader.sized()
    clock, resets, restarts, safe = reader.u64(), reader.u32(), reader.u32(), reader.u8()
    if safe > 1:
        raise WireError(f"quote: safe is {safe}, neither yes nor no")
    firmware = reader.u64()
    selections = _selections(reader)
    digest = reader.sized()
    reader.end()
    return Quote(
        magic,
        type_,
        signer,
        extra,
        clock,
        resets,
        restarts,
        bool(safe),
        firmware,
        selections,
        digest,
    )


def _selections(reader: Reader) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """TPML_PCR_SELECTION."""
    count = reader.u32()
    if count > _SELECTIONS_MAX:
        raise WireError(f"quote: {count} selections of PCRs")
    found = []
    for _ in range(count):
        bank = bank_name(reader.u16())
        size = reader.u8()
        if size > _SELECT_SIZE_MAX:
            raise WireError(f"quote: selection of PCRs by {size} bytes")
        bits = int.from_bytes(reader.take(size), "little")
        numbers = tuple(number for number in range(bits.bit_length()) if bits >> number & 1)
        if numbers and numbers[-1] >= NR_PCRS:
            raise WireError(f"quote: there is no PCR {numbers[-1]}")
        found.append((bank, numbers))
    return tuple(found)


def check_signature(ak: Ak, quote: bytes, signature: bytes, report: Report) -> None:
    """The AK has signed the quote (TPMT_SIGNATURE, Part 2, 11.3.4)."""
    reader = Reader(signature, "signature")
    try:
        algorithm, hash_ = reader.u16(), reader.u16()
        if (algorithm, hash_) != (Algorithm.ECDSA, HashAlgorithm.SHA256):
            text = f"the quote is signed by algorithm {algorithm:#x}, hash {hash_:#x}, not by"
            report.refuse("quote.signature", f"{text} ECDSA with SHA-256")
            return
        r, s = reader.sized(), reader.sized()
        reader.end()
    except WireError as error:
        report.refuse("quote.signature", f"the quote's {error}")
        return
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    try:
        ak.key.verify(der, quote, _ECDSA_SHA256)
    except InvalidSignature:
        report.refuse("quote.signature", "the quote is not signed by the AK, or was changed since")


def check_quote(quote: Quote, ak: Ak | None, qualifying_data: bytes, report: Report) -> None:
    """It is a quote of a TPM, by the AK as a key of the endorsement hierarchy, over the data."""
    if quote.magic != GENERATED_VALUE:
        report.refuse("quote.magic", f"not made by a TPM itself: it begins with {quote.magic:#x}")
    if quote.type != Tag.ATTEST_QUOTE:
        report.refuse("quote.type", f"no quote, but an attestation of type {quote.type:#x}")
    if ak is not None and quote.qualified_signer != ak.qualified_name:
        text = "the quote's signer is not the AK as a primary key of the endorsement hierarchy"
        report.refuse("quote.signer", text)
    if quote.extra_data != qualifying_data:
        report.refuse("quote.statement", "the quote is for another statement than the one sent")


def check_pcrs(
    quote: Quote, bank: str, wanted: tuple[int, ...], pcrs: Mapping[int, bytes], report: Report
) -> None:
    """The quote is over what was asked for, and the values are those that were quoted."""
    if quote.selections != ((bank, tuple(sorted(wanted))),):
        found = "; ".join(f"{name} {_listed(numbers)}" for name, numbers in quote.selections)
        asked = f"{bank} {_listed(tuple(sorted(wanted)))}"
        text = f"PCRs are quoted that were not asked for, or others are missing: {found or 'none'}"
        report.refuse("quote.selection", f"{text}; asked for: {asked}")
    if set(pcrs) != set(wanted):
        text = f"values are sent of PCRs {_listed(tuple(sorted(pcrs)))}, not of"
        report.refuse("pcr.selection", f"{text} {_listed(tuple(sorted(wanted)))}")
    size = hashlib.new(bank).digest_size
    for number, value in sorted(pcrs.items()):
        if len(value) != size:
            report.refuse(f"pcr.size.{number}", f"PCR {number} has {len(value)} bytes, not {size}")
    # By the hash of the AK's scheme, which check_ak() has pinned (Part 3, 18.4.1).
    joined = b"".join(value for _, value in sorted(pcrs.items()))
    if hashlib.sha256(joined).digest() != quote.digest:
        report.refuse("quote.digest", "the PCRs' values are not those that were quoted")


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers)) or "none"
