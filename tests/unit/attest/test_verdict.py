# SPDX-License-Identifier: Apache-2.0
"""A verdict can be made to fit, and says the same then."""

from __future__ import annotations

from pykexec.attest.verdict import Finding, Verdict

NOTE, FAULT = Finding("note", "n" * 9, refuses=False), Finding("fault", "f" * 9)


def test_what_fits_stays_as_it_is() -> None:
    verdict = Verdict((NOTE, FAULT))
    assert verdict.shortened(2, 9) is verdict


def test_texts_are_cut() -> None:
    assert [found.text for found in Verdict((NOTE, FAULT)).shortened(2, 3).findings] == [
        "nnn",
        "fff",
    ]


def test_what_refuses_is_told_before_what_does_not() -> None:
    shortened = Verdict((NOTE, NOTE, NOTE, FAULT)).shortened(3, 99)
    more = Finding("findings.more", "2 more findings")
    assert shortened.findings == (FAULT, NOTE, more)


def test_it_refuses_exactly_as_before() -> None:
    assert Verdict((NOTE,) * 9).shortened(3, 99).accepted
    assert not Verdict((NOTE,) * 9 + (FAULT,)).shortened(3, 99).accepted
    assert not Verdict((FAULT,) * 9).shortened(1, 99).accepted
