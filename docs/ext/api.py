# SPDX-License-Identifier: Apache-2.0
"""The API pages: every public name with its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from inspect import getdoc, getsource
from pathlib import Path

import pykexec

ROOT = Path(pykexec.__file__).parent
_CODE = re.compile(r"`+([^`]+)`+")
_SPECIAL = re.compile(r"([\\*|_`])")


def names(_words: str) -> str:
    """What `import pykexec` has: a line for each name, which leads to where it is described."""
    lines = ["| name | what |", "|---|---|"]
    for module, found in pykexec._HOMES.items():
        for name in found:
            summary = (getdoc(getattr(pykexec, name)) or "").partition("\n\n")[0]
            text = " ".join(summary.split()).replace("|", r"\|")
            lines.append(f"| {{py:obj}}`{name} <pykexec.{module}.{name}>` | {text} |")
    return "\n".join(lines)


def room(words: str) -> str:
    """The modules of a package, or those that are named, each with its public names."""
    found = [module for name in words.split() for module in modules(name)]
    for module in found:
        complete(module)
    # A package's own part stands below the page's title.
    return "\n".join(
        f"{'' if hasattr(import_module(module), '__path__') else _heading(module)}```{{eval-rst}}\n"
        f".. automodule:: {module}\n   :members:\n   :ignore-module-all:\n```\n"
        for module in found
    )


def _heading(module: str) -> str:
    return f"## {module.removeprefix('pykexec.')}\n\n"


def modules(name: str) -> Iterator[str]:
    """The public modules of a package of pykexec's, itself first, or the one module."""
    yield f"pykexec.{name}"
    for path in sorted((ROOT / name.replace(".", "/")).glob("*.py")):
        if not path.stem.startswith("_"):
            yield f"pykexec.{name}.{path.stem}"


def complete(name: str) -> None:
    """Import what a module imports for type checkers alone, so that its annotations mean it."""
    module = import_module(name)
    for block in ast.walk(ast.parse(getsource(module))):
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                # Of the C extensions only the type checker's view has types.
                with suppress(ImportError):
                    exec(compile(ast.Module([node], []), name, "exec"), vars(module))


def markup(
    _app: object, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Make reStructuredText of a docstring: code in backticks, indented lines as they are."""
    lines[:] = _markup(lines)


def _markup(lines: Iterable[str]) -> list[str]:
    found: list[str] = []
    literal = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not literal and (not found or not found[-1].strip()):
            found += ["::", ""]
            literal = True
        elif line.strip() and not indented:
            literal = False
        found.append(line if literal else _inline(line))
    return found


def _inline(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(
        f"``{part}``" if odd % 2 else _SPECIAL.sub(r"\\\1", part) for odd, part in enumerate(parts)
    )
