# SPDX-License-Identifier: Apache-2.0
"""Appraisal: a good boot passes, and each demand alone refuses what is not as it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pykexec.policy import appraise, explain
from tests.unit.policy.samples import (
    CA,
    CA_SUBJECT,
    CLAIMS,
    CONTEXT,
    DOCUMENT,
    GRUB,
    GRUB_FILE,
    IMAGE,
    OTHER,
    OVERRIDE,
    PCR4,
    REVOKED,
    SHIM,
    ZERO,
    changed,
    codes,
    findings,
    policy,
)

MINIMAL: dict[str, object] = {"version": 1, "name": "any", "allow_any_image": True}
APPLICATIONS = "boot/applications"
SECURE = "secure_boot"
SHIM_FIRST = [{"name": "shim", "authenticode": {"sha256": SHIM}}]
MEASURES_ITSELF = {
    "name": "2026.11",
    "authenticode": {"sha256": IMAGE},
    "pcr11": {"sha256": ZERO},
}
STARTED_SHIM = {"path": "shim", "authenticode": {"sha256": SHIM}}
STARTED_IMAGE = {"path": r"\EFI\pykexec\a.efi", "authenticode": {"sha256": IMAGE}}
STARTED_OTHER = {"path": "other", "authenticode": {"sha256": OTHER}}


def test_a_good_boot_is_accepted() -> None:
    assert findings(CLAIMS) == ()


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (APPLICATIONS, [STARTED_SHIM, STARTED_OTHER], "policy.image"),
        (APPLICATIONS, [STARTED_IMAGE, STARTED_SHIM], "policy.image"),
        (APPLICATIONS, [STARTED_IMAGE, STARTED_OTHER], "policy.image"),
        (APPLICATIONS, [STARTED_OTHER, STARTED_IMAGE], "policy.boot.application"),
        (APPLICATIONS, [STARTED_IMAGE, STARTED_IMAGE], "policy.boot.application"),
        (APPLICATIONS, [], "policy.image"),
        (APPLICATIONS, None, "policy.image"),
        ("boot/behind", ["Returning from EFI Application"], "policy.image"),
        (f"{APPLICATIONS}/1/path", r"\EFI\BOOT\BOOTX64.EFI", "policy.boot.path"),
        (f"{APPLICATIONS}/1/authenticode", {"sha384": IMAGE}, "policy.image"),
        ("pcrs/12", OTHER, "policy.config"),
        ("pcrs/12", None, "policy.config"),
        ("image/config", None, "policy.config"),
        ("image/hidden", None, "policy.config"),
        ("image/hidden", [{"pcr": 5, "digest": OTHER, "event": "an event"}], "policy.config"),
        (f"{SECURE}/enabled", False, "policy.secure-boot"),
        (f"{SECURE}/enabled", "yes", "policy.secure-boot"),
        (SECURE, None, "policy.secure-boot"),
        (f"{SECURE}/actions", ["UEFI Debug Mode"], "policy.secure-boot"),
        (f"{SECURE}/authorities/0/sha256", OTHER, "policy.secure-boot.authority"),
        (f"{SECURE}/authorities", [], "policy.secure-boot.authority"),
        (SECURE, None, "policy.secure-boot.authority"),
        (f"{SECURE}/enabled", False, "policy.secure-boot.authority"),
        (f"{SECURE}/variables/db/certificates", None, "policy.secure-boot.db"),
        (f"{SECURE}/variables/db/hashes", None, "policy.secure-boot.db"),
        (f"{SECURE}/variables/PK/sha256", OTHER, "policy.secure-boot.PK"),
        (f"{SECURE}/variables/PK", None, "policy.secure-boot.PK"),
        (
            f"{SECURE}/variables/db/certificates",
            [{"sha256": CA, "subject": "CN=Other"}],
            "policy.secure-boot.db",
        ),
        (f"{SECURE}/variables/db/hashes", [OTHER], "policy.secure-boot.db"),
        (f"{SECURE}/variables/dbx/hashes", [*REVOKED[1:], OTHER], "policy.secure-boot.dbx"),
        (f"{SECURE}/variables/dbx/hashes", REVOKED[:2], "policy.secure-boot.dbx"),
        (f"{SECURE}/variables/dbx/hashes", REVOKED[:2] * 2, "policy.secure-boot.dbx"),
        ("firmware/version", "2025.03-1", "policy.firmware.version"),
        ("firmware", None, "policy.firmware.version"),
        ("pcrs/0", OTHER, "policy.pcr.0"),
        ("pcrs/0", None, "policy.pcr.0"),
        ("payload/authenticode_sha256", OTHER, "policy.payload"),
        ("payload/authenticode_sha256", None, "policy.payload"),
        ("payload", {}, "policy.payload"),
        ("payload/path", r"\EFI\other.efi", "policy.payload.path"),
        (f"{SECURE}/enabled", False, "policy.payload.signer"),
        (f"{SECURE}/variables/db", None, "policy.payload.signer"),
        (f"{SECURE}/variables/db/hashes", [OTHER], "policy.payload.signer"),
        (f"{SECURE}/variables/db/certificates/0/sha256", OTHER, "policy.payload.signer"),
        ("released", True, "policy.released"),
        ("released", None, "policy.released"),
        ("released", 0, "policy.released"),
        ("bank", "sha384", "policy.pcr.0"),
        ("bank", "sha384", "policy.image"),
    ],
)
def test_what_is_not_as_demanded_is_refused(path: str, value: object, code: str) -> None:
    assert code in codes(changed(CLAIMS, path, value))


SOLE_DEMANDS: list[tuple[str, dict[str, object], str, object]] = [
    (
        "image",
        {"images": DOCUMENT["images"], "boot": {"applications": SHIM_FIRST}},
        f"{APPLICATIONS}/1/authenticode/sha256",
        OTHER,
    ),
    (
        "image",
        {"images": [MEASURES_ITSELF], "boot": {"applications": SHIM_FIRST}},
        "pcrs/11",
        OTHER,
    ),
    ("secure-boot", {"secure_boot": {"required": True}}, f"{SECURE}/enabled", False),
    (
        "secure-boot.authority",
        {"secure_boot": {"authorities": [CA_SUBJECT]}},
        f"{SECURE}/authorities/0/subject",
        "CN=Other",
    ),
    (
        "secure-boot.dbx",
        {"secure_boot": {"dbx": {"at_least": 3}}},
        f"{SECURE}/variables/dbx/hashes",
        REVOKED[:2],
    ),
    (
        "secure-boot.dbx",
        {"secure_boot": {"dbx": {"contains": REVOKED}}},
        f"{SECURE}/variables/dbx/hashes",
        REVOKED[1:],
    ),
    (
        "secure-boot.db",
        {"secure_boot": {"db": {"hashes": [OTHER], "certificates": [CA]}}},
        f"{SECURE}/variables/db/hashes",
        [OTHER, PCR4],
    ),
    ("firmware.version", {"firmware": {"versions": ["2025.02-8"]}}, "firmware/version", "2025.02"),
    ("pcr.4", {"pcrs": {"sha256": {"4": PCR4}}}, "pcrs/4", OTHER),
    (
        "boot.application",
        {"boot": {"applications": [
            {"name": "shim", "authenticode": {"sha256": SHIM}},
            {"name": "ours", "authenticode": {"sha256": IMAGE}},
        ]}},
        f"{APPLICATIONS}/1/authenticode/sha256",
        OTHER,
    ),
    ("boot.path", {"boot": {"paths": ["*pykexec.efi"]}}, f"{APPLICATIONS}/1/path", "x"),
    ("payload", {"payload": {"required": True}}, "payload", {}),
    ("payload", {"payload": {"sha256": [GRUB_FILE]}}, "payload/sha256", OTHER),
    ("payload.path", {"payload": {"paths": [r"\EFI\*"]}}, "payload/path", "x"),
    (
        "payload.signer",
        {"payload": {"signers": [CA_SUBJECT]}},
        f"{SECURE}/variables/db/certificates/0/subject",
        "CN=Other",
    ),
    ("config", {}, "pcrs/12", OTHER),
    ("config", {}, "image/config", [{"pcr": 5, "digest": OTHER}]),
    ("config", {}, "image/hidden", [{"pcr": 5, "digest": OTHER, "event": "x"}]),
    ("released", {}, "released", True),
]  # fmt: skip


@pytest.mark.parametrize(("code", "clause", "path", "value"), SOLE_DEMANDS)
def test_each_demand_refuses_by_itself(
    code: str, clause: dict[str, object], path: str, value: object
) -> None:
    document = {**MINIMAL, **clause}
    if "images" in clause:
        del document["allow_any_image"]
    assert codes(CLAIMS, document) == []
    assert codes(changed(CLAIMS, path, value), document) == [f"policy.{code}"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    claims = changed(changed(CLAIMS, "pcrs/0", OTHER), "released", True)
    assert codes(claims) == ["policy.pcr.0", "policy.released"]
    assert codes({}) == [
        "policy.image",
        "policy.boot.path",
        "policy.config",
        "policy.config",
        "policy.secure-boot",
        "policy.secure-boot.authority",
        "policy.secure-boot.PK",
        "policy.secure-boot.db",
        "policy.secure-boot.dbx",
        "policy.firmware.version",
        "policy.pcr.0",
        "policy.payload",
        "policy.payload",
        "policy.payload.path",
        "policy.payload.signer",
        "policy.payload.signer",
        "policy.released",
    ]


def test_another_image_is_told_by_what_it_says_of_its_sections() -> None:
    other = changed(CLAIMS, f"{APPLICATIONS}/1/authenticode/sha256", OTHER)
    (first,) = findings(other)
    where = f"the last application started is {OTHER} from \\EFI\\pykexec\\pykexec.efi"
    assert first.text == f"{where}, not 2026.11 (the image says that its .cmdline differs)"
    # One that lies, and one that says nothing.
    for sections in (
        [{"name": ".linux", "sha256": "1a" * 32}, {"name": ".cmdline", "sha256": "1c" * 32}],
        [],
    ):
        (first,) = findings(changed(other, "image/sections", sections))
        assert first.text == f"{where}, not 2026.11 ({IMAGE})"


def test_several_images_may_run_while_machines_are_updated() -> None:
    newer = {"name": "2026.12", "authenticode": {"sha256": "ab" * 32}}
    images: Any = DOCUMENT["images"]
    document = {**DOCUMENT, "images": [*images, newer]}
    assert codes(CLAIMS, document) == []
    last = f"{APPLICATIONS}/1/authenticode/sha256"
    updated = changed(CLAIMS, last, "ab" * 32)
    assert codes(updated, document) == []
    assert codes(updated) == ["policy.image"]


def test_an_image_of_before_has_to_have_its_pcr_11() -> None:
    """What such a policy demands is not dropped; where several images are one, any value counts."""
    old = {**MEASURES_ITSELF, "pcr11": {"sha256": OTHER}}
    document = {**DOCUMENT, "images": [old]}
    (finding,) = findings(CLAIMS, document)
    assert finding.text == f"PCR 11 (sha256) is {ZERO}, not that of 2026.11 ({OTHER})"
    assert codes(changed(CLAIMS, "pcrs/11", OTHER), document) == []
    assert codes(changed(CLAIMS, "pcrs/11", None), document) == ["policy.image"]
    both = {**DOCUMENT, "images": [old, {**MEASURES_ITSELF, "name": "other"}]}
    assert codes(CLAIMS, both) == []


def test_any_application_means_any_that_the_named_keys_vouch_for() -> None:
    document = {**DOCUMENT, "boot": {"any_application": True}}
    other = changed(CLAIMS, APPLICATIONS, [STARTED_OTHER, STARTED_IMAGE])
    assert codes(other, document) == []
    unsigned = changed(other, f"{SECURE}/authorities", [{"sha256": OTHER}])
    assert codes(unsigned, document) == ["policy.secure-boot.authority"]
    assert codes(changed(other, APPLICATIONS, [STARTED_IMAGE, STARTED_OTHER]), document) == [
        "policy.image"
    ]


def test_without_shim_in_the_policy_the_image_is_the_only_application() -> None:
    document = {**DOCUMENT, "boot": {"paths": ["*"]}}
    assert codes(CLAIMS, document) == ["policy.boot.application"]
    assert codes(changed(CLAIMS, APPLICATIONS, [STARTED_IMAGE]), document) == []


@pytest.mark.parametrize("key", ["digest", "sha256"])
@pytest.mark.parametrize("where", ["config", "hidden"])
def test_only_what_is_listed_may_override_the_configuration(key: str, where: str) -> None:
    event = {"pcr": 5, key: OVERRIDE, "event": "x"}
    claims = changed(CLAIMS, f"image/{where}", [event])
    document = {**DOCUMENT, "config": {"allowed": [OVERRIDE]}}
    assert codes(claims) == ["policy.config"]
    assert codes(claims, document) == []
    assert codes(CLAIMS, document) == []
    two = changed(claims, f"image/{where}", [event, {"pcr": 5, key: OTHER}])
    assert codes(two, document) == ["policy.config"]
    assert codes(changed(claims, f"image/{where}", ["x"]), document) == ["policy.config"]
    assert codes(two, {**DOCUMENT, "config": {"any": True}}) == []


def test_what_configured_an_image_of_before_needs_an_event_that_tells_it() -> None:
    document = {**DOCUMENT, "config": {"allowed": [OVERRIDE]}}
    claims = changed(CLAIMS, "pcrs/12", OTHER)
    assert codes(claims, document) == ["policy.config"]
    assert codes(changed(claims, "image/config", [{"pcr": 5, "sha256": OVERRIDE}]), document) == [
        "policy.config"
    ]
    told = changed(claims, "image/config", [{"pcr": 12, "sha256": OVERRIDE}])
    assert codes(told, document) == []
    assert codes(told) == ["policy.config"]


def test_a_payload_may_be_known_by_either_digest() -> None:
    document = {**MINIMAL, "payload": {"sha256": [GRUB_FILE], "authenticode_sha256": [OTHER]}}
    assert codes(CLAIMS, document) == []
    assert codes(changed(CLAIMS, "payload/sha256", OTHER), document) == ["policy.payload"]


UKI = changed(CLAIMS, "payload/sections", ".linux .initrd .cmdline")
SELF_CONTAINED = {
    **MINIMAL,
    "payload": {"self_contained": True, "authenticode_sha256": [GRUB]},
}


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("payload/sections", ".linux .initrd", "it has no .cmdline, so"),
        ("payload/sections", ".linux .cmdline", "it has no .initrd, so"),
        ("payload/sections", None, "it has no .linux, .initrd, .cmdline, so"),
        ("payload/sections", [".linux", ".initrd", ".cmdline"], "it has no .linux, .initrd"),
        (f"{SECURE}/enabled", False, "Secure Boot is off: a payload may take unsigned files"),
        (SECURE, None, "Secure Boot is off"),
    ],
)
def test_a_payload_that_reads_what_nobody_measured_is_refused(
    path: str, value: object, fault: str
) -> None:
    assert codes(UKI, SELF_CONTAINED) == []
    (finding,) = findings(changed(UKI, path, value), SELF_CONTAINED)
    assert finding.code == "policy.payload.self-contained"
    assert fault in finding.text


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"])
def test_a_peer_in_the_network_is_accepted(address: str) -> None:
    assert codes(CLAIMS, context=replace(CONTEXT, address=address)) == []


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db9::7", "", "unix", "10.1.2.3, 1.1.1.1"])
def test_a_peer_elsewhere_is_refused_in_the_operators_words(address: str) -> None:
    (finding,) = findings(CLAIMS, context=replace(CONTEXT, address=address))
    assert str(finding) == "policy.rule.office: only production machines in the office"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {key: None for key in CLAIMS},
        {key: [] for key in CLAIMS},
        {key: "x" for key in CLAIMS},
        {key: {"x": [1, None]} for key in CLAIMS},
        {key: [[{}]] for key in CLAIMS},
    ],
)
def test_claims_of_any_shape_are_refused_and_never_an_error(claims: dict[str, object]) -> None:
    found = findings(claims)
    assert len(found) > 9
    assert all(finding.refuses for finding in found)
    assert explain(policy(), claims, CONTEXT)


def test_a_strangers_text_stays_on_its_line() -> None:
    found = findings(changed(CLAIMS, "firmware/version", "1\n\x1b[2Jpolicy.ok: " + "x" * 9999))
    assert "\n" not in str(found[0])
    assert "\x1b" not in str(found[0])
    assert len(found[0].text) < 500


def test_an_explanation_has_each_demand_and_what_was_found() -> None:
    text = explain(policy(), changed(CLAIMS, "pcrs/0", OTHER), CONTEXT)
    assert f"  demands  one of the images: 2026.11 (sha256 {IMAGE})" in text
    assert f"  evidence PCR 0 is sha256 {OTHER}" in text
    assert "  refused  policy.pcr.0: " in text
    assert text.count("  fulfilled") == 8


def test_an_explanation_says_what_is_left_open() -> None:
    text = explain(policy(MINIMAL))
    assert text.splitlines()[-1] == (
        "demands nothing of: image, started by the firmware, Secure Boot, firmware version, "
        "registers, outdated, payload, windows, origin, rates, quarantine, approval, "
        "break-glass, rules"
    )


def test_an_appraisal_is_cheap() -> None:
    import time

    parsed = policy({key: value for key, value in DOCUMENT.items() if key != "rules"})
    start = time.process_time()
    for _ in range(200):
        appraise(CLAIMS, parsed, CONTEXT)
    assert (time.process_time() - start) / 200 < 0.002


def test_zero_means_nothing_was_measured_in_any_bank() -> None:
    assert codes(changed(CLAIMS, "pcrs/12", "0" * 96)) == []
