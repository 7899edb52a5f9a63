# SPDX-License-Identifier: Apache-2.0
"""pykexec policy: evidence from files is judged, explained, learnt from and foreseen."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.attest.protocol import AttestRequest
from pykexec.cli import main
from pykexec.efi import pe
from pykexec.errors import ToolError
from pykexec.run import run
from tests.support import attest_ca, attest_log
from tests.support.attest_machine import Boot, Machine
from tests.unit.image.inputs import pe_bytes

RULE = """
[networks]
office = ["10.0.0.0/8"]
[[rules]]
name = "hours"
expression = "context.time.getHours() < 20 && 'office' in context.networks"
[[rules]]
name = "who"
expression = "'web' in context.tags && context.labels.site == 'Bonn' && context.machine == 'm'"
"""
FITS = ["--time", "2026-11-22T12:00", "--address", "10.1.1.1", "--tag", "web"]
FITS += ["--label", "site=Bonn", "--machine", "m"]


def save(machine: Machine, path: Path) -> str:
    path.write_bytes(AttestRequest("token", bytes(32), machine.evidence()).encode())
    return str(path)


@pytest.fixture
def evidence(tmp_path: Path) -> str:
    return save(Machine(), tmp_path / "evidence.json")


@pytest.fixture
def policy(tmp_path: Path, evidence: str) -> str:
    path = tmp_path / "policy.toml"
    assert main(["policy", "learn", evidence, "--name", "servers", "-o", str(path)]) == 0
    return str(path)


def test_what_was_learnt_is_accepted(
    evidence: str, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "check", evidence, policy]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "accepted by policy 'servers'"


def test_refused_evidence_ends_with_6_and_all_reasons(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(boot=Boot(firmware="other", image=b"other"))
    machine.release()
    other = save(machine, tmp_path / "other.json")
    assert main(["policy", "check", other, policy]) == 6
    out, err = capsys.readouterr()
    for code in ("image", "firmware.version", "pcr.0", "released"):
        assert f"refused policy.{code}: " in out
    assert err == f"pykexec: {other}: refused by policy 'servers', 4 reasons\n"


def test_json_has_verdict_and_claims(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine()
    machine.release()
    other = save(machine, tmp_path / "other.json")
    assert main(["policy", "check", other, policy, "--json"]) == 6
    found = json.loads(capsys.readouterr().out)
    assert (found["policy"], found["accepted"]) == ("servers", False)
    refusing = [finding["code"] for finding in found["findings"] if finding["refuses"]]
    assert refusing == ["policy.released"]
    assert found["claims"]["released"] is True


@pytest.mark.parametrize(("authority", "code"), [("manufacturer", 0), ("other", 6)])
def test_roots_decide_which_eks_are_trusted(
    evidence: str, policy: str, tmp_path: Path, authority: str, code: int
) -> None:
    root = attest_ca.manufacturer() if authority == "manufacturer" else attest_ca.root("Other")
    trusted = tmp_path / "root.pem"
    trusted.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    words = ["policy", "check", evidence, policy]
    assert main([*words, "--ek-root", str(trusted)]) == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ([], 0),
        (["--time", "2026-11-22T21:00"], 6),
        (["--time", "2026-11-22T21:00+02:00"], 0),
        (["--address", "192.0.2.1"], 6),
        (["--label", "site=Berlin"], 6),
        (["--machine", "n"], 6),
    ],
)
def test_rules_see_what_the_command_line_says(
    evidence: str, policy: str, change: list[str], code: int
) -> None:
    with open(policy, "a") as file:
        file.write(RULE)
    assert main(["policy", "check", evidence, policy, *FITS, *change]) == code
    assert main(["policy", "check", evidence, policy]) == 6


def test_explain_says_what_is_demanded_and_what_is_there(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "explain", policy]) == 0
    assert "  demands  Secure Boot is on" in capsys.readouterr().out
    other = save(Machine(boot=Boot(secure_boot=False)), tmp_path / "other.json")
    assert main(["policy", "explain", policy, other]) == 0
    out = capsys.readouterr().out
    assert "  evidence Secure Boot is off" in out
    assert "  refused  policy.secure-boot: Secure Boot is off, it has to be on" in out


def test_an_update_foreseen_is_accepted_then(
    evidence: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, pcr in (("plain.toml", "2"), ("pinned.toml", "7")):
        assert main(["policy", "learn", evidence, "--pcr", pcr, "-o", str(tmp_path / path)]) == 0
    updated = save(Machine(boot=Boot(dbx_hashes=5)), tmp_path / "updated.json")
    revoked = [hashlib.sha256(f"revoked {n}".encode()).digest() for n in range(5)]
    content = attest_log.signature_list(attest_log.SHA256_LIST, revoked)
    header = bytes(16) + (24).to_bytes(4, "little") + b"\x00\x02\xf1\x0e" + bytes(16)
    (tmp_path / "dbx.auth").write_bytes(header + content)
    change = ["--set", f"dbx={tmp_path / 'dbx.auth'}", "--name", "dbx of November"]
    pinned, foreseen = str(tmp_path / "pinned.toml"), str(tmp_path / "foreseen.toml")
    words = ["policy", "predict", evidence, *change]
    assert main([*words, "--policy", pinned, "-o", foreseen]) == 0
    assert main(["policy", "check", updated, pinned]) == 6
    assert main(["policy", "check", updated, foreseen]) == 0
    capsys.readouterr()
    assert main([*words, "--policy", str(tmp_path / "plain.toml")]) == 0
    assert capsys.readouterr().out == "the policy allows that as it is\n"


def test_a_driver_that_is_to_be_added_moves_pcr_2(
    evidence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = tmp_path / "driver.efi"
    driver.write_bytes(pe_bytes(subsystem=11))
    words = ["policy", "predict", evidence, "--name", "ext4", "--driver", str(driver)]
    assert main(words) == 0
    digest = pe.authenticode_digest(driver.read_bytes(), pe.parse(driver.read_bytes(), "driver"))
    extended = Machine().pcrs["sha256"][2] + digest
    assert f'2 = ["{hashlib.sha256(extended).hexdigest()}"]' in capsys.readouterr().out
    driver.write_bytes(pe_bytes())
    assert main(words) == 3
    assert "driver.efi: EFI application, not a driver" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["check", "EVIDENCE", "/nope"], 2, "/nope: No such file"),
        (["check", "POLICY", "POLICY"], 3, "POLICY: attestation: not JSON"),
        (["check", "EVIDENCE", "EVIDENCE"], 3, "EVIDENCE: not TOML"),
        (["check", "EVIDENCE", "POLICY", "--ek-root", "POLICY"], 3, "POLICY: no certificate"),
        (["learn", "EVIDENCE", "--pcr", "17"], 2, "PCR 17 is not in the evidence"),
        (["learn", "EVIDENCE", "--image", "POLICY"], 3, "POLICY: neither an image nor JSON"),
        (["predict", "EVIDENCE", "--name", "n", "--digest", "xx=00"], 2, "'xx' is not hex"),
        (["predict", "EVIDENCE", "--name", "n", "--pcr", "x=00"], 2, "'x' is no PCR"),
        (["predict", "EVIDENCE", "--name", "n", "--pcr", "0=00"], 2, "PCR 0: 1 bytes are no"),
        (["predict", "EVIDENCE", "--name", "n", "--driver", "POLICY"], 3, "POLICY: not a PE image"),
        (["predict", "EVIDENCE", "--name", "n", "--set", "dbx=POLICY"], 3, "signature list"),
    ],
)
def test_a_fault_is_one_line(
    words: list[str],
    code: int,
    fault: str,
    evidence: str,
    policy: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {"EVIDENCE": evidence, "POLICY": policy}
    assert main(["policy", *(files.get(word, word).replace("=POLICY", f"={policy}")
                             for word in words)]) == code  # fmt: skip
    err = capsys.readouterr().err
    for name, path in files.items():
        fault = fault.replace(name, path)
    assert fault in err
    assert err.count("\n") == 1


def test_a_missing_package_is_named(evidence: str, policy: str) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pykexec.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "policy", "check", evidence, policy]
    with pytest.raises(ToolError, match=r"cryptography is missing: install pykexec\[server\]"):
        run(words, timeout_s=60)
