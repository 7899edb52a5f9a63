# SPDX-License-Identifier: Apache-2.0
"""Every verb has an example, and every example is what the verb takes; pykexec(1) is clean."""

from __future__ import annotations

import argparse
import shlex
import subprocess
from pathlib import Path

import pytest

from pykexec.cli import make_parser
from pykexec.cli._manual import Command, command_line, describe, manual_page
from pykexec.run import run

ROOT = command_line()
EXAMPLES = [example for verb in ROOT.actions for example in verb.examples]


def without_example(root: Command) -> list[str]:
    """Names of what can be done and stands in no example of its verb."""
    return [
        leaf.name
        for verb in root.actions
        for leaf in verb.leaves()
        if not any(is_example_of(leaf, example) for example in verb.examples)
    ]


def is_example_of(leaf: Command, example: str) -> bool:
    """Whether the leaf's words are in the example, in their order."""
    words = iter(shlex.split(example, comments=True))
    return all(word in words for word in leaf.name.split())


def test_every_verb_has_an_example() -> None:
    assert without_example(ROOT) == []


def test_a_verb_without_an_example_is_named() -> None:
    parser = argparse.ArgumentParser(prog="pykexec")
    verbs = parser.add_subparsers()
    verbs.add_parser("good", help="has one", epilog="examples:\n  pykexec good\n")
    bad = verbs.add_parser("bad", help="has one for half of it")
    bad.epilog = "examples:\n  pykexec bad yes"
    actions = bad.add_subparsers()
    actions.add_parser("yes", help="has one")
    actions.add_parser("no", help="has none")
    assert without_example(describe(parser, "")) == ["pykexec bad no"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_what_the_verb_takes(example: str) -> None:
    program, *words = shlex.split(example, comments=True)
    assert program == "pykexec"
    assert callable(make_parser(words).parse_args(words).main)


def test_the_manual_page_is_clean_and_has_every_verb(tmp_path: Path) -> None:
    page = tmp_path / "pykexec.1"
    page.write_text(manual_page())
    # It is dated by its version: the same source makes the same bytes on every day.
    lint = ["mandoc", "-T", "lint", "-W", "warning", str(page)]
    found = subprocess.run(lint, capture_output=True, text=True, check=False).stdout
    assert [line for line in found.splitlines() if "missing date" not in line] == []
    plain = _without_overstrikes(run(["mandoc", "-T", "utf8", "-O", "width=999", page]).decode())
    assert [leaf.name for leaf in ROOT.leaves() if leaf.name not in plain] == []
    assert [example for example in EXAMPLES if example not in plain] == []


def _without_overstrikes(text: str) -> str:
    """A terminal's bold and underlined letters as the letters themselves."""
    parts = text.split("\b")
    return "".join(part[:-1] for part in parts[:-1]) + parts[-1]
