# SPDX-License-Identifier: Apache-2.0
"""pykexec exec --wim: which options go together."""

from __future__ import annotations

import pytest

from pykexec.cli import main
from pykexec.errors import NotResidentError, UsageError

URL = "https://boot.example/winpe/bootmgfw.efi"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--sdi", "boot.sdi"], "--sdi: needs --wim"),
        (["--stl-sha256", "ab" * 32], "--stl-sha256: needs --wim"),
        (["--wim-sha256", "ab" * 32], "--wim-sha256: needs --wim"),
        (["--wim", "boot.wim", "--stl-sha256", "ab" * 32], "--stl-sha256: needs --stl"),
        (["--wim", "boot.wim", "--device-path", "Pci(0x1,0x0)"], "--device-path: with --wim the"),
        (["--wim", "boot.wim", "--via", "boot-next"], "--wim: --via boot-next starts files of"),
    ],
)
def test_options_that_make_no_sense_are_named(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exec", URL, *words]) == UsageError.exit_code
    assert f"pykexec: {fault}" in capsys.readouterr().err


def test_a_machine_booted_normally_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", URL, "--wim", "boot.wim"]) == NotResidentError.exit_code
    assert f"pykexec: {URL}: cannot be started from here" in capsys.readouterr().err
