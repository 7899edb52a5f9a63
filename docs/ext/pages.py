# SPDX-License-Identifier: Apache-2.0
"""Pages with generated parts, which stand where a source has `<!-- generated: NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from docs.ext import agent_toml, api, commands, parts

PARTS: Mapping[str, Callable[[str], str]] = {
    "agent_toml": agent_toml.reference,
    "commands": commands.commands,
    "exit_codes": commands.exit_codes,
    "diagram": parts.diagram,
    "launch_toml": agent_toml.launch_reference,
    "metrics": parts.figures,
    "room": api.room,
    "rooms": parts.rooms,
    "steps": parts.steps,
    "names": api.names,
}
"""What may be generated: its name -> Markdown, made from the words behind the name."""

_MARK = re.compile(r"^<!-- generated: (\w+)(?: (.+))? -->$", re.MULTILINE)


def generated(text: str) -> str:
    """A page's source with its generated parts; ExtensionError for one that nobody generates."""

    def part(mark: re.Match[str]) -> str:
        if mark[1] not in PARTS:
            raise ExtensionError(f"{mark[0]}: nothing generates that")
        return PARTS[mark[1]](mark[2] or "")

    return _MARK.sub(part, text)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = generated(source[0])


def setup(app: Sphinx) -> dict[str, object]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", api.markup)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
