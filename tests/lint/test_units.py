# SPDX-License-Identifier: Apache-2.0
"""The server's unit is one that systemd takes, and is shut in as far as the server bears it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pykexec.cli import make_parser
from pykexec.errors import ToolError
from pykexec.run import run
from tests.lint.tree import ROOT

UNITS = ROOT / "packaging/systemd"
UNIT = "pykexec-server.service"
TEXT = (UNITS / UNIT).read_text()
EXPOSURE_MAX = 20  # tenths, of ten
PROGRAM = "/usr/lib/pykexec/bin/pykexec"


def verify(directory: Path, text: str) -> None:
    """Have systemd read it, with a program that is there; ToolError with what it does not like."""
    path = directory / UNIT
    path.write_text(text.replace(PROGRAM, sys.executable))
    run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path])


def exposure(directory: Path, text: str) -> None:
    """ToolError unless it is shut in."""
    path = directory / UNIT
    path.write_text(text)
    run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", path])


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    verify(tmp_path, TEXT)
    with pytest.raises(ToolError, match="Unknown key"):
        verify(tmp_path, TEXT.replace("UMask=", "Umask="))


def test_the_unit_is_shut_in(tmp_path: Path) -> None:
    exposure(tmp_path, TEXT)
    without = re.sub(r"^(Protect|Restrict|SystemCall|Private)\w+=.*\n", "", TEXT, flags=re.M)
    with pytest.raises(ToolError):
        exposure(tmp_path, without)


def test_the_unit_starts_what_the_program_takes() -> None:
    (start,) = re.findall(r"^ExecStart=(.*)$", TEXT, re.M)
    assert start == f"{PROGRAM} serve $PYKEXEC_SERVE"
    (words,) = re.findall(r"^PYKEXEC_SERVE=(.*)$", (UNITS / "server.env").read_text(), re.M)
    # As systemd splits it, which is by white space alone.
    args = make_parser(["serve"]).parse_args(["serve", *words.split()])
    assert args.database == "sqlite:////var/lib/pykexec/store.db"
    assert args.master_key == "file:/etc/pykexec/master.key"


def test_user_and_directories_are_those_of_the_unit(tmp_path: Path) -> None:
    user = (UNITS / "sysusers.conf").read_text()
    assert re.search(r"^u pykexec ", user, re.M) and "User=pykexec\n" in TEXT
    (tmp_path / "etc").mkdir()
    run(["systemd-sysusers", f"--root={tmp_path}", UNITS / "sysusers.conf"])
    assert "/var/lib/pykexec:" in (tmp_path / "etc/passwd").read_text()
    # To make them takes root: whose they are, and who may look into them.
    made = re.findall(r"^d (\S+) (\d+) (\w+) (\w+) ", (UNITS / "tmpfiles.conf").read_text(), re.M)
    assert made == [
        ("/etc/pykexec", "0750", "pykexec", "pykexec"),
        ("/var/lib/pykexec", "0700", "pykexec", "pykexec"),
    ]
