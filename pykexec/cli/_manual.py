# SPDX-License-Identifier: Apache-2.0
"""What the verbs' parsers say of themselves, taken apart: for the manual page and the site."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pykexec import __version__
from pykexec.cli import EXAMPLES_TITLE, make_parser
from pykexec.errors import FormatError


@dataclass(frozen=True, slots=True)
class Command:
    """pykexec, a verb or a verb's action.

    arguments are terms ("--listen HOST:PORT") with what is said of them; examples are command
    lines; actions are what may follow, each with its one line of help.
    """

    name: str
    help: str
    synopsis: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    notes: str
    examples: tuple[str, ...]
    actions: tuple[Command, ...]

    def leaves(self) -> Iterator[Command]:
        """Those that something can be done with: this one, or what its actions come to."""
        for action in self.actions:
            yield from action.leaves()
        if not self.actions:
            yield self


def command_line() -> Command:
    """All of it; FormatError where a verb could not be loaded."""
    parser = make_parser(())
    return describe(parser, parser.description or "")


def describe(parser: argparse.ArgumentParser, text: str) -> Command:
    """A parser, with the help that stands where it was added."""
    if missing := parser.get_default("missing"):
        raise FormatError(f"{parser.prog}: the module {missing} is missing")
    notes, _, examples = (parser.epilog or "").partition(EXAMPLES_TITLE)
    shown = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    verbs = [action for action in shown if isinstance(action, argparse._SubParsersAction)]
    options = [action for action in shown if action not in verbs and action.dest != "help"]
    texts = {choice.dest: choice.help or "" for verb in verbs for choice in verb._choices_actions}
    return Command(
        name=parser.prog,
        help=text,
        synopsis=tuple(map(_usage, sorted(options, key=_is_positional))),
        arguments=tuple((_term(action), _help(parser, action)) for action in options),
        notes=notes.strip(),
        examples=tuple(line.strip() for line in examples.splitlines() if line.strip()),
        actions=tuple(
            describe(child, texts[name]) for verb in verbs for name, child in verb.choices.items()
        ),
    )


def _is_positional(action: argparse.Action) -> bool:
    return not action.option_strings


def _value(action: argparse.Action) -> str:
    """What an argument takes, as a word or words."""
    if action.nargs == 0:
        return ""
    name = action.metavar or action.dest.upper()
    if action.choices and not action.metavar:
        name = "{" + ",".join(map(str, action.choices)) + "}"
    if isinstance(name, tuple):
        return " ".join(name)
    return {"?": f"[{name}]", "*": f"[{name} ...]"}.get(str(action.nargs), name)


def _usage(action: argparse.Action) -> str:
    if _is_positional(action):
        return _value(action)
    text = " ".join(part for part in (action.option_strings[0], _value(action)) if part)
    return text if action.required else f"[{text}]"


def _term(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    return " ".join(part for part in (names, _value(action)) if part)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}


def manual_page() -> str:
    """pykexec(1), in the macros of man(7)."""
    root = command_line()
    title, _, codes = root.notes.partition(":")
    lines = [
        '.\\" SPDX-License-Identifier: Apache-2.0',
        f'.TH PYKEXEC 1 "" "pykexec {__version__}" "User Commands"',
        *(".SH NAME", f"pykexec \\- {_roff(root.help.rstrip('.'))}"),
        *(".SH SYNOPSIS", *_synopsis(root, "VERB ...")),
        *(".SH DESCRIPTION", *_arguments(root)),
        ".SH VERBS",
        *(line for verb in root.actions for line in _section(verb)),
        *(".SH EXIT STATUS", f"{_roff(title.capitalize())}:", _roff(" ".join(codes.split())) + "."),
    ]
    return "\n".join(lines) + "\n"


def _section(command: Command) -> Iterator[str]:
    yield f".SS {_roff(command.name)}"
    yield _roff(command.help[0].upper() + command.help[1:]) + "."
    yield ".PP"
    yield from _synopsis(command, "ACTION ..." if command.actions else "")
    yield from _arguments(command)
    for paragraph in filter(None, command.notes.split("\n\n")):
        yield from (".PP", _roff(" ".join(paragraph.split())))
    if command.examples:
        yield from (".PP", "Examples:", ".PP", ".nf", ".RS 4")
        yield from map(_roff, command.examples)
        yield from (".RE", ".fi")
    for action in command.actions:
        yield from _section(action)


def _synopsis(command: Command, rest: str) -> Iterator[str]:
    words = [word.replace(" ", "\\ ") for word in map(_roff, command.synopsis)]
    yield f".B {_roff(command.name)}"
    yield " ".join([*words, _roff(rest)]).strip() or "\\&"


def _arguments(command: Command) -> Iterator[str]:
    for term, text in command.arguments:
        yield from (".TP", f".B {_roff(term)}", _roff(text) or "\\&")


def _roff(text: str) -> str:
    """A line of text; one that begins like a request is kept from being one."""
    escaped = re.sub(r"[\\-]", lambda found: "\\e" if found[0] == "\\" else "\\-", text)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
