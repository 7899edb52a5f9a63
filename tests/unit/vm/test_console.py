# SPDX-License-Identifier: Apache-2.0
"""The console of a machine: what is waited for, and what was said before it was frozen."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykexec.vm import console
from pykexec.vm.console import Console, OnLine, make_pipes

LONG_S = 3600.0


@contextmanager
def machine(
    directory: Path, said: str = "", on_line: OnLine | None = None
) -> Iterator[tuple[Console, int]]:
    """A console, and the end of the pipe that a machine writes to."""
    make_pipes(directory / "serial")
    output = os.open(directory / "serial.out", os.O_RDWR)
    logs = (directory / "console.log", directory / "raw")
    found = Console(directory / "serial", *logs, on_line, said)
    try:
        yield found, output
    finally:
        os.close(output)
        found.join()


def search(found: Console, pattern: str) -> str:
    """What matches."""
    match = found.search(re.compile(pattern, re.MULTILINE), None, within=20)
    assert match
    return match[0]


def test_a_whole_line_and_a_plain_text_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_SETTLED_S", LONG_S)
    with machine(tmp_path) as (found, output):
        os.write(output, b"PK:stub:start:0\r\n")
        assert search(found, r"PK:stub:start:\d+\n") == "PK:stub:start:0\n"
        os.write(output, b"pykexec# ")
        assert search(found, "pykexec# ") == "pykexec# "


def test_what_may_go_on_is_matched_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_SETTLED_S", LONG_S)
    with machine(tmp_path) as (found, output):
        os.write(output, b"status:12")
        more = threading.Timer(0.2, os.write, (output, b"34\n"))
        more.start()
        assert search(found, r"status:\d+") == "status:1234"


def test_a_console_begins_with_what_was_said_and_searches_behind_it(tmp_path: Path) -> None:
    with machine(tmp_path, "first\nprompt# ") as (found, output):
        os.write(output, b"second\r\n")
        assert search(found, ".*t# |second\n") == "second\n"
        assert found.text == "first\nprompt# second\n"
    log = (tmp_path / "console.log").read_text().splitlines()
    assert log[0] == "[  before] first"
    assert log[1].endswith("] prompt# second")


def test_who_is_told_of_a_line_finds_it_in_the_text(tmp_path: Path) -> None:
    seen: queue.Queue[str] = queue.Queue()
    consoles: queue.Queue[Console] = queue.Queue()

    def on_line(seconds: float, text: str) -> None:
        found = consoles.get(timeout=20)
        seen.put(found.text)
        consoles.put(found)

    with machine(tmp_path, on_line=on_line) as (found, output):
        consoles.put(found)
        os.write(output, b"before\r\nPANIC\r\nrest")
        assert [seen.get(timeout=20), seen.get(timeout=20)] == ["before\nPANIC\nrest"] * 2
