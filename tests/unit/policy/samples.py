# SPDX-License-Identifier: Apache-2.0
"""Claims of one good boot and a policy that demands all there is of it, for tests to spoil."""

from __future__ import annotations

import copy
import tomllib
from datetime import UTC, datetime

import tomli_w

from pykexec.attest.verdict import Finding
from pykexec.policy import Context, Policy, appraise, parse_policy

ZERO = "0" * 64
PCR0, PCR4, PCR11, OTHER = "00" * 31 + "01", "04" * 32, "11" * 32, "ee" * 32
IMAGE, SHIM, GRUB, GRUB_FILE = "a1" * 32, "a2" * 32, "a3" * 32, "a4" * 32
PK, KEK, DB, DBX = "b1" * 32, "b2" * 32, "b3" * 32, "b4" * 32
CA, CA_SUBJECT = "c1" * 32, "CN=Test UEFI CA"
REVOKED = ["d1" * 32, "d2" * 32, "d3" * 32]
OVERRIDE = "f1" * 32
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CONTEXT = Context(NOON, "10.1.2.3", "db-7", ("rack-4", "production"), {"site": "Bonn"})

CLAIMS: dict[str, object] = {
    "ek": {"fingerprint": "e5" * 32, "algorithm": "ecc-p256", "trusted": "certificate"},
    "tpm": {"firmware_version": 0x20191023_00163636, "reset_count": 3, "restart_count": 0},
    "bank": "sha256",
    "pcrs": {"0": PCR0, "4": PCR4, "11": ZERO, "12": ZERO, "15": ZERO},
    "secure_boot": {
        "enabled": True,
        "actions": [],
        "variables": {
            "PK": {"sha256": PK, "certificates": [], "hashes": []},
            "db": {
                "sha256": DB,
                "certificates": [{"subject": CA_SUBJECT, "sha256": CA}],
                "hashes": [],
            },
            "dbx": {"sha256": DBX, "certificates": [], "hashes": REVOKED},
        },
        "authorities": [{"variable": "db", "sha256": CA, "subject": CA_SUBJECT}],
    },
    "firmware": {"version": "2025.02-8"},
    "boot": {
        "applications": [
            {"path": r"\EFI\debian\shimx64.efi", "authenticode": {"sha256": SHIM}},
            {"path": r"\EFI\pykexec\pykexec.efi", "authenticode": {"sha256": IMAGE}},
        ],
        "behind": [],
    },
    "image": {
        "sections": [
            {"name": ".linux", "sha256": "1a" * 32},
            {"name": ".cmdline", "sha256": OTHER},
        ],
        "config": [],
        "hidden": [],
    },
    "machine": {"vendor": "Simulated", "serial": "db-7"},
    "payload": {
        "path": r"\EFI\debian\grubx64.efi",
        "sha256": GRUB_FILE,
        "authenticode_sha256": GRUB,
    },
    "released": False,
}

DOCUMENT: dict[str, object] = {
    "version": 1,
    "name": "servers",
    "images": [
        {
            "name": "2026.11",
            "authenticode": {"sha256": IMAGE},
            "sections": {".linux": {"sha256": "1a" * 32}, ".cmdline": {"sha256": "1c" * 32}},
        }
    ],
    "boot": {
        "applications": [{"name": "shim", "authenticode": {"sha256": SHIM}}],
        "paths": [r"*\EFI\pykexec\*.efi"],
    },
    "secure_boot": {
        "required": True,
        "authorities": [CA],
        "PK": {"sha256": [PK]},
        "db": {"certificates": [CA_SUBJECT]},
        "dbx": {"at_least": 3, "contains": REVOKED[:2]},
    },
    "firmware": {"versions": ["2025.02-*"]},
    "pcrs": {"sha256": {"0": [PCR0]}},
    "payload": {
        "required": True,
        "authenticode_sha256": [GRUB],
        "paths": [r"\EFI\debian\*"],
        "signers": [CA],
    },
    "networks": {"office": ["10.0.0.0/8", "2001:db8::/32"]},
    "rules": [
        {
            "name": "office",
            "expression": "'office' in context.networks && 'production' in context.tags",
            "message": "only production machines in the office",
        }
    ],
}


def changed(value: dict[str, object], path: str, new: object) -> dict[str, object]:
    """value with another one at a path such as "boot/applications/0/path"; None takes it away."""
    result = copy.deepcopy(value)
    *parents, last = path.split("/")
    inner: object = result
    for key in parents:
        inner = inner[int(key)] if isinstance(inner, list) else inner[key]  # type: ignore[index]
    if isinstance(inner, list):
        inner[int(last)] = new
    elif isinstance(inner, dict) and new is None:
        del inner[last]
    elif isinstance(inner, dict):
        inner[last] = new
    return result


def toml(document: dict[str, object]) -> bytes:
    """The document as a file."""
    data = tomli_w.dumps(document).encode()
    assert tomllib.loads(data.decode()) == document
    return data


def policy(document: dict[str, object] = DOCUMENT) -> Policy:
    """The policy that a document is."""
    return parse_policy(toml(document), "p.toml")


def findings(
    claims: dict[str, object],
    document: dict[str, object] = DOCUMENT,
    context: Context = CONTEXT,
) -> tuple[Finding, ...]:
    """What appraise() says of claims under the policy that document is."""
    return appraise(claims, policy(document), context)


def codes(
    claims: dict[str, object],
    document: dict[str, object] = DOCUMENT,
    context: Context = CONTEXT,
) -> list[str]:
    """The codes of findings()."""
    return [finding.code for finding in findings(claims, document, context)]
