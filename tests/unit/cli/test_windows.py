# SPDX-License-Identifier: Apache-2.0
"""pykexec windows check, on volumes that Windows made and on a disk made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pykexec.cli import main
from pykexec.vm.packages import BITLOCKER_IMAGES, fetch_archive
from tests.support.bitlocker import Way, bek_file, volume
from tests.support.windows_disk import (
    BCD,
    BOOTMGFW,
    CA_2023,
    authority,
    bcd,
    certificates,
    disk,
)
from tests.unit.image.inputs import pe_bytes

KEY = bytes(range(32))
STARTUP = "4381f759-c4f8-4de0-bb61-fc33a831bda5"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    files = {BOOTMGFW: authority(CA_2023).sign(pe_bytes()), BCD: bcd()}
    path.write_bytes(disk(files, volume([Way(STARTUP, 0x200, KEY)])))
    return path


def saved(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def database(path: Path, *ders: bytes) -> str:
    return saved(path, b"".join(map(bytes, certificates(*ders))))


def check(*words: str) -> int:
    return main(["windows", "check", *words])


def test_what_windows_made_and_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    images = fetch_archive(BITLOCKER_IMAGES) / "bitlk-images"
    key = images / "4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK"
    assert check(str(images / "bitlk-aes-xts-128-startup-key.img"), "--bek", str(key)) == 1
    said = capsys.readouterr().out
    assert f"startup key {{{STARTUP.upper()}}}: {key} opens it" in said
    assert "there is no Windows to start" in said


def test_whose_recovery_password_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch_archive(BITLOCKER_IMAGES) / "bitlk-images/bitlk-aes-xts-128.img"
    right = b"235818-357951-253979-013365-241120-245575-342914-591910"
    wrong = right.replace(b"235818", b"000011")
    files = [saved(tmp_path / "right", right + b"\r\n"), saved(tmp_path / "wrong", wrong)]
    check(str(path), "--recovery-password", files[0], "--recovery-password", files[1])
    said = capsys.readouterr().out
    protector = "recovery password {64311DEA-4587-4029-924A-BA299647998E}"
    assert f"{protector}: {files[0]} is its password" in said
    assert f"{protector}: {files[1]} is not its password" in said
    mistyped = saved(tmp_path / "mistyped", b"235819" + right[6:])
    assert check(str(path), "--recovery-password", mistyped) == 3
    assert capsys.readouterr().err == f"pykexec: {mistyped}: group 1 is mistyped\n"


def test_a_disk_that_starts(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = saved(tmp_path / "key.BEK", bek_file(STARTUP, KEY))
    db = database(tmp_path / "db.esl", authority(CA_2023).der)
    before = image.read_bytes()
    assert check(str(image), "--bek", key, "--db", db) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "nothing was found that keeps Windows from starting unattended"
    assert any(f"db allows it, by {CA_2023}" in line for line in said)
    assert image.read_bytes() == before


def test_json_says_it_to_programs_and_has_no_key(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = saved(tmp_path / "key.BEK", bek_file(STARTUP, KEY))
    assert check(str(image), "--bek", key, "--json") == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["starts"] is True
    (volume,) = found["volumes"]
    assert volume["protectors"] == [
        {"identifier": STARTUP, "kind": "startup key", "pcrs": None, "secret": key, "proven": True}
    ]
    assert found["entries"][1]["description"] == "Windows Server"
    assert KEY.hex() not in text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "0 bytes are no .BEK file"),
        (bytes(5000), "5000 bytes are no .BEK file"),
        (bytes(156), "not the header of a .BEK file of 156 bytes"),
    ],
)
def test_a_file_that_is_no_startup_key_is_named(
    image: Path, tmp_path: Path, content: bytes, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "bad.BEK", content)
    assert check(str(image), "--bek", path) == 3
    assert capsys.readouterr().err == f"pykexec: {path}: {fault}\n"


def test_what_is_no_disk_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(str(tmp_path)) == 2
    assert check(str(tmp_path / "none")) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"pykexec: {tmp_path}: neither a disk nor an image of one"
    assert said[1] == f"pykexec: {tmp_path}/none: No such file or directory"


def test_a_database_that_is_none_is_named(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = saved(tmp_path / "db.esl", b"no signature list at all, no")
    assert check(str(image), "--db", db) == 3
    assert capsys.readouterr().err.startswith(f"pykexec: {db}: offset 0: signature list of")


def test_without_a_disk_those_of_the_firmware_are_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert check() == 8
    assert capsys.readouterr().err.startswith("pykexec: PykexecMailbox: ")
