# SPDX-License-Identifier: Apache-2.0
"""The verbs inspect and build as far as they print and end."""

from __future__ import annotations

import argparse
import json
import struct
from pathlib import Path

import pytest

from pykexec import abi
from pykexec._native import ffi, lib
from pykexec.cli import build as build_verb
from pykexec.cli import inspect as inspect_verb
from pykexec.errors import FormatError, UsageError
from pykexec.image import assemble, measure
from pykexec.image.builder import described
from pykexec.image.inspection import inspect
from pykexec.image.recipe import DATA
from tests.unit.image.inputs import TEXT, SectionInput, kernel_bytes, patched, pe_bytes


def handoff_bytes() -> bytes:
    """A sealed handoff with one entry in its trace."""
    handoff = ffi.new("struct pk_handoff *")
    handoff.stub.start, handoff.stub.size, handoff.resume_entry = 0x10000, 0x8000, 0x11000
    handoff.arena.start, handoff.arena.size = 0x100000, 0x200000
    handoff.cpu.cr3 = 0x7000
    handoff.nr_trace = 1
    handoff.trace[0].component = abi.Component.STUB
    handoff.trace[0].stage = abi.Stage.ARENA
    handoff.trace[0].sequence = 1
    lib.pk_handoff_seal(handoff)
    return bytes(ffi.buffer(handoff))


def run_verb(tmp_path: Path, data: bytes, *options: str) -> int:
    """pykexec inspect, of a file with data."""
    file = tmp_path / "file"
    file.write_bytes(data)
    parser = argparse.ArgumentParser()
    inspect_verb.configure(parser)
    return inspect_verb.main(parser.parse_args([str(file), *options]))


@pytest.mark.parametrize(
    ("data", "kind"),
    [(pe_bytes(), "pe"), (kernel_bytes(), "kernel"), (handoff_bytes(), "handoff"),
     ((DATA / "resume.bin").read_bytes(), "resume")],
)  # fmt: skip
def test_kind_is_recognised(tmp_path: Path, data: bytes, kind: str) -> None:
    assert inspect(data, "file").kind == kind


def test_resume_image_of_this_installation_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(tmp_path, (DATA / "resume.bin").read_bytes()) == 0
    assert "of this installation: yes" in capsys.readouterr().out


def test_handoff_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(tmp_path, handoff_bytes()) == 0
    shown = capsys.readouterr().out
    assert "arena               [0x100000, 0x300000)" in shown
    assert "  cr3             0x7000" in shown
    assert "     1 PK:stub:arena:0" in shown


def test_damaged_handoff_is_shown_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = patched(handoff_bytes(), 64, b"\xff")
    with pytest.raises(FormatError, match="file: bad checksum"):
        run_verb(tmp_path, damaged)
    assert "arena               [0x100000, 0x300000)" in capsys.readouterr().out


def test_json_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(tmp_path, kernel_bytes(), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["kernel"]["version"] == "6.1.0-test"
    assert report["kernel"]["protocol"] == [2, 15]
    assert report["pe"]["sections"][0]["name"] == ".text"


OURS = SectionInput(".sbat", 0x2000, b"sbat,1,test\npykexec,1,pykexec,pykexec,1,README.md\n")
STUB = pe_bytes((TEXT, OURS))
SECTIONS = {".cmdline": b"quiet", ".linux": kernel_bytes()}


def test_an_image_that_does_not_describe_itself_may_be_one_of_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = assemble.append_sections(STUB, "stub", SECTIONS)
    new = assemble.append_sections(STUB, "stub", described(STUB, "stub", SECTIONS))
    value = measure.predict({**SECTIONS, ".sbat": OURS.data}).hex()
    for image, shown in ((old, True), (new, False)):
        assert run_verb(tmp_path, image) == 0
        said = capsys.readouterr().out
        assert ("before 0.2:\n" in said, f"  PCR 11 sha256 {value}" in said) == (shown, shown)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty file, not a PE image"),
        (b"text", "not a PE image"),
        (pe_bytes()[:100], "truncated PE image"),
        (pe_bytes(machine=0xAA64), "wrong machine type: aarch64"),
        (pe_bytes(image_size=0x2001), "is outside the image"),
        (kernel_bytes()[:-1], "truncated Linux kernel"),
        (struct.pack("<Q", abi.HandoffConstant.MAGIC), "truncated handoff"),
    ],
)
def test_bad_file_is_named_with_its_fault(tmp_path: Path, data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=f"file: .*{fault}"):
        run_verb(tmp_path, data)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--kernel", "/nowhere", "--output", "out"], "/nowhere: No such file"),
        (["--kernel", "/nowhere", "--output", "no/out"], "no: no such directory"),
        (["--kernel", "k", "--output", "o", "--sign-key", "k"], "--sign-key and --sign-cert go"),
        (["--kernel", "k", "--output", "o", "--arena", "127"], "must be at least 128"),
    ],
)
def test_failing_build_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    build_verb.configure(parser)
    with pytest.raises(UsageError, match=fault):
        build_verb.main(parser.parse_args(options))
    assert list(tmp_path.iterdir()) == []
