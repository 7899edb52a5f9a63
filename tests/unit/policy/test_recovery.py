# SPDX-License-Identifier: Apache-2.0
"""Who will ask for BitLocker's recovery password after a change, who will not, and of whom nobody
knows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pykexec.errors import FormatError
from pykexec.policy.predict import Changes
from pykexec.policy.recovery import (
    Change,
    Known,
    Verdict,
    outlook,
    reported,
    tagged,
)
from tests.support import attest_log
from tests.support.attest_machine import Boot, Machine
from tests.unit.policy.taught import reference

MACHINE = Machine()
EVIDENCE = MACHINE.evidence()
WITHOUT_PCR7, DEFAULT = frozenset((0, 2, 4, 11)), frozenset((7, 11))
ASKS, UNKNOWN, UNAFFECTED = Verdict.ASKS, Verdict.UNKNOWN, Verdict.UNAFFECTED


def revoked(*numbers: int) -> bytes:
    found = [hashlib.sha256(f"revoked {number}".encode()).digest() for number in numbers]
    return attest_log.signature_list(attest_log.SHA256_LIST, found)


FIRMWARE = Change("firmware 2", Changes(version="2"))
DBX = Change("dbx", Changes(appended={"dbx": revoked(98, 99)}))
SAME_DBX = Change("dbx", Changes(written={"dbx": revoked(*range(Boot().dbx_hashes))}))
IMAGE = Change("image new", image=reference(Machine(boot=Boot(image=b"new")), "new"))
SAME_IMAGE = Change("image old", image=reference(MACHINE, "old"))


def told(
    pcrs: frozenset[int] | str, *changes: Change, known: Known | None = None
) -> tuple[Verdict, tuple[int, ...], tuple[str, ...]]:
    found = outlook(replace(known or Known("m", "f", EVIDENCE, pcrs), pcrs=pcrs), changes)
    return found.verdict, found.pcrs, found.why


@pytest.mark.parametrize(
    ("pcrs", "changes", "moved", "why"),
    [
        (WITHOUT_PCR7, [FIRMWARE], (0,), ("PCR 0: firmware 2",)),
        (WITHOUT_PCR7, [IMAGE], (4,), ("PCR 4: image new",)),
        (DEFAULT, [DBX], (7,), ("PCR 7: dbx",)),
        (
            WITHOUT_PCR7,
            [IMAGE, FIRMWARE, DBX],
            (0, 4),
            ("PCR 0: firmware 2", "PCR 4: image new"),
        ),
    ],
)
def test_who_is_sealed_to_what_moves_asks_and_is_told_why(
    pcrs: frozenset[int], changes: Sequence[Change], moved: tuple[int, ...], why: tuple[str, ...]
) -> None:
    assert told(pcrs, *changes) == (ASKS, moved, why)


@pytest.mark.parametrize(
    ("pcrs", "changes"),
    [
        (WITHOUT_PCR7, [DBX]),
        (DEFAULT, [IMAGE, FIRMWARE]),
        (WITHOUT_PCR7, [SAME_IMAGE]),
        (DEFAULT, [SAME_DBX]),
        (frozenset(), [IMAGE, DBX, FIRMWARE]),
        # Whatever it is sealed to: nothing moves.
        ("not told", [SAME_IMAGE, SAME_DBX]),
    ],
)
def test_who_is_not_affected_is_not_named(
    pcrs: frozenset[int] | str, changes: Sequence[Change]
) -> None:
    assert told(pcrs, *changes) == (UNAFFECTED, (), ())


def test_protectors_that_nobody_knows_make_nobody_ask() -> None:
    assert told("not told", IMAGE, DBX) == (
        UNKNOWN,
        (),
        ("not told", "PCR 4: image new", "PCR 7: dbx"),
    )


def test_a_boot_that_nobody_knows_makes_nobody_ask() -> None:
    known = Known("m", "f", "no evidence", DEFAULT)
    assert told(DEFAULT, DBX, known=known) == (UNKNOWN, (), ("no evidence",))
    assert told("not told", DBX, known=known) == (UNKNOWN, (), ("no evidence", "not told"))
    assert told(frozenset(), DBX, known=known) == (UNAFFECTED, (), ())


def test_what_cannot_be_foreseen_is_unknown_unless_another_part_moves_it_anyway() -> None:
    strange = Change("digest", Changes(digests={bytes(32): bytes(range(32))}))
    verdict, pcrs, (why,) = told(WITHOUT_PCR7, strange, DBX)
    assert (verdict, pcrs) == (UNKNOWN, ())
    assert why == f"digest: {bytes(32).hex()}: the log has no event with this sha256"
    assert told(WITHOUT_PCR7, strange, IMAGE) == (ASKS, (4,), ("PCR 4: image new",))


def test_a_log_that_does_not_explain_the_registers_foretells_nothing() -> None:
    spoilt = replace(EVIDENCE, pcrs={**EVIDENCE.pcrs, 4: bytes(32)})
    verdict, _, (why,) = told(DEFAULT, DBX, known=Known("m", "f", spoilt, DEFAULT))
    assert (verdict, why) == (UNKNOWN, "dbx: the event log does not explain PCR 4")


def test_a_register_that_is_known_from_elsewhere_moves_if_it_is_another() -> None:
    same = Change("PCR 2", Changes(pcrs={2: EVIDENCE.pcrs[2]}))
    other = Change("PCR 2", Changes(pcrs={2: bytes(range(32))}))
    assert told(WITHOUT_PCR7, same)[0] == UNAFFECTED
    assert told(WITHOUT_PCR7, other) == (ASKS, (2,), ("PCR 2: PCR 2",))
    few = replace(EVIDENCE, pcrs={n: value for n, value in EVIDENCE.pcrs.items() if n != 2})
    verdict, _, (why,) = told(WITHOUT_PCR7, other, known=Known("m", "f", few, WITHOUT_PCR7))
    assert (verdict, why) == (UNKNOWN, "PCR 2: PCR 2 is not in the machine's evidence")


def test_an_image_that_extends_pcr_11_keeps_every_key_shut() -> None:
    sections = {**reference(MACHINE, "old"), "pcr11": {"sha256": "ab" * 32, "sha1": "ab" * 20}}
    change = Change("image", image=sections)
    assert told(DEFAULT, change) == (ASKS, (11,), ("PCR 11: image",))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("0,2,4,11", WITHOUT_PCR7),
        ("7, 11", DEFAULT),
        ("none", frozenset()),
        (None, "its protectors are not known: no tag bitlocker-pcrs, no report"),
        ("", "its protectors are not known: tag bitlocker-pcrs= is no list of registers"),
        ("7,24", "its protectors are not known: tag bitlocker-pcrs=7,24 is no list of registers"),
        ("-1", "its protectors are not known: tag bitlocker-pcrs=-1 is no list of registers"),
    ],
)
def test_a_tag_says_what_a_protector_is_sealed_to(
    tag: str | None, expected: frozenset[int] | str
) -> None:
    assert tagged(tag) == expected


def protector(kind: str, pcrs: Sequence[int] | None = None, proven: bool = False) -> object:
    return {"identifier": "g", "kind": kind, "pcrs": pcrs, "secret": None, "proven": proven}


def report(*protectors: object) -> bytes:
    return json.dumps({"volumes": [{"place": "disk 1", "protectors": protectors}]}).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (report(protector("TPM", [7, 11]), protector("recovery password")), DEFAULT),
        (report(protector("TPM and startup key", [0, 2, 4, 11])), WITHOUT_PCR7),
        (report(protector("TPM", [7, 11]), protector("startup key", proven=True)), frozenset()),
        (report(protector("startup key"), protector("recovery password")), frozenset()),
        (report(protector("TPM", [7, 11]), protector("startup key")), DEFAULT),
        (report(protector("TPM")), "the report does not tell what disk 1 is sealed to"),
        (
            report(protector("TPM", [7]), protector("TPM and PIN", [11])),
            "the report does not tell what disk 1 is sealed to",
        ),
        (
            b'{"volumes": []}',
            "its protectors are not known: the report has no BitLocker volume",
        ),
    ],
)
def test_a_report_says_it_of_every_volume(data: bytes, expected: frozenset[int] | str) -> None:
    assert reported(data, "r") == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"volumes": 1}', b'{"volumes": [{"place": "x"}]}', b"[" * 100_000],
)
def test_what_is_no_report_is_named(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^r\.json: not what `pykexec windows check --json`"):
        reported(data, "r.json")
