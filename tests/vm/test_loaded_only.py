# SPDX-License-Identifier: Apache-2.0
"""An application that is loaded and never started is measured all the same: policies refuse it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pykexec import _freestanding
from pykexec.attest.protocol import Evidence
from pykexec.attest.verdict import Verdict
from pykexec.efi import pe
from pykexec.policy import offline
from pykexec.policy.model import Context
from pykexec.policy.parse import parse_policy
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import NEWEST, firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with, with_entries

LOADER_PATH, OTHER_PATH = r"\EFI\loads.efi", r"\EFI\other.efi"
# One that is not ours, and runs: it makes its evidence itself.
OTHER_LINE = "console=ttyS0,115200 quiet other"


@pytest.fixture(scope="module", name="loader")
def loader_fixture() -> Path:
    """csrc/payload/loads.c, which starts but one of the applications that it loads."""

    def make(path: Path) -> None:
        _freestanding.build_payload(images.CSRC, "loads", path)

    return images.kept("loads", ".efi", make, images.sources())


def digest(path: Path) -> str:
    """What the firmware measures of it."""
    data = path.read_bytes()
    return pe.authenticode_digest(data, pe.parse(data, str(path))).hex()


def evidence_of(
    boot: Boot, directory: Path, version: str, loader: Path, options: str, other: Path
) -> Evidence:
    """Have loader load and start what its options say; the evidence of what runs then."""
    files: dict[str, bytes | Path] = {
        LOADER_PATH[1:].replace("\\", "/"): loader,
        OTHER_PATH[1:].replace("\\", "/"): other,
    }
    disk = disk_with(directory, images.image(), files)
    entry = boot_entry(disk, LOADER_PATH, options, title="loads")
    machine = with_entries(Machine(firmware(version), tpm="crb"), directory, disk, [entry])
    guest = Guest(boot(machine)).ready()
    said = json.dumps(guest.script("evidence", within=120))
    return offline.parse_evidence(said.encode(), "the guest")


def judge(evidence: Evidence, loader: Path) -> Verdict:
    """By a policy for our image, in front of which nothing but the loader may be."""
    policy = f"""\
version = 1
name = "ours, by the loader"
[[images]]
name = "ours"
authenticode = {{ sha256 = "{digest(images.image())}" }}
[[boot.applications]]
name = "the loader"
authenticode = {{ sha256 = "{digest(loader)}" }}
"""
    now = datetime.now(UTC)
    return offline.check(evidence, parse_policy(policy.encode(), "policy"), Context(now))[0]


# The options of the loader, and the verdict's reasons.
CASES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "ours alone": (f"+{IMAGE_PATH}", ()),
    "before ours": (
        f"{HELLO_PATH} +{IMAGE_PATH}",
        (("policy.boot.application", "started before the image: {hello} from "),),
    ),
    "behind ours": (
        f"+{IMAGE_PATH} {HELLO_PATH}",
        (
            ("policy.image", "the last application started is {hello} from "),
            ("policy.boot.application", "started before the image: ours ({ours:.16}...) from "),
        ),
    ),
    "ours last and never started": (
        f"+{OTHER_PATH} {IMAGE_PATH}",
        (("policy.boot.application", "started before the image: {other} from "),),
    ),
}


@pytest.mark.parametrize(
    ("version", "case"),
    [
        pytest.param("2025.02", "ours alone", marks=pytest.mark.matrix),
        pytest.param("2022.11", "before ours", marks=pytest.mark.matrix),
        ("2025.02", "behind ours"),
        pytest.param(NEWEST, "ours last and never started", marks=pytest.mark.matrix),
    ],
)
def test_it_is_refused_with_its_reason(
    version: str, case: str, boot: Boot, tmp_path: Path, loader: Path
) -> None:
    options, expected = CASES[case]
    other = images.image(cmdline=OTHER_LINE)
    verdict = judge(evidence_of(boot, tmp_path, version, loader, options, other), loader)
    names = {
        "ours": digest(images.image()),
        "hello": digest(images.hello()),
        "other": digest(other),
    }
    reasons = [(finding.code, finding.text) for finding in verdict.reasons]
    assert verdict.accepted == (not expected)
    assert [code for code, _ in reasons] == [code for code, _ in expected], reasons
    for (_, said), (_, text) in zip(reasons, expected, strict=True):
        assert said.startswith(text.format(**names))
