# SPDX-License-Identifier: Apache-2.0
"""Policies: every fault is named with its key, and none is passed over."""

from __future__ import annotations

import re
import tracemalloc

import pytest

from pykexec.policy import PolicyError, parse_policy
from tests.unit.policy.samples import (
    CLAIMS,
    DOCUMENT,
    IMAGE,
    OTHER,
    PCR0,
    PCR11,
    PK,
    changed,
    codes,
    toml,
)

ANY = b'version = 1\nname = "p"\nallow_any_image = true\n'
NAMED = {"name": "a", "authenticode": {"sha256": OTHER}}


def refused(data: bytes, fault: str) -> None:
    with pytest.raises(PolicyError, match=f"^p.toml: {re.escape(fault)}"):
        parse_policy(data, "p.toml")


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("version", 2, "version: 2; 1 is known"),
        ("version", None, "version: missing; 1 is known"),
        ("version", "1", "version: must be a number"),
        ("version", True, "version: must be a number"),
        ("name", None, "name: missing"),
        ("name", "", "name: must not be empty"),
        ("name", "a\nb", "name: has characters that cannot be printed"),
        ("name", "x" * 129, "name: 129 characters, at most 128"),
        ("nmae", "x", "nmae: unknown key"),
        ("images", [], "images: must not be empty"),
        ("images", {"name": "x"}, "images: must be a list"),
        ("images", ["x"], "images[0]: must be a table"),
        ("images", None, "images: missing: any image would do"),
        ("images/0/name", None, "images[0].name: missing"),
        ("images/0/authenticode", None, "images[0].authenticode: missing; a table with a digest"),
        ("images/0/authenticode/sha256", OTHER[:-1], "images[0].authenticode.sha256: 'ee"),
        ("images/0/authenticode/md5", OTHER, "images[0].authenticode.md5: unknown key"),
        ("images/0/pcr7", OTHER, "images[0].pcr7: unknown key"),
        ("images/0/pcr11", {"sha384": "a" * 96}, "images[0].pcr11: must have the banks that"),
        ("images/0/sections/.linux/sha256", 5, "images[0].sections..linux.sha256: must be a str"),
        ("allow_any_image", True, "allow_any_image: contradicts"),
        ("allow_any_image", 1, "allow_any_image: must be true or false"),
        ("secure_boot/required", "yes", "secure_boot.required: must be true or false"),
        ("secure_boot/require", True, "secure_boot.require: must be a table"),
        ("secure_boot/db/certificates", ["Test"], "secure_boot.db.certificates: 'test' is not"),
        ("secure_boot/db", {}, "secure_boot.db: demands nothing"),
        ("secure_boot/db-x", {}, "secure_boot.db-x: is no variable's name"),
        ("secure_boot/dbx/at_least", -1, "secure_boot.dbx.at_least: must be a number from 0"),
        ("secure_boot/dbx/contains", [1], "secure_boot.dbx.contains: must be a list of strings"),
        ("secure_boot/authorities", [], "secure_boot.authorities: must not be empty"),
        ("firmware/versions", None, "firmware.versions: missing"),
        ("firmware/versions", ["x" * 257], "firmware.versions: 257 characters, at most 256"),
        ("firmware/versions", [""], "firmware.versions: must not be empty"),
        ("pcrs/sha256/0", [], "pcrs.sha256.0: must not be empty"),
        ("pcrs/sha256/0", 0, "pcrs.sha256.0: must be a list"),
        ("pcrs/sha256/00", [PCR0], "pcrs.sha256.00: is no PCR"),
        ("pcrs/sha256/٣", [PCR0], "pcrs.sha256.٣: is no PCR"),
        (f"pcrs/sha256/{'9' * 4301}", [PCR0], f"pcrs.sha256.{'9' * 64}: is no PCR"),
        ("pcrs/sha256/16", [PCR0], "pcrs.sha256.16: is not quoted"),
        ("pcrs/sha256/15", [PCR0], "pcrs.sha256.15: is what tells that a secret was released"),
        ("pcrs/sha1", {"0": ["a" * 40]}, "pcrs.sha1: unknown key"),
        ("pcrs/sha384", {"0": [PCR0]}, "pcrs.sha384.0: '0000"),
        ("boot/any_application", True, "boot.any_application: contradicts"),
        ("boot/applications/0/authenticode", {}, "boot.applications[0].authenticode: missing"),
        ("boot/applications/0/path", "x", "boot.applications[0].path: unknown key"),
        ("payload/digests", [OTHER], "payload.digests: unknown key"),
        ("payload/sha256", [OTHER] * 1025, "payload.sha256: 1025 entries, at most 1024"),
        (
            "payload",
            {"required": True, "self_contained": True, "paths": ["*"]},
            "payload.self_contained: anybody can make one: say which as well",
        ),
        ("config", {"any": True, "allowed": [OTHER]}, "config.any: contradicts"),
        ("release", {"once": False}, "release: unknown key"),
        ("networks/office", ["10.0.0.1/8"], "networks.office: 10.0.0.1/8 has host bits set"),
        ("rules/0/name", "Office", "rules[0].name: must be"),
        ("rules/0/expression", None, "rules[0].expression: missing"),
        ("rules/0/expresion", "true", "rules[0].expresion: unknown key"),
        ("rules", [{"name": "a", "expression": "true"}] * 2, "rules[1].name: 'a' occurs twice"),
        ("rules", [{"name": "a", "expression": "true"}] * 33, "rules: 33 rules, at most 32"),
        ("images", [NAMED] * 2, "images[1].name: 'a' occurs"),
        ("updates", [{"pcrs": {"sha256": {"0": PCR0}}}], "updates[0].name: missing"),
        ("updates", [{"name": "u", "images": []}], "updates[0].images: unknown key"),
        (
            "updates",
            [{"name": "u", "pcrs": {"sha256": {"7": PCR0}}}],
            "updates[0].pcrs.sha256.7: the policy itself demands nothing",
        ),
        (
            "updates",
            [{"name": "u", "secure_boot": {"dbx": {"sha256": PK}}}],
            "updates[0].secure_boot.dbx.sha256: the policy itself demands nothing",
        ),
    ],
)
def test_a_fault_is_named_with_its_key(path: str, value: object, fault: str) -> None:
    refused(toml(changed(DOCUMENT, path, value)), fault)


