# SPDX-License-Identifier: Apache-2.0
"""What a release brings to be tried is never delivered; what is found of it is signed."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from pykexec.attest import decode, key_report, protocol
from pykexec.attest.fields import ProtocolError
from pykexec.attest.key_report import KeyVerdict
from pykexec.attest.opened import OpenedSecret, Release
from pykexec.attest.protocol import ReleasedSecret, Statement
from pykexec.attest.verdict import Verdict
from pykexec.secret import Secret

KEY = bytes(range(32))
VERDICTS = (
    KeyVerdict("disk", "", True, "key slot 0 opens"),
    KeyVerdict("disk", "try", False, "none of 2"),
    KeyVerdict("other", "try", None, "needs 1 GiB"),
)


def test_what_is_to_be_tried_is_not_delivered() -> None:
    opened = [OpenedSecret("disk", "luks-key", {}, Secret(8), use) for use in protocol.USES]
    with Release(Verdict(), tuple(opened)) as release:
        assert release.secrets == (opened[0],)
        for each in opened:
            each.value.view[:] = b"not zero"
    for each in opened:
        with pytest.raises(ValueError, match="wiped"):
            assert each.value.view


@pytest.mark.parametrize("use", protocol.USES)
def test_a_release_says_what_each_secret_is_for(use: str) -> None:
    secret = ReleasedSecret("disk", "luks-key", {}, "a.b.c.d.e", use)
    data = protocol.encode_release((secret,))
    assert decode.parse_release(data) == (secret,)
    assert (b'"use"' in data) == bool(use), "an attester of before knows no such key"


def test_another_use_is_refused() -> None:
    secret = ReleasedSecret("disk", "luks-key", {}, "a.b.c.d.e", "print")
    with pytest.raises(ProtocolError, match="'print' is not known"):
        decode.parse_release(protocol.encode_release((secret,)))


@pytest.mark.parametrize("tries", [False, True])
def test_a_statement_says_whether_keys_are_tried(tries: bool) -> None:
    statement = Statement(bytes(32), (bytes(32), bytes(32)), {}, {}, tries)
    assert decode.parse_statement(statement.encode()) == statement
    assert (b"tries" in statement.encode()) == tries


def test_a_report_comes_back_as_it_was_signed() -> None:
    report = key_report.report_of("ticket", KEY, VERDICTS)
    assert key_report.parse_key_report(report.encode()) == report
    assert key_report.parse_verdicts(report.said) == VERDICTS
    covered = hashlib.sha256(b"ticket").digest() + hashlib.sha256(report.said).digest()
    expected = hmac.digest(KEY, b"pykexec key report 1\0" + covered, "sha256")
    assert report.proof == expected


def test_the_right_to_report_comes_back() -> None:
    wanted = (("disk", ""), ("disk", "try"))
    rights = key_report.encode_rights("ticket", KEY, wanted)
    assert key_report.parse_rights(rights) == ("ticket", KEY, wanted)


@pytest.mark.parametrize(
    ("verdict", "fault"),
    [
        ({"name": "d", "use": "print", "text": ""}, "'print' is not known"),
        ({"name": "d", "use": "", "text": "", "fits": "yes"}, "must be true or false"),
        ({"name": "d", "use": ""}, "text: missing"),
        ({"name": "d", "use": "", "text": "", "more": 1}, "unknown key"),
    ],
)
def test_a_verdict_that_is_none_is_refused(verdict: dict[str, object], fault: str) -> None:
    with pytest.raises(ProtocolError, match=fault):
        key_report.parse_verdicts(json.dumps({"verdicts": [verdict]}).encode())
