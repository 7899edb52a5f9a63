# SPDX-License-Identifier: Apache-2.0
"""`pykexec certify` says in a line what it cannot make; settings are what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.certify.settings import ROUND_TRIPS_MAX, Settings, encode_settings, parse_settings
from pykexec.cli import main
from pykexec.errors import FormatError, UsageError
from pykexec.image.recipe import Recipe
from pykexec.image.stick import certify_image, write_stick


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        ([], 2, "certify: --kernel and --output (or --efi) are needed, or show, or replay"),
        (["--kernel", "k"], 2, "certify: --kernel and --output (or --efi) are needed"),
        (["--output", "o"], 2, "certify: --kernel and --output (or --efi) are needed"),
        (["--kernel", "k", "--output", "o", "--sign-key", "x"], 2, "--sign-key and --sign-cert go"),
        (["--kernel", "k", "--output", "o", "--round-trips", "-1"], 3, "certify: round_trips: not"),
        (["--kernel", "k", "--output", "none/o"], 2, "none: no such directory"),
        (["--kernel", "none", "--output", "o"], 2, "none: No such file or directory"),
        (["--kernel", "k", "--output", "o", "--cmdline", "pykexec.certify=1"], 2, "command line: "),
    ],
)
def test_what_cannot_be_made_is_said_in_a_line(
    words: list[str],
    code: int,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["certify", *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line
    assert not list(tmp_path.iterdir())


def test_settings_are_read_as_they_were_written() -> None:
    settings = Settings(3, identifiers=True, write_scratch=True)
    assert parse_settings(encode_settings(settings)) == settings
    assert parse_settings(b"{}") == Settings()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"more": 1}',
        b'{"round_trips": true}',
        b'{"round_trips": %d}' % (ROUND_TRIPS_MAX + 1),
        b'{"identifiers": 1}',
    ],
)
def test_other_settings_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^/etc/pykexec/certify.json: "):
        parse_settings(data)


def test_only_an_image_that_certifies_has_the_word_for_it() -> None:
    kernel = Path("vmlinuz")
    assert "pykexec.certify=1" in Recipe(kernel, certify=True).full_cmdline.split()
    assert "pykexec.certify" not in Recipe(kernel).full_cmdline


def test_an_image_that_certifies_takes_no_agent_toml() -> None:
    with pytest.raises(UsageError, match=r"has no agent.toml"):
        certify_image(Recipe(Path("vmlinuz"), config=Path("agent.toml")), Settings())


def test_a_stick_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "stick.img"
    target.mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_stick(target, b"image", b"application")
    assert list(tmp_path.iterdir()) == [target]