def test_an_update_of_the_version_needs_a_demand_of_it() -> None:
    update = b'[[updates]]\nname = "u"\n[updates.firmware]\nversions = ["2"]\n'
    refused(ANY + update, "updates[0].firmware.versions: the policy itself demands nothing")


APPLICATIONS = {"applications": [{"name": "ours", "authenticode": {"sha256": IMAGE}}]}


@pytest.mark.parametrize("boot", [{}, {"any_application": True}, APPLICATIONS])
@pytest.mark.parametrize(
    ("which", "fault"),
    [
        (
            {"images": [{"name": "a", "pcr11": {"sha256": PCR11}}]},
            "images[0].authenticode: missing; a table with a digest for sha256 or sha384: any "
            "program can write PCR 11",
        ),
        (
            {"pcrs": {"sha256": {"11": [PCR11]}}},
            "images: missing: any image would do (any program can write PCR 11",
        ),
    ],
)
def test_pcr_11_names_no_image(
    which: dict[str, object], fault: str, boot: dict[str, object]
) -> None:
    refused(toml({"version": 1, "name": "p", **which, "boot": boot}), fault)


def test_any_application_alone_is_what_any_program_could_fulfil() -> None:
    document = {"version": 1, "name": "p", "images": [NAMED], "boot": {"any_application": True}}
    fault = "boot.any_application: any program could load the image, never start it"
    refused(toml(document), fault)
    for demand in ({"required": True}, {"authorities": [PK]}):
        refused(toml({**document, "secure_boot": demand}), fault)
    vouched = {"required": True, "authorities": [PK]}
    assert parse_policy(toml({**document, "secure_boot": vouched}), "p.toml")
    assert parse_policy(toml({**document, "pcrs": {"sha256": {"4": [PCR0]}}}), "p.toml")


