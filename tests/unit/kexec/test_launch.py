# SPDX-License-Identifier: Apache-2.0
"""A verified launch is started whole and without options, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from pykexec.cli import main
from pykexec.config.agent import parse_config
from pykexec.errors import FormatError, UsageError
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest import payload
from pykexec.kexec import execute, request
from tests.support.launches import launch_bytes, xen_bytes

NOBODY = cast(Mailbox, None)


@pytest.fixture(name="files")
def files_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A whole launch and a xen.efi that is none, for an agent with memory for both."""
    monkeypatch.setattr(request, "payload_limit", lambda mailbox: 1 << 30)
    for name, data in (("whole", launch_bytes()), ("plain", xen_bytes())):
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in ("whole", "plain")}


def test_a_launch_is_read_as_any_payload(files: dict[str, str]) -> None:
    found = request.prepare(NOBODY, files["whole"], is_launch=True)
    assert (found.payload.size, found.options) == (len(launch_bytes()), "")
    os.close(found.payload.fd)


def test_a_xen_that_is_not_unified_is_refused(files: dict[str, str]) -> None:
    found = request.prepare(NOBODY, files["plain"])  # As a payload like others it is taken.
    os.close(found.payload.fd)
    with pytest.raises(FormatError, match=r"plain: no section .config: not a unified xen.efi"):
        request.prepare(NOBODY, files["plain"], is_launch=True)


def test_a_launch_with_options_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="a launch is started without options, not '-- loglvl=all"):
        request.prepare(NOBODY, files["whole"], options="-- loglvl=all", is_launch=True)


def test_the_agent_holds_its_configuration_against_what_it_starts(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(execute, "refresh", lambda mailbox: None)
    monkeypatch.setattr(payload, "note", lambda text: None)
    monkeypatch.setattr(request, "is_firmware_path", lambda path: False)
    monkeypatch.setattr(request, "linux_chunks", lambda path, limit: [xen_bytes()])
    config = parse_config(b"[payload]\npath = '\\xen.efi'\nkind = 'launch'\n", "a.toml")
    assert not payload.start_payload(NOBODY, config)
    assert r"pykexec: \xen.efi: no section .config: not a unified xen.efi" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--launch", "--via", "boot-next"], "--launch: --via boot-next is the firmware's start"),
        (["--launch", "--wim", "boot.wim"], "--launch: a launch is no boot manager"),
    ],
)
def test_options_of_exec_that_make_no_sense_are_named(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exec", r"\xen.efi", *words]) == UsageError.exit_code
    assert f"pykexec: {fault}" in capsys.readouterr().err
