# SPDX-License-Identifier: Apache-2.0
"""The page on the command line: what the parsers say of every verb."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pykexec.cli._manual import Command, command_line

_SPECIAL = re.compile(r"(`[^`]*`)|([\\*_<>\[\]{}#|])")


def commands(_words: str) -> str:
    """All verbs, in Markdown."""
    root = command_line()
    lines = [*_arguments(root)]
    for verb in root.actions:
        lines += _command(verb, 2)
    return "\n".join(lines)


def exit_codes(_words: str) -> str:
    """What the codes mean, as a list."""
    _, _, codes = command_line().notes.partition(":")
    items = re.findall(r"(\d+) (.+?)(?=,\s\d|$)", " ".join(codes.split()))
    return "\n".join(["| code | what |", "|---|---|", *(f"| {n} | {text} |" for n, text in items)])


def escaped(text: str) -> str:
    """Plain text as Markdown; what is in backticks stays so."""
    return _SPECIAL.sub(lambda found: found[1] or f"\\{found[2]}", text)


def _command(command: Command, level: int) -> Iterator[str]:
    yield f"\n{'#' * level} {command.name}\n"
    yield f"{escaped(command.help[0].upper() + command.help[1:])}.\n"
    if not command.actions:
        yield f"```text\n{_synopsis(command)}\n```\n"
    yield from _arguments(command)
    for paragraph in filter(None, command.notes.split("\n\n")):
        yield f"{escaped(' '.join(paragraph.split()))}\n"
    if command.examples:
        lines = "\n".join(command.examples)
        yield f"```console\n{re.sub('^', '$ ', lines, flags=re.MULTILINE)}\n```\n"
    for action in command.actions:
        yield from _command(action, 3)


def _synopsis(command: Command) -> str:
    """At most some 80 columns, further lines indented."""
    lines, line = [], command.name
    for word in command.synopsis:
        if len(line) + len(word) > 80:
            lines.append(line)
            line = "   "
        line += f" {word}"
    return "\n".join([*lines, line])


def _arguments(command: Command) -> Iterator[str]:
    for term, text in command.arguments:
        yield f"`{term}`\n: {escaped(text) if text else '&nbsp;'}\n"