def test_the_whole_of_pcr_4_names_an_image() -> None:
    document = {"version": 1, "name": "p", "pcrs": {"sha256": {"4": [PCR0]}}}
    assert parse_policy(toml(document), "p.toml")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "version: missing"),
        (b"\xff", "not TOML"),
        (b"version = ", "not TOML"),
        (b"version = 1\nversion = 1\n", "not TOML"),
        (b"version = " + b"9" * 5000, "not TOML"),
        (b"a = " + b"[" * 20000 + b"]" * 20000, "not TOML: nested too deeply"),
        (b"#" * (256 << 10) + b"\n", "262145 bytes, at most 262144"),
        (ANY + b"description = 2026-01-01\n", "description: must be a string"),
        (ANY + b"boot = { paths = [[]] }\n", "boot.paths: must be a list of strings"),
        (ANY + b"\"a\\nb\" = 1\n", "a\nb: unknown key"),
    ],
)  # fmt: skip
def test_what_is_no_policy_at_all_is_refused(data: bytes, fault: str) -> None:
    refused(data, fault)


def test_digests_may_be_written_in_capitals() -> None:
    document = changed(DOCUMENT, "pcrs/sha256/0", PCR0.upper())
    assert codes(CLAIMS, changed(document, "images/0/authenticode/sha256", IMAGE.upper())) == []


def test_an_update_allows_values_besides() -> None:
    update = {
        "name": "spring",
        "pcrs": {"sha256": {"0": [OTHER]}},
        "firmware": {"versions": ["2026.02"]},
        "secure_boot": {"PK": {"sha256": [OTHER]}},
    }
    document = {**DOCUMENT, "updates": [update]}
    assert codes(CLAIMS, document) == []
    claims = changed(CLAIMS, "pcrs/0", OTHER)
    claims = changed(claims, "firmware/version", "2026.02")
    claims = changed(claims, "secure_boot/variables/PK/sha256", OTHER)
    assert codes(claims, document) == []
    assert codes(claims) == [
        "policy.secure-boot.PK",
        "policy.firmware.version",
        "policy.pcr.0",
    ]


LONG = {
    "bare": "a." * 4000 + "a = 1",
    "quoted": '"\\"".' * 4000 + "a = 1",
    "spaced": "'a b' . " * 40 + "a = 1",
    "of a table": "[" + "a." * 17 + "a]",
    "in a value": "a = {" + "b." * 40 + "c = 1}",
    "behind a text": 'a = ["""\nx""", {' + "b." * 40 + 'c = 1}, "]"]',
}


@pytest.mark.parametrize("what", LONG)
def test_a_key_that_would_cost_memory_is_refused_before_it_is_parsed(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tomllib.loads", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(PolicyError, match=r"line \d: a key of more than 16 parts"):
        parse_policy(LONG[what].encode(), "p")


def test_more_tables_than_any_policy_has_are_refused() -> None:
    with pytest.raises(PolicyError, match="more than 4096 tables"):
        parse_policy(b"[[a]]\n" * 4097, "p")


def test_no_policy_costs_much_memory() -> None:
    headers = "\n".join(f"[{number:x}{'.a' * 15}]" for number in range(4096))
    tracemalloc.start()
    try:
        with pytest.raises(PolicyError, match=r"unknown key|missing"):
            parse_policy(headers.encode(), "p")
        assert tracemalloc.get_traced_memory()[1] < 96 << 20
    finally:
        tracemalloc.stop()


def test_dots_in_texts_are_no_keys() -> None:
    text = 'version = 1\nname = "a"\nallow_any_image = true\ndescription = "1.3.6.1.4.1.311.10"'
    assert parse_policy(text.encode(), "p").description == "1.3.6.1.4.1.311.10"
